/* SPDX-License-Identifier: GPL-2.0-only */
/* The rule for a program counter, from the tables that the loader made. */
#include "unwind.bpf.h"

#define SEARCH_STEPS 28 /* of a binary search: 2^27 rows */

struct segment_array {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct lb_segment));
};

struct row_array {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct lb_row));
};

/* Process -> its segments. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__array(values, struct segment_array);
} spaces SEC(".maps");

/* Table id -> its rows. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__array(values, struct row_array);
} tables SEC(".maps");

static __always_inline void count_lookup(void)
{
	__u32 zero = 0;
	struct lb_stats *mine = bpf_map_lookup_elem(&stats, &zero);

	if (mine)
		__sync_fetch_and_add(&mine->unwind_lookups, 1);
}

struct search {
	__u32 low, high; /* the first element above the key is in [low, high] */
	__u64 key;
	void *map;
};

static long segment_step(__u32 step, struct search *search)
{
	__u32 middle = (search->low + search->high) / 2;
	struct lb_segment *segment;

	if (search->low >= search->high)
		return 1;
	segment = bpf_map_lookup_elem(search->map, &middle);
	if (!segment)
		return 1;
	if (segment->start <= search->key)
		search->low = middle + 1;
	else
		search->high = middle;
	return 0;
}

static long row_step(__u32 step, struct search *search)
{
	__u32 middle = (search->low + search->high) / 2;
	struct lb_row *row;

	if (search->low >= search->high)
		return 1;
	row = bpf_map_lookup_elem(search->map, &middle);
	if (!row)
		return 1;
	if (row->pc <= search->key)
		search->low = middle + 1;
	else
		search->high = middle;
	return 0;
}

/* The segment that holds @pc. */
static __always_inline struct lb_segment *segment_find(__u64 pc)
{
	__u32 tgid = current_tgid(), index = 0;
	struct search search = { .low = 1, .key = pc };
	struct lb_segment *segment;

	search.map = bpf_map_lookup_elem(&spaces, &tgid);
	if (!search.map)
		return NULL;
	segment = bpf_map_lookup_elem(search.map, &index);
	if (!segment)
		return NULL;
	search.high = segment->start + 1;
	bpf_loop(SEARCH_STEPS, segment_step, &search, 0);
	if (search.low <= 1)
		return NULL;
	index = search.low - 1;
	segment = bpf_map_lookup_elem(search.map, &index);
	return segment && pc < segment->end ? segment : NULL;
}

/* The rule for @pc by its segment and table; LB_UNWIND_NO_MAPPING is told by -1. */
__noinline long rule_lookup(__u64 pc)
{
	struct lb_segment *segment = segment_find(pc);
	struct search search = { .low = 1 };
	__u32 table, index = 0;
	struct lb_row *row;

	count_lookup();
	if (!segment)
		return -1;
	if (!segment->table)
		return LB_RULE_NONE;
	table = segment->table;
	search.key = pc - segment->base;
	search.map = bpf_map_lookup_elem(&tables, &table);
	if (!search.map)
		return LB_RULE_NONE;
	row = bpf_map_lookup_elem(search.map, &index);
	if (!row)
		return LB_RULE_NONE;
	search.high = row->pc + 1;
	bpf_loop(SEARCH_STEPS, row_step, &search, 0);
	if (search.low <= 1)
		return LB_RULE_NONE;
	index = search.low - 1;
	row = bpf_map_lookup_elem(search.map, &index);
	return row ? row->rule : LB_RULE_NONE;
}
