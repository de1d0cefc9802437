/* SPDX-License-Identifier: GPL-2.0-only */
/* The live heap blocks of one process, one by one. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "ledger/private.h"

#define BATCH 4096 /* entries read by one system call; more than a bucket of the map ever has */

/* Room for one reading of a part of the live map. */
struct batch {
	struct lb_live_key keys[BATCH];
	struct lb_live values[BATCH];
};

struct blocks {
	struct block *blocks; /* owned */
	size_t nr, capacity;
};

DEFINE_CLEANUP(blocks, struct blocks, free(value->blocks))
DEFINE_CLEANUP(batch, struct batch *, free(*value))

static int blocks_add(struct blocks *blocks, const struct batch *batch, uint32_t nr, uint32_t tgid,
		      uint64_t before_ns)
{
	void *items = blocks->blocks;
	int error = vec_reserve(&items, &blocks->capacity, blocks->nr + nr, sizeof(struct block));

	blocks->blocks = items;
	for (uint32_t i = 0; !error && i < nr; i++) {
		if (batch->keys[i].tgid != tgid || batch->keys[i].kind != LB_KIND_HEAP)
			continue;
		blocks->blocks[blocks->nr++] = (struct block){
			.address = batch->keys[i].id,
			.bytes = batch->values[i].weight,
			.slot = batch->values[i].site,
			.judged = batch->values[i].birth_ns < before_ns,
		};
	}
	return error;
}

/* Walks the live map, bucket by bucket. Those that are opened or closed meanwhile may be missed. */
static int blocks_read(int live_fd, struct batch *batch, uint32_t tgid, uint64_t before_ns,
		       struct blocks *blocks)
{
	__u32 position;
	bool first = true, last;

	do {
		__u32 nr = BATCH;
		int error = bpf_map_lookup_batch(live_fd, first ? NULL : &position, &position,
						 batch->keys, batch->values, &nr, NULL);

		last = error && errno == ENOENT;
		if (error && !last)
			return -errno;
		first = false;
		error = blocks_add(blocks, batch, nr, tgid, before_ns);
		if (error)
			return error;
	} while (!last);
	return 0;
}

static int compare_blocks(const void *left, const void *right)
{
	const struct block *a = left, *b = right;

	return (a->address > b->address) - (a->address < b->address);
}

int ledger_blocks(struct ledger *ledger, uint32_t tgid, uint64_t before_ns,
		  struct block **ret_blocks, size_t *ret_nr)
{
	struct blocks blocks __cleanup_of(blocks) = { 0 };
	struct batch *batch __cleanup_of(batch) = malloc(sizeof(*batch));
	int error;

	if (!batch)
		return -ENOMEM;
	error = blocks_read(ledger_live_fd(ledger), batch, tgid, before_ns, &blocks);
	if (error)
		return error;
	if (blocks.nr > 0)
		qsort(blocks.blocks, blocks.nr, sizeof(*blocks.blocks), compare_blocks);
	*ret_blocks = take(blocks.blocks);
	*ret_nr = blocks.nr;
	return 0;
}

bool ledger_has_block(struct ledger *ledger, uint32_t tgid, uint64_t address, uint64_t before_ns)
{
	struct lb_live_key key = { .tgid = tgid, .kind = LB_KIND_HEAP, .id = address };
	struct lb_live entry;

	return !bpf_map_lookup_elem(ledger_live_fd(ledger), &key, &entry) &&
	       entry.birth_ns < before_ns;
}
