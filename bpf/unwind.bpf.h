/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the unwinder share: rules by program counter, and paths walked before. */
#ifndef UNWIND_BPF_H
#define UNWIND_BPF_H

#include "stack.bpf.h"

#include "unwind.h" /* needs the types of vmlinux.h */

#define RULE_CACHE_BITS 16
#define PATH_CACHE_BITS 12
#define PATH_SLOTS      256  /* stack words that decide a path, at most */
#define PATH_WORDS      2048 /* stack words that they may lie in: 16 KB */
#define PATH_STEP       16   /* slots compared at a time: a path has a multiple of it */

struct cached_rule {
	__u64 key; /* of the place, xor rule */
	__u64 rule;
};

struct rule_cache_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << RULE_CACHE_BITS);
	__type(key, __u32);
	__type(value, struct cached_rule);
};
extern struct rule_cache_map rule_cache SEC(".maps");

/*
 * A walk that was complete, to be recognised. A slot is a stack word that decided it, a return
 * address or what tells where a frame begins: its place, in words from sp, and what it held. The last
 * step is filled up with slots that repeat the first.
 */
struct path {
	__u64 version; /* odd: being written; path_begin() */
	__u64 place;   /* where the walk started: pc, sp, process, generation; 0: no path */
	__u64 stack;   /* its id */
	__u64 bp;      /* the frame pointer that it started with, if it was needed */
	__u16 needs_bp;
	__u16 words; /* stack words to read */
	__u16 nr_slots;
	__u16 slots[PATH_SLOTS];
	__u64 values[PATH_SLOTS];
};

struct path_cache_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << PATH_CACHE_BITS);
	__type(key, __u32);
	__type(value, struct path);
};
extern struct path_cache_map path_cache SEC(".maps");

/* The rule for @pc by its segment and table (rules.bpf.c); -1: no mapping. */
long rule_lookup(__u64 pc);

/* What keys of this process have in common, until its tables change. */
static __always_inline __u64 key_seed(void)
{
	return hash_step(0x9e3779b97f4a7c15ULL, (__u64)control.generation << 32 | current_tgid());
}

/* The rule for @pc, cached; -1: no mapping. */
static __always_inline long rule_find(__u64 seed, __u64 pc)
{
	__u64 key = seed ^ pc;
	__u32 index = hash_step(key, 0) >> (64 - RULE_CACHE_BITS);
	struct cached_rule *cached = bpf_map_lookup_elem(&rule_cache, &index);
	__u64 rule;
	long found;

	if (!cached)
		return -1;
	rule = cached->rule;
	if ((cached->key ^ rule) == key)
		return rule;
	found = rule_lookup(pc);
	if (found >= 0) {
		cached->key = key ^ found;
		cached->rule = found;
	}
	return found;
}

static __always_inline int read_word(__u64 address, __u64 *word)
{
	return bpf_probe_read_user(word, sizeof(*word), (void *)address);
}

/* Reads a stack word from the window, which is first moved to begin 64 bytes below @address. */
static __always_inline int window_read(struct lb_walk *walk, __u64 address, __u64 *word)
{
	if (address < walk->window_low || address + 8 > walk->window_high) {
		__u64 low = address - 56;

		walk->window_low = walk->window_high = 0;
		if (bpf_probe_read_user(walk->window, sizeof(walk->window), (void *)low))
			return read_word(address, word);
		walk->window_low = low;
		walk->window_high = low + sizeof(walk->window);
	}
	*word = walk->window[(address - walk->window_low) / 8 & (LB_WINDOW_WORDS - 1)];
	return 0;
}

/* The same without moving the window. */
static __always_inline int window_peek(struct lb_walk *walk, __u64 address, __u64 *word)
{
	if (address < walk->window_low || address + 8 > walk->window_high)
		return read_word(address, word);
	*word = walk->window[(address - walk->window_low) / 8 & (LB_WINDOW_WORDS - 1)];
	return 0;
}

/* The version of an entry; what is read of the entry before and after stays there. */
static __always_inline __u64 path_version(struct path *path)
{
	return __sync_fetch_and_add(&path->version, 0);
}

static __always_inline __u64 path_place(const struct lb_walk *walk, __u64 seed)
{
	return hash_step(hash_step(seed, walk->pc), walk->sp) | 1;
}

/* The place of the cache for the path that starts like @walk. Its second return address, when the
 * rule for the first tells where it is, tells apart paths that begin alike. */
static __always_inline struct path *path_find(struct lb_walk *walk, __u64 seed, __u64 place)
{
	long rule = rule_find(seed, walk->pc - 1);
	__u64 second = 0;
	__u32 index;

	if (rule >= 0 && LB_RULE_TYPE(rule) == LB_RULE_SP)
		read_word(walk->sp + LB_RULE_CFA(rule) - 8, &second);
	index = hash_step(place, second) >> (64 - PATH_CACHE_BITS);
	return bpf_map_lookup_elem(&path_cache, &index);
}

#endif
