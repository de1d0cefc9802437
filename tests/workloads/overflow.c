/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * More live blocks than a ledger may hold, then a late leak at another place, then all but the leak
 * is freed. Phases: fill NUMBER, late, free; and pace NUMBER, which has nothing to do with them.
 */
#include "workload.h"

#include <time.h>

#define LATE_BLOCKS 5000

/* About as large as what the kernel keeps for a live entry. */
struct node {
	struct node *next;
	char rest[88];
};

static void **blocks;
static size_t nr_blocks;

SITE static void *fill_one(void)
{
	return malloc(24);
}

SITE static void leak_late(void)
{
	keep(malloc(777));
}

static void phase_fill(long number)
{
	nr_blocks = (size_t)number;
	blocks = calloc(nr_blocks, sizeof(*blocks));
	if (!blocks)
		workload_die("calloc");
	for (size_t i = 0; i < nr_blocks; i++)
		blocks[i] = fill_one();
	expect("heap", "fill_one", nr_blocks, nr_blocks * 24);
}

static void phase_late(long number)
{
	(void)number;
	for (size_t i = 0; i < LATE_BLOCKS; i++)
		leak_late();
	expect("heap", "leak_late", LATE_BLOCKS, LATE_BLOCKS * 777);
}

static void phase_free(long number)
{
	(void)number;
	for (size_t i = 0; i < nr_blocks; i++)
		free(blocks[i]);
	free(blocks);
	expect("heap", "fill_one", 0, 0);
}

static size_t random_below(size_t limit)
{
	static uint64_t state = 88172645463325252ULL;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (size_t)(state % limit);
}

/* Links @nodes to one ring that visits all of them, each at a random place (Sattolo's shuffle). */
static void link_ring(struct node *nodes, size_t nr_nodes)
{
	for (size_t i = 0; i < nr_nodes; i++)
		nodes[i].next = &nodes[i];
	for (size_t i = nr_nodes - 1; i > 0; i--) {
		size_t other = random_below(i);
		struct node *next = nodes[i].next;

		nodes[i].next = nodes[other].next;
		nodes[other].next = next;
	}
}

/* Says what it takes to fetch that many nodes from memory, one after the other. */
static void phase_pace(long number)
{
	size_t nr_nodes = (size_t)number;
	struct node *nodes = calloc(nr_nodes, sizeof(*nodes)), *node = nodes;
	struct timespec from, to;

	if (!nodes)
		workload_die("calloc");
	link_ring(nodes, nr_nodes);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (size_t i = 0; i < nr_nodes; i++)
		node = node->next;
	clock_gettime(CLOCK_MONOTONIC, &to);
	keep(node);
	free(nodes);
	workload_say("pace %.3f ms", (double)(to.tv_sec - from.tv_sec) * 1e3 +
					     (double)(to.tv_nsec - from.tv_nsec) / 1e6);
}

static const struct workload_phase phases[] = {
	{ "fill", phase_fill },
	{ "late", phase_late },
	{ "free", phase_free },
	{ "pace", phase_pace },
};

int main(void)
{
	return WORKLOAD_SERVE(phases);
}
