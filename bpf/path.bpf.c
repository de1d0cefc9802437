/* SPDX-License-Identifier: GPL-2.0-only */
/* Recognising a stack that was walked before; unwind.bpf.c tells how and why it is sound. */
#include "unwind.bpf.h"

/* Working memory of unwind_recognise(). Another thread that preempts us may spoil it: then the hash
 * does not come out and the stack is walked. */
struct words {
	__u64 word[PATH_WORDS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct words);
} path_words SEC(".maps");

/* Slots hashed by one step of the loops below; they do not wait for each other. */
#define SLOTS_PER_STEP 16

struct recognise {
	const __u16 *slots;
	const struct words *words;
	__u32 nr;
	__u32 first; /* index of the first word in its sequence */
	__u64 hash;  /* of the words */
};

static long recognise_step(__u32 step, struct recognise *recognise)
{
	__u64 hash = recognise->hash;

#pragma unroll
	for (__u32 i = 0; i < SLOTS_PER_STEP; i++) {
		__u32 index = step * SLOTS_PER_STEP + i, word;

		if (index >= recognise->nr || index >= PATH_SLOTS)
			break;
		word = recognise->slots[index];
		hash += hash_term(recognise->words->word[word & (PATH_WORDS - 1)],
				  index + recognise->first);
	}
	recognise->hash = hash;
	return 0;
}

/* The hash of the words in @slots; the first one is word @first of its sequence. */
static __always_inline __u64 slots_hash(struct recognise *recognise, const __u16 *slots, __u32 nr,
					__u32 first)
{
	recognise->slots = slots;
	recognise->nr = nr;
	recognise->first = first;
	recognise->hash = 0;
	if (nr)
		bpf_loop((nr + SLOTS_PER_STEP - 1) / SLOTS_PER_STEP, recognise_step, recognise, 0);
	return recognise->hash;
}

static __always_inline void count_recognised(void)
{
	__u32 zero = 0;
	struct lb_stats *mine = bpf_map_lookup_elem(&stats, &zero);

	if (mine)
		__sync_fetch_and_add(&mine->unwind_cached, 1);
}

/* Does the stack hold what made @path the path that it is? Then the hash of its frames is returned. */
static __always_inline bool path_matches(const struct path *path, const struct lb_walk *walk,
					 struct recognise *recognise, __u32 nr_returns,
					 __u64 *ret_hash)
{
	__u64 hash, bases_hash;

	hash = hash_term(walk->pc, 0) + slots_hash(recognise, path->returns, nr_returns, 1);
	if (hash != path->hash)
		return false;
	bases_hash = slots_hash(recognise, path->bases, path->nr_bases, 0);
	*ret_hash = hash;
	return bases_hash_with(bases_hash, path->needs_bp, walk->bp) == path->bases_hash;
}

__noinline int unwind_recognise(struct lb_thread *thread)
{
	struct recognise recognise = {};
	__u32 zero = 0, nr_words, nr_returns;
	__u64 seed, place, version, hash = 0;
	struct words *words;
	struct lb_walk *walk;
	struct path *path;

	if (!thread)
		return 0;
	walk = &thread->walk;
	seed = key_seed();
	place = path_place(walk, seed);
	path = path_find(walk, seed, place);
	words = bpf_map_lookup_elem(&path_words, &zero);
	if (!path || !words)
		return 0;
	version = path_version(path);
	if (version & 1 || path->place != place)
		return 0;
	nr_words = path->words;
	nr_returns = path->nr_returns;
	barrier_var(nr_words);
	barrier_var(nr_returns);
	if (nr_words > PATH_WORDS || bpf_probe_read_user(words, nr_words * 8, (void *)walk->sp))
		return 0;
	recognise.words = words;
	if (!path_matches(path, walk, &recognise, nr_returns, &hash) ||
	    path_version(path) != version)
		return 0;
	walk->stack = stack_id(hash, nr_returns + 1, 0);
	count_recognised();
	return 1;
}
