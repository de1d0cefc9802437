/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Can an allocation fail? operator new then throws, and an exception cannot pass the trampoline
 * that a probe on the return puts in place of the return address: the program would be terminated.
 * So the return of a call that may throw is not probed. Linux 6.18, include/linux/mm_types.h,
 * include/linux/sched/signal.h; include/uapi/asm-generic/resource.h.
 */
#ifndef LIMITS_BPF_H
#define LIMITS_BPF_H

#include "ledger.bpf.h"

#define RLIMIT_DATA    2
#define RLIMIT_AS      9
#define LIMIT_HEADROOM (1ULL << 30) /* allocators map more than they are asked for */
#define LIMIT_MAPPINGS 32768        /* half of the usual vm.max_map_count */

struct rlimit___lb {
	unsigned long rlim_cur, rlim_max;
} __attribute__((preserve_access_index));

struct signal_struct___lb {
	struct rlimit___lb rlim[16];
} __attribute__((preserve_access_index));

struct mm_struct___limits {
	int map_count;
	unsigned long total_vm, data_vm; /* in pages */
} __attribute__((preserve_access_index));

struct task_struct___limits {
	struct signal_struct___lb *signal;
	struct mm_struct___limits *mm;
} __attribute__((preserve_access_index));

/* Would @bytes more than @used_pages come near @limit? An infinite limit is ~0. */
static __always_inline bool limit_is_near(__u64 limit, __u64 used_pages, __u64 bytes)
{
	__u64 used = used_pages * config.page_bytes;

	return limit != ~0ULL && used + 2 * bytes + LIMIT_HEADROOM > limit;
}

/* config.memory_bytes is what the machine has: more in one piece is refused by the kernel's
 * heuristic (mm/util.c, __vm_enough_memory()). */
static __always_inline bool allocation_may_fail(__u64 bytes)
{
	struct task_struct___limits *task = (void *)bpf_get_current_task_btf();
	struct signal_struct___lb *signal = task->signal;
	struct mm_struct___limits *mm = task->mm;

	if (bytes > config.memory_bytes / 2 || mm->map_count > LIMIT_MAPPINGS)
		return true;
	return limit_is_near(signal->rlim[RLIMIT_AS].rlim_cur, mm->total_vm, bytes) ||
	       limit_is_near(signal->rlim[RLIMIT_DATA].rlim_cur, mm->data_vm, bytes);
}

#endif
