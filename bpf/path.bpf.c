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
	__u32 first; /* index of the first slot in its sequence */
	__u64 hash;
};

static long recognise_step(__u32 step, struct recognise *recognise)
{
	__u64 hash = recognise->hash;

#pragma unroll
	for (__u32 i = 0; i < SLOTS_PER_STEP; i++) {
		__u32 index = step * SLOTS_PER_STEP + i;

		if (index >= recognise->nr || index >= PATH_SLOTS)
			break;
		hash += hash_term(
			recognise->words->word[recognise->slots[index] & (PATH_WORDS - 1)],
			index + recognise->first);
	}
	recognise->hash = hash;
	return 0;
}

/* The hash of the words in @slots; the first one is word @first of its sequence. */
static __always_inline __u64 slots_hash(const struct words *words, const __u16 *slots, __u32 nr,
					__u32 first)
{
	struct recognise recognise = { .slots = slots, .words = words, .nr = nr, .first = first };

	if (nr)
		bpf_loop((nr + SLOTS_PER_STEP - 1) / SLOTS_PER_STEP, recognise_step, &recognise, 0);
	return recognise.hash;
}

static __always_inline void count_recognised(void)
{
	__u32 zero = 0;
	struct lb_stats *mine = bpf_map_lookup_elem(&stats, &zero);

	if (mine)
		__sync_fetch_and_add(&mine->unwind_cached, 1);
}

__noinline int unwind_recognise(struct lb_thread *thread)
{
	struct words *words;
	struct lb_walk *walk;
	struct path *path;
	__u32 zero = 0, bytes, nr;
	__u64 seed, place, hash;

	if (!thread)
		return 0;
	walk = &thread->walk;
	seed = key_seed();
	place = path_place(walk, seed);
	path = path_find(walk, seed, place);
	words = bpf_map_lookup_elem(&path_words, &zero);
	if (!path || !words || path->place != place || (path->needs_bp && path->bp != walk->bp))
		return 0;
	bytes = path->words * 8;
	if (bytes > sizeof(*words) || bpf_probe_read_user(words, bytes, (void *)walk->sp))
		return 0;
	nr = path->nr_returns; /* read once: another thread may record its path here meanwhile */
	barrier_var(nr);
	hash = hash_term(walk->pc, 0) + slots_hash(words, path->returns, nr, 1);
	if (hash != path->hash ||
	    slots_hash(words, path->bases, path->nr_bases, 0) != path->bases_hash)
		return 0;
	walk->stack = stack_id(hash, nr + 1, 0);
	count_recognised();
	return 1;
}
