/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Captures the stack at each call of an allocator as the product does, checks that recognising a
 * stack and walking it agree, and now and then stops the thread so that another unwinder can look
 * at the very same stack.
 */
#include "call.bpf.h"

#include "oracle.h"

#define SIGSTOP 19

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} samples SEC(".maps");

__u64 oracle_hits = 0;
__u64 oracle_recognised = 0; /* stacks that were not walked ... */
__u64 oracle_wrong = 0;      /* ... but should have been: the walk has another result */
__u64 oracle_every = 1;
__u64 oracle_armed = 0; /* 1: the next one is stopped */

/* Walks a stack that was recognised, too. One that ended before its first frame, for want of tables,
 * has no frames either, but is marked. */
static __always_inline void check_recognised(struct lb_thread *thread)
{
	__u64 recognised = thread->walk.stack;

	if (thread->walk.nr_frames || thread->walk.flags)
		return;
	__sync_fetch_and_add(&oracle_recognised, 1);
	unwind_walk(thread);
	if (thread->walk.stack != recognised)
		__sync_fetch_and_add(&oracle_wrong, 1);
}

static __always_inline void send_sample(struct pt_regs *ctx, const struct lb_walk *walk)
{
	struct sample *sample = bpf_ringbuf_reserve(&samples, sizeof(*sample), 0);
	__u64 id = bpf_get_current_pid_tgid();

	if (!sample)
		return;
	sample->tgid = id >> 32;
	sample->tid = (__u32)id;
	sample->ip = PT_REGS_IP(ctx);
	sample->nr_frames = walk->nr_frames;
	sample->flags = walk->flags;
	bpf_probe_read_kernel(sample->frames, sizeof(sample->frames), walk->frames);
	bpf_ringbuf_submit(sample, 0);
	bpf_send_signal_thread(SIGSTOP);
}

SEC("uprobe.multi")
int oracle_entry(struct pt_regs *ctx)
{
	struct lb_thread *thread = thread_get();
	__u64 sp = PT_REGS_SP(ctx), caller;

	if (!thread || bpf_probe_read_user(&caller, sizeof(caller), (void *)sp))
		return 0;
	stack_capture(thread, caller, sp + 8, PT_REGS_FP(ctx));
	check_recognised(thread);
	if (__sync_fetch_and_add(&oracle_hits, 1) % oracle_every)
		return 0;
	if (__sync_val_compare_and_swap(&oracle_armed, 1, 0) == 1)
		send_sample(ctx, &thread->walk);
	return 0;
}
