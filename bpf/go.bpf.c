/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the Go runtime opens and closes: timers, threads, goroutines and their waits. Entry probes
 * only: a probe on a return kills a Go process. What a call does and where its argument is comes from the attach cookie.
 */
#include "call.bpf.h"

#define GO_G_M 48 /* g.m: Go 1.17-1.27, src/runtime/runtime2.go, struct g */
/* The third argument of gopark, a waitReason: Go 1.18-1.27, src/runtime/runtime2.go, a uint8. */
#define GO_REASON_MASK 0xff
#define FLAG_CF        0x01
#define FLAG_ZF        0x40

#if defined(__TARGET_ARCH_x86)

/* ABIInternal of Go 1.17 and later, src/cmd/compile/abi-internal.md: arguments, and g. */
static __always_inline __u64 go_argument(struct pt_regs *ctx, __u64 cookie)
{
	__u64 first = ctx->ax, second = ctx->bx;

	barrier_var(first);
	barrier_var(second);
	return cookie & LB_COOKIE_GO_SECOND ? second : first;
}

static __always_inline __u64 go_third_argument(struct pt_regs *ctx)
{
	return ctx->cx;
}

static __always_inline __u64 go_current(struct pt_regs *ctx)
{
	return ctx->r14;
}

/* At the branch to where the stack is grown: will it be taken? Then the function begins anew. */
static __always_inline bool go_begins_anew(struct pt_regs *ctx, __u64 cookie)
{
	return cookie & LB_COOKIE_GO_BRANCH && ctx->flags & (FLAG_CF | FLAG_ZF);
}

#else

static __always_inline __u64 go_argument(struct pt_regs *ctx, __u64 cookie)
{
	struct user_pt_regs *regs = (struct user_pt_regs *)ctx;
	__u64 first = regs->regs[0], second = regs->regs[1];

	barrier_var(first);
	barrier_var(second);
	return cookie & LB_COOKIE_GO_SECOND ? second : first;
}

static __always_inline __u64 go_third_argument(struct pt_regs *ctx)
{
	return ((struct user_pt_regs *)ctx)->regs[2];
}

static __always_inline __u64 go_current(struct pt_regs *ctx)
{
	return ((struct user_pt_regs *)ctx)->regs[28];
}

static __always_inline bool go_begins_anew(struct pt_regs *ctx, __u64 cookie)
{
	return false; /* no places at branches are chosen there */
}

#endif

static __always_inline __u32 go_kind(__u64 cookie)
{
	switch (cookie_call(cookie)) {
	case LB_CALL_GO_THREAD:
	case LB_CALL_GO_THREAD_END:
		return LB_KIND_THREAD;
	case LB_CALL_GO_NEWPROC:
	case LB_CALL_GO_CREATED:
	case LB_CALL_GO_ENDED:
		return LB_KIND_NEWPROC;
	case LB_CALL_GO_PARK:
	case LB_CALL_GO_EXECUTE:
		return LB_KIND_GOPARK;
	default:
		return LB_KIND_TIMER;
	}
}

/* Captures the stack of the caller, or from the probed instruction on. */
static __always_inline int go_capture(struct lb_thread *thread, struct pt_regs *ctx, __u64 cookie)
{
	__u64 sp = PT_REGS_SP(ctx), caller;

	if (cookie & LB_COOKIE_GO_INSIDE)
		return stack_capture(thread, PT_REGS_IP(ctx) + 1, sp, PT_REGS_FP(ctx));
	if (bpf_probe_read_user(&caller, sizeof(caller), (void *)sp))
		return -1;
	return stack_capture(thread, caller, sp + 8, PT_REGS_FP(ctx));
}

/* Is the timer one of those that the garbage collector takes when nobody waits for it? Then it can
 * not leak (Go 1.23 and later, src/runtime/time.go, struct timer: isChan). */
static __always_inline bool timer_is_collected(__u64 timer, __u64 cookie)
{
	__u32 at = LB_COOKIE_GO_IS_CHAN(cookie);
	__u8 is_chan = 0;

	return at && !bpf_probe_read_user(&is_chan, sizeof(is_chan), (void *)(timer + at)) &&
	       is_chan;
}

/*
 * The goroutine whose go statement newproc was called for on this thread: it can not be taken off the
 * thread in between. Other stacks that were captured since make it unknown.
 */
static __always_inline int go_created(struct pt_regs *ctx, __u64 cookie)
{
	struct lb_thread *thread = thread_get();
	__u64 stack;

	if (!thread)
		return 0;
	stack = thread->newproc_stack;
	thread->newproc_stack = 0;
	if (!stack) /* its beginning was not seen */
		return 0;
	if (thread->walk.stack != stack)
		stats_loss(LB_KIND_NEWPROC, LB_LOSS_ABANDONED);
	else
		ledger_open(thread, LB_KIND_NEWPROC, go_argument(ctx, cookie), 1);
	return 0;
}

/* The address of what is opened. */
static __always_inline __u64 go_id(struct pt_regs *ctx, __u64 cookie, __u32 kind)
{
	if (kind == LB_KIND_GOPARK)
		return go_current(ctx);
	return go_argument(ctx, cookie) + LB_COOKIE_GO_ADD(cookie);
}

SEC("uprobe.multi")
int go_open(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx), id;
	struct lb_thread *thread;
	__u32 kind;

	if (!control.active || go_begins_anew(ctx, cookie))
		return 0;
	if (cookie_call(cookie) == LB_CALL_GO_CREATED)
		return go_created(ctx, cookie);
	kind = go_kind(cookie);
	id = go_id(ctx, cookie, kind);
	if (kind == LB_KIND_TIMER && timer_is_collected(id, cookie))
		return 0;
	stats_count(kind, LB_COUNT_HITS);
	thread = thread_get();
	if (!thread) {
		stats_loss(kind, LB_LOSS_THREAD);
		return 0;
	}
	if (go_capture(thread, ctx, cookie)) {
		stats_loss(kind, LB_LOSS_USER_READ);
		return 0;
	}
	if (kind == LB_KIND_NEWPROC) {
		thread->newproc_stack = thread->walk.stack;
		return 0;
	}
	if (kind == LB_KIND_GOPARK)
		thread->wait_reason = go_third_argument(ctx) & GO_REASON_MASK;
	ledger_open(thread, kind, id, kind != LB_KIND_GOPARK);
	return 0;
}

/* A timer that fires goes on when it has a period. */
static __always_inline bool timer_goes_on(__u64 timer, __u64 cookie)
{
	__u64 period = 0;

	if (cookie_call(cookie) != LB_CALL_GO_TIMER_FIRE)
		return false;
	bpf_probe_read_user(&period, sizeof(period), (void *)(timer + LB_COOKIE_GO_PERIOD(cookie)));
	return period != 0;
}

SEC("uprobe.multi")
int go_close(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx), id;

	if (!control.active || go_begins_anew(ctx, cookie))
		return 0;
	if (cookie_call(cookie) == LB_CALL_GO_THREAD_END) {
		if (!bpf_probe_read_user(&id, sizeof(id), (void *)(go_current(ctx) + GO_G_M)))
			ledger_close(LB_KIND_THREAD, id, ~0ULL);
		return 0;
	}
	id = go_argument(ctx, cookie) + LB_COOKIE_GO_ADD(cookie);
	if (!timer_goes_on(id, cookie))
		ledger_close(go_kind(cookie), id, ~0ULL);
	return 0;
}
