/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Address -> known block, private to the module.
 *
 * The heap is cut into spans where no block is for long. Each span is divided into about as many
 * equal granules as it has blocks, so that a look-up searches few blocks and the memory is bounded
 * by the number of blocks.
 */
#ifndef REACH_INDEX_H
#define REACH_INDEX_H

#include "ledger/ledger.h"

#define INDEX_NONE UINT32_MAX

struct index_span {
	uint64_t start, end; /* of its blocks */
	size_t granules;     /* where its granules begin in those of the index */
	unsigned int shift;  /* a granule is 1 << shift bytes */
};

struct index {
	const struct block *blocks; /* sorted by address; not owned */
	uint32_t nr_blocks;
	uint64_t start, bytes; /* of all spans together */
	struct index_span *spans;
	size_t nr_spans;
	uint32_t *granules; /* the first block that begins in or behind each */
};

/* Zero-initialise. 0 or -ENOMEM. */
int index_build(struct index *index, const struct block *blocks, uint32_t nr_blocks);
void index_done(struct index *index);
/* The block that has a byte at @address; INDEX_NONE: none has. */
uint32_t index_find(const struct index *index, uint64_t address);

/* May @address lie in a block? Cheap, and no for most words of a process. */
static inline bool index_may_find(const struct index *index, uint64_t address)
{
	return address - index->start < index->bytes;
}

#endif
