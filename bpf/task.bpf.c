/* SPDX-License-Identifier: GPL-2.0-only */
/* What the watched processes do: children, new programs, ends, libraries. */
#include "ledger.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} events SEC(".maps");

/* Tells the loader. -1: there is no room for that, which is counted. */
static __noinline int event_send(__u32 type, __u32 tgid, __u32 other)
{
	struct lb_event event = { .type = type, .tgid = tgid, .other = other };

	event.time_ns = bpf_ktime_get_ns();
	if (!bpf_ringbuf_output(&events, &event, sizeof(event), 0))
		return 0;
	stats_defect(LB_DEFECT_EVENT_DROPPED);
	return -1;
}

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
	if (event_send(LB_EVENT_FORK, parent->tgid, tgid)) /* nobody will ever detach it */
		bpf_map_delete_elem(&targets, &tgid);
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
