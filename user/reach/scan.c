/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reach/process.h"
#include "reach/reach.h"

#define NR_ROUNDS          3
#define ROUND_GAP_NS       (NSEC_PER_SEC / 10)
#define MAX_BLOCKS         (1U << 22)
#define MAX_RESIDENT_BYTES (4ULL << 30)
#define MAX_MAPPED_BYTES   (1ULL << 40)
#define GIB                (1ULL << 30)

struct reach {
	pid_t pid;
	struct block *blocks; /* not owned */
	uint32_t nr_blocks;
	struct graph graph;
	struct pages pages;
	uint64_t next_round_ns;
	bool in_round;
	struct reach_facts facts;
};

DEFINE_CLEANUP(reach, struct reach *, reach_free(*value))
DEFINE_CLEANUP(maps, struct maps, maps_done(value))

static int cannot_read(struct error *error, int code)
{
	return error_set(error, code, "its memory can not be read: %s", strerror(-code));
}

/* What it has mapped and what of it is in memory, in bytes; 0: not known. */
static void read_sizes(pid_t pid, uint64_t *ret_mapped, uint64_t *ret_resident)
{
	char path[64];
	char *text __cleanup_string = NULL;
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE), mapped = 0, resident = 0;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	if (!io_read_file(path, 4096, &text, &len))
		sscanf(text, "%" SCNu64 " %" SCNu64, &mapped, &resident);
	*ret_mapped = mapped * page_bytes;
	*ret_resident = resident * page_bytes;
}

/* Is the scan worth its time and possible? */
static int check_size(pid_t pid, size_t nr_blocks, struct error *error)
{
	struct maps maps __cleanup_of(maps) = { 0 };
	uint64_t mapped, resident;
	int code = maps_read(pid, &maps);

	if (code)
		return cannot_read(error, code);
	if (maps.nr_mappings == 0)
		return error_set(error, -ESRCH, "it has ended");
	if (maps.mappings[maps.nr_mappings - 1].end <= 1ULL << 32)
		return error_set(error, -ENOTSUP, "its pointers have 32 bits");
	read_sizes(pid, &mapped, &resident);
	if (nr_blocks > MAX_BLOCKS)
		return error_set(error, -EFBIG, "it has more than %u blocks", MAX_BLOCKS);
	if (resident > MAX_RESIDENT_BYTES)
		return error_set(error, -EFBIG, "it has more than %ju GiB in memory",
				 (uintmax_t)(MAX_RESIDENT_BYTES / GIB));
	if (mapped > MAX_MAPPED_BYTES)
		return error_set(error, -EFBIG, "it has mapped more than %ju GiB",
				 (uintmax_t)(MAX_MAPPED_BYTES / GIB));
	return 0;
}

static size_t read_nr_threads(pid_t pid)
{
	char path[64];
	char *text __cleanup_string = NULL;
	const char *line;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (io_read_file(path, 1 << 16, &text, &len))
		return 1;
	line = strstr(text, "\nThreads:");
	return line ? strtoul(line + strlen("\nThreads:"), NULL, 10) : 1;
}

int reach_open(pid_t pid, struct block *blocks, size_t nr_blocks, struct reach **ret_reach,
	       struct error *error)
{
	struct reach *reach __cleanup_of(reach) = NULL;
	int code = check_size(pid, nr_blocks, error);

	if (code)
		return code;
	reach = calloc(1, sizeof(*reach));
	if (!reach)
		return error_set(error, -ENOMEM, "out of memory");
	*reach = (struct reach){
		.pid = pid,
		.blocks = blocks,
		.nr_blocks = (uint32_t)nr_blocks,
		.pages.pagemap = -1,
	};
	code = pages_open(&reach->pages, pid);
	if (code)
		return cannot_read(error, code);
	code = graph_build(&reach->graph, blocks, reach->nr_blocks);
	if (code)
		return error_set(error, code, "out of memory");
	*ret_reach = take(reach);
	return 0;
}

struct reach *reach_free(struct reach *reach)
{
	if (!reach)
		return NULL;
	pages_done(&reach->pages);
	graph_done(&reach->graph);
	free(reach);
	return NULL;
}

static int begin_round(struct reach *reach, struct error *error)
{
	int code = pages_begin(&reach->pages);

	if (code)
		return cannot_read(error, code);
	reach->facts.nr_threads = MAX(reach->facts.nr_threads, read_nr_threads(reach->pid));
	graph_begin(&reach->graph);
	reach->in_round = true;
	return 0;
}

/* What the kernel keeps is asked for last: a pointer goes there from memory that was read before. */
static int end_round(struct reach *reach, struct error *error)
{
	bool untold = kept_feed(reach->pid, &reach->graph) || reach->pages.asynchronous;
	int code = graph_end(&reach->graph);

	if (code == -E2BIG)
		return error_set(error, code, "it has too many pointers between blocks");
	if (code)
		return error_set(error, code, "out of memory");
	for (uint32_t i = 0; i < reach->nr_blocks; i++)
		reach->blocks[i].reached |= graph_is_reached(&reach->graph, i);
	reach->facts.kernel_holds |= untold;
	reach->facts.swapped_bytes = MAX(reach->facts.swapped_bytes, reach->pages.swapped_bytes);
	reach->facts.nr_rounds++;
	reach->in_round = false;
	reach->next_round_ns = clock_monotonic_ns() + ROUND_GAP_NS;
	return 0;
}

/* Works on a round until @deadline_ns. 1: it is complete. */
static int work(struct reach *reach, uint64_t deadline_ns, struct error *error)
{
	int code = reach->in_round ? 0 : begin_round(reach, error);

	if (code)
		return code;
	do {
		code = pages_feed(&reach->pages, &reach->graph);
	} while (code == 0 && clock_monotonic_ns() < deadline_ns);
	if (code < 0)
		return cannot_read(error, code);
	if (code > 0)
		code = end_round(reach, error);
	else
		return 0;
	return code ? code : 1;
}

int reach_step(struct reach *reach, uint64_t budget_ns, struct error *error)
{
	uint64_t now_ns = clock_monotonic_ns();
	int code;

	if (!reach->in_round && now_ns < reach->next_round_ns)
		return 0;
	code = work(reach, now_ns + budget_ns, error);
	reach->facts.work_ns += clock_monotonic_ns() - now_ns;
	if (code < 0)
		return code;
	return reach->facts.nr_rounds == NR_ROUNDS;
}

struct reach_facts reach_facts(const struct reach *reach)
{
	struct reach_facts facts = reach->facts;

	facts.read_bytes = reach->pages.read_bytes;
	return facts;
}
