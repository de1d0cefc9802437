/* SPDX-License-Identifier: GPL-2.0-only */
/* Drives the ledger without a probe: one operation per run. */
#include "ledger.bpf.h"
#include "stack.bpf.h"

enum operation { OP_OPEN, OP_CLOSE, OP_CLOSE_RANGE, OP_CAPTURE, OP_CUT_RANGES };

struct request {
	__u32 operation;
	__u32 kind;
	__u64 id;
	__u64 weight;
	__u64 stack; /* OP_OPEN: frames stack, stack + 1 ... */
	__u64 nr_frames;
	__u64 pc, sp, bp; /* OP_CAPTURE: registers; memory is that of the caller */
	__u64 wait_reason;
	__u64 ret_stack;
	__u64 ret_nr_frames;
	__u64 ret_flags;
};

struct fill {
	struct lb_walk *walk;
	__u64 first;
};

static long fill_step(__u32 step, struct fill *fill)
{
	fill->walk->frames[step & LB_MAX_FRAMES] = fill->first + step;
	return 0;
}

static __always_inline void set_stack(struct lb_walk *walk, const struct request *request)
{
	struct fill fill = { .walk = walk, .first = request->stack };

	walk->stack = request->stack;
	walk->nr_frames = request->nr_frames & LB_MAX_FRAMES;
	walk->flags = 0;
	bpf_loop(walk->nr_frames, fill_step, &fill, 0);
}

SEC("syscall")
int run_request(struct request *request)
{
	struct lb_thread *thread = thread_get();

	if (!thread)
		return -1;
	switch (request->operation) {
	case OP_OPEN:
		set_stack(&thread->walk, request);
		thread->wait_reason = request->wait_reason;
		return ledger_open(thread, request->kind, request->id, request->weight);
	case OP_CLOSE:
		return ledger_close(request->kind, request->id, ~0ULL);
	case OP_CLOSE_RANGE:
		return ledger_close_range(request->id, request->weight, ~0ULL, false);
	case OP_CUT_RANGES:
		return ledger_cut_ranges(request->id, request->weight, ~0ULL);
	case OP_CAPTURE:
		stack_capture(thread, request->pc, request->sp, request->bp);
		request->ret_stack = thread->walk.stack;
		request->ret_nr_frames = thread->walk.nr_frames;
		request->ret_flags = thread->walk.flags;
		return 0;
	}
	return -1;
}
