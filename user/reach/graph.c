/* SPDX-License-Identifier: GPL-2.0-only */
#include "reach/graph.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/* Programs that put a tag into the upper 16 bits of a pointer mean the lower 48. */
#define POINTER_MASK 0x0000ffffffffffffULL

int graph_build(struct graph *graph, const struct block *blocks, uint32_t nr_blocks)
{
	int error = index_build(&graph->index, blocks, nr_blocks);

	if (error)
		return error;
	graph->marked = calloc((size_t)nr_blocks / 8 + 1, 1);
	graph->pending = calloc((size_t)nr_blocks + 1, sizeof(*graph->pending));
	graph->first = calloc((size_t)nr_blocks + 1, sizeof(*graph->first));
	return graph->marked && graph->pending && graph->first ? 0 : -ENOMEM;
}

void graph_done(struct graph *graph)
{
	index_done(&graph->index);
	free(graph->marked);
	free(graph->pending);
	free(graph->first);
	free(graph->targets);
	*graph = (struct graph){ 0 };
}

void graph_begin(struct graph *graph)
{
	memset(graph->marked, 0, (size_t)graph->index.nr_blocks / 8 + 1);
	graph->nr_pending = 0;
	graph->nr_targets = 0;
	graph->source = 0;
	graph->first[0] = 0;
	graph->error = 0;
}

bool graph_is_reached(const struct graph *graph, uint32_t block)
{
	return graph->marked[block / 8] >> block % 8 & 1;
}

static void mark(struct graph *graph, uint32_t block)
{
	if (graph_is_reached(graph, block))
		return;
	graph->marked[block / 8] |= (uint8_t)(1U << block % 8);
	graph->pending[graph->nr_pending++] = block;
}

/* Notes that block @source points to @target. */
static void add_edge(struct graph *graph, uint32_t source, uint32_t target)
{
	void *targets = graph->targets;
	int error = 0;

	while (graph->source < source)
		graph->first[++graph->source] = (uint32_t)graph->nr_targets;
	if (graph->nr_targets > graph->first[source] &&
	    graph->targets[graph->nr_targets - 1] == target)
		return;
	if (graph->nr_targets == GRAPH_MAX_EDGES)
		error = -E2BIG;
	else
		error = vec_reserve(&targets, &graph->capacity, graph->nr_targets + 1,
				    sizeof(*graph->targets));
	graph->targets = targets;
	if (error)
		graph->error = error;
	else
		graph->targets[graph->nr_targets++] = target;
}

/* The word at @address points to block @target. What comes out of order counts as a root. */
static void point(struct graph *graph, uint64_t address, uint32_t target)
{
	uint32_t source = INDEX_NONE;

	if (graph_is_reached(graph, target))
		return;
	if (index_may_find(&graph->index, address))
		source = index_find(&graph->index, address);
	if (source == target)
		return;
	if (source == INDEX_NONE || source < graph->source || graph_is_reached(graph, source))
		mark(graph, target);
	else
		add_edge(graph, source, target);
}

void graph_feed(struct graph *graph, uint64_t address, const void *bytes, size_t len, size_t step)
{
	const struct index *index = &graph->index;
	const char *from = bytes;

	for (size_t at = 0; at + sizeof(uint64_t) <= len; at += step) {
		uint64_t word;
		uint32_t target;

		memcpy(&word, from + at, sizeof(word));
		word &= POINTER_MASK;
		if (!index_may_find(index, word))
			continue;
		target = index_find(index, word);
		if (target != INDEX_NONE)
			point(graph, address + at, target);
	}
}

void graph_root(struct graph *graph, uint64_t pointer)
{
	uint32_t target = INDEX_NONE;

	pointer &= POINTER_MASK;
	if (index_may_find(&graph->index, pointer))
		target = index_find(&graph->index, pointer);
	if (target != INDEX_NONE)
		mark(graph, target);
}

int graph_end(struct graph *graph)
{
	if (graph->error)
		return graph->error;
	while (graph->source < graph->index.nr_blocks)
		graph->first[++graph->source] = (uint32_t)graph->nr_targets;
	while (graph->nr_pending > 0) {
		uint32_t block = graph->pending[--graph->nr_pending];

		for (uint32_t at = graph->first[block]; at < graph->first[block + 1]; at++)
			mark(graph, graph->targets[at]);
	}
	return 0;
}
