/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Probes on returns replace the return address of the probed call by the address of a trampoline.
 * Linux 6.18, kernel/events/uprobes.c (struct xol_area, uprobe_get_trampoline_vaddr()) and
 * include/linux/uprobes.h (struct uprobe_task, struct return_instance).
 */
#ifndef TRAMPOLINE_BPF_H
#define TRAMPOLINE_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define RETURN_INSTANCES_MAX 64 /* the kernel's limit of nested ones: MAX_URETPROBE_DEPTH */

struct xol_area___lb {
	unsigned long vaddr;
} __attribute__((preserve_access_index));

struct uprobes_state___lb {
	struct xol_area___lb *xol_area;
} __attribute__((preserve_access_index));

struct mm_struct___lb {
	struct uprobes_state___lb uprobes_state;
} __attribute__((preserve_access_index));

struct return_instance___lb {
	unsigned long stack;
	unsigned long orig_ret_vaddr;
	struct return_instance___lb *next;
} __attribute__((preserve_access_index));

struct uprobe_task___lb {
	struct return_instance___lb *return_instances;
} __attribute__((preserve_access_index));

struct task_struct___lb {
	struct uprobe_task___lb *utask;
} __attribute__((preserve_access_index));

/* The address of the trampoline in the current process; 0: none, or the kernel does not tell. */
static __always_inline __u64 trampoline_address(void)
{
	struct mm_struct___lb *mm = (void *)bpf_get_current_task_btf()->mm;

	if (!bpf_core_field_exists(mm->uprobes_state.xol_area))
		return 0;
	return BPF_CORE_READ(mm, uprobes_state.xol_area, vaddr);
}

struct trampoline_search {
	struct return_instance___lb *instance;
	__u64 slot;     /* where the return address stood */
	__u64 original; /* 0: not found */
};

static long trampoline_step(__u32 step, struct trampoline_search *search)
{
	struct return_instance___lb *instance = search->instance;

	if (!instance)
		return 1;
	if (BPF_CORE_READ(instance, stack) == search->slot) {
		search->original = BPF_CORE_READ(instance, orig_ret_vaddr);
		return 1;
	}
	search->instance = BPF_CORE_READ(instance, next);
	return 0;
}

/* The return address that was replaced in the stack word at @slot; 0: none was. */
static __always_inline __u64 trampoline_original(__u64 slot)
{
	struct task_struct___lb *task = (void *)bpf_get_current_task_btf();
	struct trampoline_search search = { .slot = slot };

	if (!bpf_core_field_exists(task->utask))
		return 0;
	search.instance = BPF_CORE_READ(task, utask, return_instances);
	bpf_loop(RETURN_INSTANCES_MAX, trampoline_step, &search, 0);
	return search.original;
}

#endif
