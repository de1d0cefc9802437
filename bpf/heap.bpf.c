/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Heap blocks: malloc and its kin of any allocator. What a call does and where its arguments are
 * comes from the attach cookie, so these few programs serve the whole catalogue.
 */
#include "call.bpf.h"
#include "limits.bpf.h"

/* The block that the call returned; 0: none. -1: it could not be read. */
static __always_inline int heap_block(struct pt_regs *ctx, const struct lb_inflight *call,
				      __u64 *ret_block)
{
	*ret_block = PT_REGS_RC(ctx);
	if (cookie_call(call->cookie) != LB_CALL_MEMALIGN)
		return 0;
	if (!(__u32)*ret_block)
		return bpf_probe_read_user(ret_block, sizeof(*ret_block), (void *)call->a) ? -1 : 0;
	*ret_block = 0;
	return 0;
}

/* The number of bytes that the call asked for. */
static __always_inline __u64 heap_bytes(const struct lb_inflight *call)
{
	bool multiply = call->cookie & LB_COOKIE_MULTIPLY;

	switch (cookie_call(call->cookie)) {
	case LB_CALL_REALLOC:
		return multiply ? call->b * call->c : call->b;
	case LB_CALL_MEMALIGN:
		return call->b;
	default:
		return multiply ? call->a * call->b : call->a;
	}
}

/* Returns 1 when the return of this call need not be seen. */
static __always_inline int heap_enter(struct pt_regs *ctx)
{
	struct lb_thread *thread;
	__u64 cookie;

	if (!control.active)
		return 1;
	stats_count(LB_KIND_HEAP, LB_COUNT_HITS);
	thread = thread_get();
	if (!thread) {
		stats_loss(LB_KIND_HEAP, LB_LOSS_THREAD);
		return 1;
	}
	if (call_is_inside(&thread->call, PT_REGS_SP(ctx))) {
		stats_count(LB_KIND_HEAP, LB_COUNT_NESTED);
		return 1;
	}
	cookie = bpf_get_attach_cookie(ctx);
	call_enter(&thread->call, ctx, cookie, LB_KIND_HEAP);
	if (cookie & LB_COOKIE_THROWS && allocation_may_fail(heap_bytes(&thread->call))) {
		thread->call.sp = 0;
		stats_loss(LB_KIND_HEAP, LB_LOSS_MAY_THROW);
		return 1;
	}
	if (cookie_call(cookie) == LB_CALL_REALLOC)
		thread->call.time_ns = bpf_ktime_get_ns();
	return 0;
}

/* The old block of a realloc is closed if the call succeeded; realloc(p, 0) that returns NULL has
 * freed it, but not one whose size overflows to 0. A block that another thread got at the same
 * address meanwhile is younger. */
static __always_inline void heap_close_old(const struct lb_inflight *call, __u64 block)
{
	if (cookie_call(call->cookie) != LB_CALL_REALLOC || !call->a)
		return;
	if (block || !call->b || (call->cookie & LB_COOKIE_MULTIPLY && !call->c))
		ledger_close(LB_KIND_HEAP, call->a, call->time_ns);
}

static __always_inline int heap_return(struct pt_regs *ctx)
{
	struct lb_thread *thread = thread_get();
	__u64 block;

	if (!thread || !call_has_returned(&thread->call, ctx, LB_KIND_HEAP))
		return 0;
	if (heap_block(ctx, &thread->call, &block)) {
		stats_loss(LB_KIND_HEAP, LB_LOSS_USER_READ);
		return 0;
	}
	heap_close_old(&thread->call, block);
	if (!block) {
		stats_count(LB_KIND_HEAP, LB_COUNT_FAILED);
		return 0;
	}
	stack_capture(thread, PT_REGS_IP(ctx), PT_REGS_SP(ctx), PT_REGS_FP(ctx));
	ledger_open(thread, LB_KIND_HEAP, block, heap_bytes(&thread->call));
	return 0;
}

/* Attached as a session (expected attach type 57): one program for entry and return. */
SEC("uprobe.multi")
int heap_session(struct pt_regs *ctx)
{
	return session_is_return() ? heap_return(ctx) : heap_enter(ctx);
}

SEC("uprobe.multi")
int heap_entry(struct pt_regs *ctx)
{
	heap_enter(ctx);
	return 0;
}

SEC("uprobe.multi")
int heap_exit(struct pt_regs *ctx)
{
	return heap_return(ctx);
}

SEC("uprobe.multi")
int heap_free(struct pt_regs *ctx)
{
	__u64 block;

	if (!control.active)
		return 0;
	block = call_argument(ctx, bpf_get_attach_cookie(ctx), LB_COOKIE_A_SHIFT);
	if (block)
		ledger_close(LB_KIND_HEAP, block, ~0ULL);
	return 0;
}
