/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which known blocks one reading of the memory reaches, private to the module. Knows nothing of
 * processes: it is fed with memory in the order of addresses.
 */
#ifndef REACH_GRAPH_H
#define REACH_GRAPH_H

#include "reach/index.h"

#define GRAPH_MAX_EDGES (1U << 25)

struct graph {
	struct index index;
	uint8_t *marked;   /* a bit per block: reached in this round */
	uint32_t *pending; /* marked, but their own pointers are not followed yet; a stack */
	uint32_t nr_pending;
	/* Pointers of blocks that were not marked when they were read, in the order of the blocks:
	 * those of block b are targets[first[b]] up to targets[first[b + 1]]. */
	uint32_t *first;
	uint32_t *targets;
	size_t nr_targets, capacity;
	uint32_t source; /* first[] is known up to this block */
	int error;       /* -ENOMEM, or -E2BIG: too many pointers between blocks */
};

/* Zero-initialise. 0 or -ENOMEM. */
int graph_build(struct graph *graph, const struct block *blocks, uint32_t nr_blocks);
void graph_done(struct graph *graph);
/* Begins a round: nothing is reached. */
void graph_begin(struct graph *graph);
/* Takes in @len bytes that were read at @address, with a pointer at each multiple of @step bytes (8,
 * or 1 where pointers are not aligned). */
void graph_feed(struct graph *graph, uint64_t address, const void *bytes, size_t len, size_t step);
/* Takes in a pointer that is kept elsewhere. */
void graph_root(struct graph *graph, uint64_t pointer);
/* Ends the round: follows the pointers between blocks. 0 or the error. */
int graph_end(struct graph *graph);
bool graph_is_reached(const struct graph *graph, uint32_t block);

#endif
