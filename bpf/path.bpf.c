/* SPDX-License-Identifier: GPL-2.0-only */
/* Recognising a stack that was walked before; unwind.bpf.c tells how and why it is sound. */
#include "unwind.bpf.h"

/* Working memory of unwind_recognise(). A thread that preempts its user on this CPU walks: it must
 * not put its own stack there, which may be that of the path. */
struct words {
	__u64 word[PATH_WORDS];
	__u64 taken;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct words);
} path_words SEC(".maps");

struct recognise {
	const struct path *path;
	const struct words *words;
	__u64 differences; /* bits that are not what they were */
};

/* Compares slots @step * PATH_STEP and on. The comparisons do not wait for each other. */
static long recognise_step(__u32 step, struct recognise *recognise)
{
	const struct path *path = recognise->path;
	__u64 differences = 0;
	__u32 slot = step * PATH_STEP;

	if (slot >= PATH_SLOTS)
		return 1;
#pragma unroll
	for (__u32 i = 0; i < PATH_STEP; i++) {
		__u32 word = path->slots[slot + i] & (PATH_WORDS - 1);

		differences |= recognise->words->word[word] ^ path->values[slot + i];
	}
	recognise->differences |= differences;
	return differences != 0;
}

static __always_inline void count_recognised(void)
{
	__u32 zero = 0;
	struct lb_stats *mine = bpf_map_lookup_elem(&stats, &zero);

	if (mine)
		__sync_fetch_and_add(&mine->unwind_cached, 1);
}

/* Does the stack hold what made @path the path that it is? */
static __always_inline bool path_matches(const struct path *path, const struct lb_walk *walk,
					 const struct words *words)
{
	struct recognise recognise = { .path = path, .words = words };

	if (path->needs_bp && path->bp != walk->bp)
		return false;
	bpf_loop((path->nr_slots + PATH_STEP - 1) / PATH_STEP, recognise_step, &recognise, 0);
	return !recognise.differences;
}

__noinline int unwind_recognise(struct lb_thread *thread)
{
	__u64 seed, place, version, stack;
	__u32 zero = 0, nr_words;
	struct words *words;
	struct lb_walk *walk;
	struct path *path;
	bool matches;

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
	barrier_var(nr_words);
	if (nr_words > PATH_WORDS || __sync_lock_test_and_set(&words->taken, 1))
		return 0;
	matches = !bpf_probe_read_user(words, nr_words * 8, (void *)walk->sp) &&
		  path_matches(path, walk, words);
	stack = path->stack;
	__sync_lock_test_and_set(&words->taken, 0);
	if (!matches || path_version(path) != version)
		return 0;
	walk->stack = stack;
	count_recognised();
	return 1;
}
