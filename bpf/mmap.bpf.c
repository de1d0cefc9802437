/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Mappings that the program makes itself. Those made inside an allocator's call belong to the
 * block that it returns; those made inside a shelter (a thread's stack) are nobody's leak.
 */
#include "call.bpf.h"
#include "limits.bpf.h"

#define MAP_FIXED      0x10             /* include/uapi/asm-generic/mman-common.h */
#define ERROR_RETURNED ((__u64) - 4095) /* the highest 4095 values are -errno */

static __always_inline __u64 page_round(__u64 bytes)
{
	return (bytes + config.page_bytes - 1) & ~(config.page_bytes - 1);
}

/* Where the heap of brk ends now. */
static __always_inline __u64 program_break(void)
{
	return BPF_CORE_READ(bpf_get_current_task_btf(), mm, brk);
}

static __always_inline bool mmap_is_inside(struct lb_thread *thread, __u64 sp)
{
	return call_is_inside(&thread->call, sp) || call_is_inside(&thread->shelter, sp);
}

/* Returns 1 when the return of this call need not be seen. */
static __always_inline int mmap_enter(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	bool hit = call_is_hit(cookie);
	struct lb_thread *thread;

	if (!control.active)
		return 1;
	if (hit)
		stats_count(LB_KIND_MMAP, LB_COUNT_HITS);
	thread = thread_get();
	if (!thread) {
		stats_loss(LB_KIND_MMAP, LB_LOSS_THREAD);
		return 1;
	}
	if (mmap_is_inside(thread, PT_REGS_SP(ctx))) {
		if (hit)
			stats_count(LB_KIND_MMAP, LB_COUNT_NESTED);
		return 1;
	}
	call_enter(&thread->call, ctx, cookie, LB_KIND_MMAP);
	thread->call.time_ns = bpf_ktime_get_ns();
	if (cookie_call(cookie) == LB_CALL_BRK)
		thread->call.a = program_break();
	if (cookie_call(cookie) == LB_CALL_MUNMAP)
		thread->call.c = PT_REGS_IP(ctx);
	return 0;
}

/* Was munmap, probed at call->c, called from within the C library? */
static __always_inline bool caller_is_library(const struct lb_inflight *call, __u64 caller)
{
	__u64 before = LB_COOKIE_BEFORE(call->cookie), behind = LB_COOKIE_BEHIND(call->cookie);

	return caller - (call->c - before) < before + behind;
}

/* The library unmaps what it has mapped itself: blocks and stacks, which have no range here. A function
 * of the program that it calls may leave by a jump to munmap, though: that is told by a range that
 * begins there. */
static __always_inline void unmapped(struct pt_regs *ctx, const struct lb_inflight *call)
{
	ledger_close_range(call->a, page_round(call->b), call->time_ns,
			   caller_is_library(call, PT_REGS_IP(ctx)));
}

static __always_inline void mmap_open(struct pt_regs *ctx, struct lb_thread *thread, __u64 start,
				      __u64 bytes)
{
	stack_capture(thread, PT_REGS_IP(ctx), PT_REGS_SP(ctx), PT_REGS_FP(ctx));
	ledger_open(thread, LB_KIND_MMAP, start, bytes);
}

/* The break moved from call->a to where it is now. */
static __always_inline void break_moved(struct pt_regs *ctx, struct lb_thread *thread)
{
	__u64 before = thread->call.a, after = program_break();

	if (after > before) {
		mmap_open(ctx, thread, before, after - before);
		return;
	}
	stats_count(LB_KIND_MMAP, LB_COUNT_FAILED);
	if (after < before)
		ledger_close_range(after, before - after, thread->call.time_ns, false);
}

static __always_inline int mmap_return(struct pt_regs *ctx)
{
	struct lb_thread *thread = thread_get();
	__u64 result = PT_REGS_RC(ctx);
	struct lb_inflight *call;

	if (!thread || !call_has_returned(&thread->call, ctx, LB_KIND_MMAP))
		return 0;
	call = &thread->call;
	if (cookie_call(call->cookie) == LB_CALL_BRK) {
		break_moved(ctx, thread);
		return 0;
	}
	if (cookie_call(call->cookie) == LB_CALL_MUNMAP) {
		if (!result)
			unmapped(ctx, call);
		return 0;
	}
	if (result >= ERROR_RETURNED) {
		stats_count(LB_KIND_MMAP, LB_COUNT_FAILED);
		return 0;
	}
	if (cookie_call(call->cookie) == LB_CALL_MREMAP) {
		if (call->b)
			ledger_close_range(call->a, page_round(call->b), call->time_ns, false);
		if (result != call->a) /* MREMAP_FIXED: what was there is gone */
			ledger_cut_ranges(result, page_round(call->c), call->time_ns);
		mmap_open(ctx, thread, result, page_round(call->c));
		return 0;
	}
	if (call->c & MAP_FIXED)
		ledger_close_range(result, page_round(call->a), call->time_ns, false);
	mmap_open(ctx, thread, result, page_round(call->a));
	return 0;
}

SEC("uprobe.multi")
int mmap_session(struct pt_regs *ctx)
{
	return session_is_return() ? mmap_return(ctx) : mmap_enter(ctx);
}

SEC("uprobe.multi")
int mmap_entry(struct pt_regs *ctx)
{
	mmap_enter(ctx);
	return 0;
}

SEC("uprobe.multi")
int mmap_exit(struct pt_regs *ctx)
{
	return mmap_return(ctx);
}

/* --- shelters --- */

/* What may throw is no shelter: an exception can not pass a probed return (limits.bpf.h). */
static __always_inline int shelter_enter(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx), sp = PT_REGS_SP(ctx);
	struct lb_thread *thread;

	if (!control.active)
		return 1;
	thread = thread_get();
	if (!thread) {
		stats_loss(LB_KIND_MMAP, LB_LOSS_THREAD);
		return 1;
	}
	if (call_is_inside(&thread->shelter, sp))
		return 1;
	if (cookie & LB_COOKIE_THROWS &&
	    allocation_may_fail(call_argument(ctx, cookie, LB_COOKIE_A_SHIFT)))
		return 1;
	thread->shelter.sp = sp;
	thread->shelter.cookie = cookie;
	thread->shelter.kind = LB_KIND_MMAP;
	return 0;
}

static __always_inline int shelter_return(struct pt_regs *ctx)
{
	struct lb_thread *thread = thread_get();

	if (thread)
		call_has_returned(&thread->shelter, ctx, LB_KIND_MMAP);
	return 0;
}

SEC("uprobe.multi")
int shelter_session(struct pt_regs *ctx)
{
	return session_is_return() ? shelter_return(ctx) : shelter_enter(ctx);
}

SEC("uprobe.multi")
int shelter_entry(struct pt_regs *ctx)
{
	shelter_enter(ctx);
	return 0;
}

SEC("uprobe.multi")
int shelter_exit(struct pt_regs *ctx)
{
	return shelter_return(ctx);
}
