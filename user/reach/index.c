/* SPDX-License-Identifier: GPL-2.0-only */
#include "reach/index.h"

#include <errno.h>
#include <stdlib.h>

#include "base/base.h"

#define SPAN_GAP_BYTES (1ULL << 24)
#define MIN_SHIFT      4

/* The end of a block. One of no bytes has its own address. */
static uint64_t block_end(const struct block *block)
{
	uint64_t bytes = block->bytes ? block->bytes : 1;

	return block->address + MIN(bytes, UINT64_MAX - block->address);
}

/* Finds the span that begins with block @first: how many blocks it has. */
static uint32_t span_find(const struct block *blocks, uint32_t nr, uint32_t first,
			  struct index_span *span)
{
	uint64_t end = block_end(&blocks[first]);
	uint32_t at;

	for (at = first + 1; at < nr; at++) {
		if (blocks[at].address > end && blocks[at].address - end > SPAN_GAP_BYTES)
			break;
		end = MAX(end, block_end(&blocks[at]));
	}
	span->start = blocks[first].address;
	span->end = end;
	for (span->shift = MIN_SHIFT; (end - span->start) >> span->shift > at - first;)
		span->shift++;
	return at - first;
}

static size_t span_granules(const struct index_span *span)
{
	return (size_t)((span->end - span->start) >> span->shift) + 1;
}

/* Finds all spans. Returns the number of their granules, with one more for each: the end. */
static long find_spans(struct index *index, size_t *capacity)
{
	size_t granules = 0;
	uint32_t at = 0;

	while (at < index->nr_blocks) {
		void *spans = index->spans;
		struct index_span span = { .granules = granules };
		int error = vec_reserve(&spans, capacity, index->nr_spans + 1, sizeof(span));

		index->spans = spans;
		if (error)
			return error;
		at += span_find(index->blocks, index->nr_blocks, at, &span);
		granules += span_granules(&span) + 1;
		index->spans[index->nr_spans++] = span;
	}
	return (long)granules;
}

static void fill_granules(struct index *index)
{
	uint32_t block = 0;

	for (size_t i = 0; i < index->nr_spans; i++) {
		const struct index_span *span = &index->spans[i];
		size_t nr = span_granules(span);

		for (size_t granule = 0; granule <= nr; granule++) {
			uint64_t offset =
				granule < nr ? (uint64_t)granule << span->shift : UINT64_MAX;

			while (block < index->nr_blocks &&
			       index->blocks[block].address <= span->end &&
			       index->blocks[block].address - span->start < offset)
				block++;
			index->granules[span->granules + granule] = block;
		}
	}
}

int index_build(struct index *index, const struct block *blocks, uint32_t nr_blocks)
{
	size_t capacity = 0;
	long granules;

	index->blocks = blocks;
	index->nr_blocks = nr_blocks;
	granules = find_spans(index, &capacity);
	if (granules < 0)
		return (int)granules;
	index->granules = calloc((size_t)granules + 1, sizeof(*index->granules));
	if (!index->granules)
		return -ENOMEM;
	fill_granules(index);
	if (index->nr_spans > 0) {
		index->start = index->spans[0].start;
		index->bytes = index->spans[index->nr_spans - 1].end - index->start;
	}
	return 0;
}

void index_done(struct index *index)
{
	free(index->spans);
	free(index->granules);
	*index = (struct index){ 0 };
}

/* The last span that begins at or before @address; NULL: none does. */
static const struct index_span *find_span(const struct index *index, uint64_t address)
{
	size_t low = 0, high = index->nr_spans;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (index->spans[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? &index->spans[low - 1] : NULL;
}

uint32_t index_find(const struct index *index, uint64_t address)
{
	const struct index_span *span = find_span(index, address);
	const uint32_t *granule;
	uint32_t low, high;

	if (!span || address >= span->end)
		return INDEX_NONE;
	granule = &index->granules[span->granules + ((address - span->start) >> span->shift)];
	low = granule[0];
	high = granule[1];
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (index->blocks[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || address >= block_end(&index->blocks[low - 1]))
		return INDEX_NONE;
	return low - 1;
}
