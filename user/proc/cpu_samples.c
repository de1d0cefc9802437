/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the threads of a process do while they run, sampled by the kernel: registers and the innermost
 * part of the stack, each few milliseconds of CPU time. The threads are neither stopped nor changed.
 * Layout of what the kernel writes: perf_event_open(2), PERF_RECORD_SAMPLE; Linux 6.18,
 * include/uapi/linux/perf_event.h.
 */
#include <asm/perf_regs.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proc/proc.h"
#include "proc/stat.h"

#define MAX_THREADS  8
#define PERIOD_NS    (5 * NSEC_PER_SEC / 1000)
#define STACK_BYTES  16384
#define BUFFER_BYTES (1UL << 19) /* for 31 samples; what comes later is not needed */

#if defined(__x86_64__)
#define REGISTERS (1ULL << PERF_REG_X86_SP | 1ULL << PERF_REG_X86_IP)
#elif defined(__aarch64__)
#define REGISTERS (1ULL << PERF_REG_ARM64_SP | 1ULL << PERF_REG_ARM64_PC)
#endif

/* The samples of one thread. */
struct sampled_thread {
	int fd;
	struct perf_event_mmap_page *page; /* the buffer follows it */
};

struct cpu_samples {
	struct sampled_thread threads[MAX_THREADS];
	size_t nr_threads;
	uint8_t record[UINT16_MAX + 1]; /* one, in one piece */
};

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* 0, or -errno: the thread has ended, or the kernel does not let us. */
static int sample_thread(pid_t tid, struct sampled_thread *ret_thread)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attributes),
		.config = PERF_COUNT_SW_TASK_CLOCK,
		.sample_period = PERIOD_NS,
		.sample_type = PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER,
		.sample_regs_user = REGISTERS,
		.sample_stack_user = STACK_BYTES,
		.exclude_kernel = 1,
		.exclude_hv = 1,
		.watermark = 1, /* nobody waits for it */
		.wakeup_watermark = UINT32_MAX,
	};
	int fd __cleanup_fd =
		(int)syscall(SYS_perf_event_open, &attributes, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	void *page;

	if (fd < 0)
		return -errno;
	page = mmap(NULL, page_bytes() + BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return -errno;
	*ret_thread = (struct sampled_thread){ fd, page };
	fd = -1;
	return 0;
}

static bool is_running(pid_t tid)
{
	struct process_stat stat;

	return !process_stat_read(tid, &stat) && stat.state == 'R';
}

static bool sample_running(pid_t tid, void *context)
{
	struct cpu_samples *samples = context;

	if (is_running(tid) && !sample_thread(tid, &samples->threads[samples->nr_threads]))
		samples->nr_threads++;
	return samples->nr_threads < MAX_THREADS;
}

struct cpu_samples *cpu_samples_start(pid_t pid)
{
	struct cpu_samples *samples = calloc(1, sizeof(*samples));

	if (samples)
		target_for_each_thread(pid, sample_running, samples);
	return samples && samples->nr_threads ? samples : cpu_samples_stop(samples);
}

/* Copies @len bytes at @at of the ring. */
static void copy_out(const struct perf_event_mmap_page *page, uint64_t at, uint8_t *bytes,
		     size_t len)
{
	const uint8_t *ring = (const uint8_t *)page + page->data_offset;
	size_t start = at % page->data_size, first = MIN(len, page->data_size - start);

	memcpy(bytes, ring + start, first);
	memcpy(bytes + first, ring, len - first);
}

static uint64_t word_at(const uint8_t *bytes, size_t at)
{
	uint64_t word;

	memcpy(&word, bytes + at, sizeof(word));
	return word;
}

/* Reads the body of a record: ABI, two registers, size of the stack, that much of it, how much of that
 * is there. false: a thread that was not in 64-bit code of its own. */
static bool parse_sample(const uint8_t *body, size_t len, struct cpu_sample *ret_sample)
{
	const size_t stack_at = 4 * sizeof(uint64_t);
	uint64_t room, used;

	if (len < stack_at || word_at(body, 0) != PERF_SAMPLE_REGS_ABI_64)
		return false;
	room = word_at(body, 3 * sizeof(uint64_t));
	if (!room || room > len - stack_at || len - stack_at - room < sizeof(used))
		return false;
	used = word_at(body, stack_at + room);
	*ret_sample = (struct cpu_sample){
		.sp = word_at(body, 1 * sizeof(uint64_t)),
		.pc = word_at(body, 2 * sizeof(uint64_t)),
		.stack = body + stack_at,
		.stack_len = MIN(used, room),
	};
	return true;
}

static void visit_thread(struct cpu_samples *samples, const struct sampled_thread *thread,
			 cpu_sample_visitor visit, void *context)
{
	struct perf_event_mmap_page *page = thread->page;
	uint64_t end = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
	struct perf_event_header header;

	for (uint64_t at = page->data_tail; end - at >= sizeof(header); at += header.size) {
		struct cpu_sample sample;

		copy_out(page, at, (uint8_t *)&header, sizeof(header));
		if (header.size < sizeof(header) || header.size > end - at)
			return;
		copy_out(page, at, samples->record, header.size);
		if (header.type == PERF_RECORD_SAMPLE &&
		    parse_sample(samples->record + sizeof(header), header.size - sizeof(header),
				 &sample))
			visit(&sample, context);
	}
}

void cpu_samples_visit(struct cpu_samples *samples, cpu_sample_visitor visit, void *context)
{
	for (size_t i = 0; i < samples->nr_threads; i++)
		visit_thread(samples, &samples->threads[i], visit, context);
}

struct cpu_samples *cpu_samples_stop(struct cpu_samples *samples)
{
	for (size_t i = 0; samples && i < samples->nr_threads; i++) {
		munmap(samples->threads[i].page, page_bytes() + BUFFER_BYTES);
		close(samples->threads[i].fd);
	}
	free(samples);
	return NULL;
}
