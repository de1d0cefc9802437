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

struct recognise {
	const struct path *path;
	const struct words *words;
	__u64 hash, bases;
};

static long recognise_step(__u32 step, struct recognise *recognise)
{
	__u32 slot, word;
	__u64 value;

	if (step >= PATH_SLOTS)
		return 1;
	slot = recognise->path->slots[step];
	word = slot & (PATH_WORDS - 1);
	value = recognise->words->word[word];
	if (slot & PATH_BASE)
		recognise->bases = hash_step(recognise->bases, value);
	else
		recognise->hash = hash_step(recognise->hash, value);
	return 0;
}

__noinline int unwind_recognise(struct lb_thread *thread)
{
	struct recognise recognise = {};
	struct words *words;
	struct lb_walk *walk;
	struct path *path;
	struct lb_stats *mine;
	__u32 zero = 0, bytes;
	__u64 place;

	if (!thread)
		return 0;
	walk = &thread->walk;
	place = path_place(walk);
	path = path_find(walk, place);
	words = bpf_map_lookup_elem(&path_words, &zero);
	if (!path || !words || path->place != place || (path->needs_bp && path->bp != walk->bp))
		return 0;
	bytes = path->words * 8;
	if (bytes > sizeof(*words) || bpf_probe_read_user(words, bytes, (void *)walk->sp))
		return 0;
	recognise.path = path;
	recognise.words = words;
	recognise.hash = hash_step(0, walk->pc);
	bpf_loop(path->nr_slots, recognise_step, &recognise, 0);
	if (recognise.hash != path->hash || recognise.bases != path->bases)
		return 0;
	walk->stack = stack_id(recognise.hash, path->nr_frames, 0);
	mine = bpf_map_lookup_elem(&stats, &zero);
	if (mine)
		__sync_fetch_and_add(&mine->unwind_cached, 1);
	return 1;
}
