/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A probed call: reading its arguments by the cookie, and pairing its entry with its return.
 */
#ifndef CALL_BPF_H
#define CALL_BPF_H

#include "ledger.bpf.h"
#include "stack.bpf.h"
#include "trampoline.bpf.h"

/* In a session program: is this the return? (call.bpf.c) */
int session_is_return(void);

/* The register that a cookie names. All are read at fixed offsets first: the verifier refuses a
 * context pointer that depends on a value. */
#if defined(__TARGET_ARCH_x86)

static __always_inline __u64 call_register(struct pt_regs *ctx, __u32 reg)
{
	__u64 di = ctx->di, si = ctx->si, dx = ctx->dx, cx = ctx->cx, ax = ctx->ax;
	__u64 r8 = ctx->r8, r9 = ctx->r9, r10 = ctx->r10, r11 = ctx->r11;

	barrier_var(di);
	barrier_var(si);
	barrier_var(dx);
	barrier_var(cx);
	if (reg == LB_REG_ARG0)
		return di;
	if (reg == LB_REG_ARG1)
		return si;
	if (reg == LB_REG_ARG2)
		return dx;
	if (reg == LB_REG_ARG3)
		return cx;
	barrier_var(ax);
	barrier_var(r8);
	barrier_var(r9);
	barrier_var(r10);
	barrier_var(r11);
	if (reg == LB_REG_ARG4)
		return r8;
	if (reg == LB_REG_ARG5)
		return r9;
	if (reg == LB_REG_RET)
		return ax;
	if (reg == LB_REG_R10)
		return r10;
	return reg == LB_REG_R11 ? r11 : 0;
}

/* A return has popped the return address: sp is one word above where it stood. */
#define CALL_RETURN_POPS 8

#elif defined(__TARGET_ARCH_arm64)

static __always_inline __u64 call_register(struct pt_regs *ctx, __u32 reg)
{
	struct user_pt_regs *regs = (struct user_pt_regs *)ctx;
	__u64 x0 = regs->regs[0], x1 = regs->regs[1], x2 = regs->regs[2];
	__u64 x3 = regs->regs[3], x4 = regs->regs[4], x5 = regs->regs[5];

	barrier_var(x0);
	barrier_var(x1);
	barrier_var(x2);
	barrier_var(x3);
	barrier_var(x4);
	barrier_var(x5);
	if (reg == LB_REG_ARG0)
		return x0;
	if (reg == LB_REG_ARG1)
		return x1;
	if (reg == LB_REG_ARG2)
		return x2;
	if (reg == LB_REG_ARG3)
		return x3;
	return reg == LB_REG_ARG4 ? x4 : reg == LB_REG_ARG5 ? x5 : 0;
}

/* The return address is in a register: sp is the same before the call and after it. */
#define CALL_RETURN_POPS 0

#endif

static __always_inline enum lb_call cookie_call(__u64 cookie)
{
	return cookie & 0xff;
}

static __always_inline __u64 call_argument(struct pt_regs *ctx, __u64 cookie, __u32 shift)
{
	return call_register(ctx, (cookie >> shift) & 0xf);
}

/*
 * Does the return address of @call still stand replaced on the stack? If not, the call was left
 * without returning (longjmp, exception). Assumed so where the return address is in a register or
 * the kernel does not tell its replacement.
 */
static __always_inline bool call_still_hijacked(const struct lb_inflight *call)
{
	__u64 trampoline = CALL_RETURN_POPS ? trampoline_address() : 0;
	__u64 slot = 0;

	if (!trampoline)
		return true;
	if (bpf_probe_read_user(&slot, sizeof(slot), (void *)call->sp))
		return false;
	return slot == trampoline;
}

/* Does @call open something, so that it was counted as a hit? */
static __always_inline bool call_is_hit(__u64 cookie)
{
	enum lb_call call = cookie_call(cookie);

	return call != LB_CALL_MUNMAP && call != LB_CALL_SHELTER;
}

/*
 * Is the thread, now at stack pointer @sp, inside @call? The same sp means a jump from the one
 * function to the other (a tail call). An abandoned call is counted and ended.
 */
static __always_inline bool call_is_inside(struct lb_inflight *call, __u64 sp)
{
	if (!call->sp)
		return false;
	if ((sp < call->sp || (CALL_RETURN_POPS && sp == call->sp)) && call_still_hijacked(call))
		return true;
	if (call_is_hit(call->cookie))
		stats_loss(call->kind, LB_LOSS_ABANDONED);
	call->sp = 0;
	return false;
}

/* Notes the entry of a call. */
static __always_inline void call_enter(struct lb_inflight *call, struct pt_regs *ctx, __u64 cookie,
				       __u32 kind)
{
	call->sp = PT_REGS_SP(ctx);
	call->a = call_argument(ctx, cookie, LB_COOKIE_A_SHIFT);
	call->b = call_argument(ctx, cookie, LB_COOKIE_B_SHIFT);
	call->c = call_argument(ctx, cookie, LB_COOKIE_C_SHIFT);
	call->cookie = cookie;
	call->kind = kind;
}

/* Is this the return of @call, which is of @kind? Then it has ended. */
static __always_inline bool call_has_returned(struct lb_inflight *call, struct pt_regs *ctx,
					      __u32 kind)
{
	if (!call->sp || call->kind != kind || PT_REGS_SP(ctx) != call->sp + CALL_RETURN_POPS)
		return false;
	call->sp = 0;
	return true;
}

#endif
