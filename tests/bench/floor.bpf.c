/* SPDX-License-Identifier: GPL-2.0-only */
/* Programs that do nothing, or one thing: what is left of a probe's cost without the product. */
#include "ledger.bpf.h"
#include "stack.bpf.h"

/* Linux 6.18, include/uapi/linux/bpf.h; the product uses neither. */
#define MAP_TYPE_STACK_TRACE 7   /* BPF_MAP_TYPE_STACK_TRACE */
#define USER_STACK           256 /* BPF_F_USER_STACK */

#define MAX_TRACES 1024

struct {
	__uint(type, MAP_TYPE_STACK_TRACE);
	__uint(max_entries, MAX_TRACES);
	__type(key, __u32);
	__uint(value_size, LB_MAX_FRAMES * sizeof(__u64));
} traces SEC(".maps");

/* Entry and return of what allocates; attached as the product's heap_session. */
SEC("uprobe.multi")
int floor_session(struct pt_regs *ctx)
{
	return 0;
}

SEC("uprobe.multi")
int floor_entry(struct pt_regs *ctx)
{
	return 0;
}

SEC("uprobe.multi")
int floor_exit(struct pt_regs *ctx)
{
	return 0;
}

/* The kernel's own stack walk. */
SEC("uprobe.multi")
int floor_stackid(struct pt_regs *ctx)
{
	bpf_get_stackid(ctx, &traces, USER_STACK);
	return 0;
}

/* The product's stack walk, at a return as in the product. */
SEC("uprobe.multi")
int floor_walk(struct pt_regs *ctx)
{
	struct lb_thread *thread = thread_get();

	if (thread)
		stack_capture(thread, PT_REGS_IP(ctx), PT_REGS_SP(ctx), PT_REGS_FP(ctx));
	return 0;
}
