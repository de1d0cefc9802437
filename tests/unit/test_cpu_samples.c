/* SPDX-License-Identifier: GPL-2.0-only */
/* Samples of a thread of this program that runs in a known function. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "proc/proc.h"

#define PATTERN 0x5a17c0de5a17c0deULL
#define BURN_NS (NSEC_PER_SEC / 4)

struct found {
	size_t nr, nr_in_order;
	uint64_t marked_at;
};

/* Takes CPU time until the thread has had that much of it, below the frame of its caller, which has
 * the marks. */
static __attribute__((noinline)) void burn(volatile uint64_t *marks)
{
	struct timespec used;

	do {
		for (unsigned int i = 0; i < 1000000; i++)
			marks[0] = marks[1];
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	} while ((uint64_t)used.tv_sec * NSEC_PER_SEC + (uint64_t)used.tv_nsec < BURN_NS);
}

/* The sample's bytes are those of the stack: the pattern is where it was put. */
static void look(const struct cpu_sample *sample, void *context)
{
	struct found *found = context;
	uint64_t word = 0, offset = found->marked_at - sample->sp;

	found->nr++;
	if (found->marked_at >= sample->sp && offset + sizeof(word) <= sample->stack_len)
		memcpy(&word, sample->stack + offset, sizeof(word));
	found->nr_in_order += word == PATTERN && sample->pc > 4096;
}

/* Does the kernel let this process sample anything at all? */
static bool may_sample(void)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attributes),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.exclude_kernel = 1,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);

	return fd >= 0 && !close(fd);
}

/* Sanitizers would have the marks elsewhere than on the stack. */
static __attribute__((no_sanitize_address)) void samples_hold_the_stack(void **state)
{
	struct cpu_samples *samples = cpu_samples_start(getpid());
	volatile uint64_t marks[] = { PATTERN, PATTERN };
	struct found found = { .marked_at = (uint64_t)(uintptr_t)&marks[1] };

	(void)state;
	if (!samples && !may_sample()) {
		print_message("the kernel does not let this process sample its threads\n");
		skip();
	}
	assert_non_null(samples);
	burn(marks);
	cpu_samples_visit(samples, look, &found);
	assert_null(cpu_samples_stop(samples));
	assert_in_range(found.nr, 5, 31);
	assert_true(found.nr_in_order * 10 >= found.nr * 8);
}

static void processes_that_are_gone_have_none(void **state)
{
	(void)state;
	assert_null(cpu_samples_start(0x3fffffff));
	assert_null(cpu_samples_stop(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples_hold_the_stack),
		cmocka_unit_test(processes_that_are_gone_have_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
