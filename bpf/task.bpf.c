/* SPDX-License-Identifier: GPL-2.0-only */
/* What the watched processes do: children, new programs, ends, libraries. */
#include "ledger.bpf.h"

static __always_inline bool tgid_is_target(__u32 tgid)
{
	return bpf_map_lookup_elem(&targets, &tgid);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(task_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 tgid = child->tgid, one = 1;

	if (parent->tgid == child->tgid || !tgid_is_target(parent->tgid))
		return 0;
	if (config.follow) /* it may fork before the loader gets to it */
		bpf_map_update_elem(&targets, &tgid, &one, BPF_ANY);
	event_send(LB_EVENT_FORK, parent->tgid, tgid);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(task_exec, struct task_struct *task)
{
	if (tgid_is_target(task->tgid))
		event_send(LB_EVENT_EXEC, task->tgid, 0);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(task_exit, struct task_struct *task)
{
	if (task->pid == task->tgid && tgid_is_target(task->tgid))
		event_send(LB_EVENT_EXIT, task->tgid, 0);
	return 0;
}

/* On the function that the dynamic linker calls for debuggers when its list of objects changed. */
SEC("uprobe.multi")
int library_changed(struct pt_regs *ctx)
{
	event_send(LB_EVENT_MAPPED, current_tgid(), 0);
	return 0;
}
