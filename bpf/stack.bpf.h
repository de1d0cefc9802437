/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef STACK_BPF_H
#define STACK_BPF_H

#include "ledger.bpf.h"

/*
 * Captures the user stack into @thread->walk: first @pc, then its callers, from the registers at
 * that point, where @pc is a return address. Sets the id and the flags, and the frames but for a
 * stack that was recognised.
 */
int stack_capture(struct lb_thread *thread, __u64 pc, __u64 sp, __u64 bp);

/* Stores the captured frames once; later calls with the same stack do nothing. */
int stack_store(struct lb_thread *thread);

/* The same walk by unwind tables, and recognising a stack that was walked before (unwind.bpf.c).
 * unwind_recognise() returns 1 when it did. */
int unwind_walk(struct lb_thread *thread);
int unwind_recognise(struct lb_thread *thread);

/* One step of a 64-bit hash (multiply and fold; the constant is that of SplitMix64). */
static __always_inline __u64 hash_step(__u64 hash, __u64 value)
{
	hash = (hash ^ value) * 0xbf58476d1ce4e5b9ULL;
	return hash ^ (hash >> 32);
}

/* The id of a stack from the hash of its frames; never 0. */
static __always_inline __u64 stack_id(__u64 hash, __u32 nr_frames, __u32 flags)
{
	return hash_step(hash, (__u64)flags << 32 | nr_frames) ?: 1;
}

#endif
