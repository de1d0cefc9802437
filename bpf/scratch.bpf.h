/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What one thread carries from the entry of a call to its return, and its working memory.
 *
 * Lives in task storage: private to the thread, so it survives preemption and needs no locking,
 * and it goes when the thread goes.
 */
#ifndef SCRATCH_BPF_H
#define SCRATCH_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "leakbpf.h"

#define LB_WINDOW_WORDS 64 /* stack words read at once by a walk */

/* A call that has been entered and has not returned. */
struct lb_inflight {
	__u64 sp;      /* where its return address stands; 0: no call in flight */
	__u64 a, b, c; /* arguments, as the cookie names them */
	__u64 time_ns; /* of the entry; only set where the close depends on it */
	__u64 cookie;
	__u64 kind;
};

/* What a walk has recorded of its path (struct path in unwind.bpf.h). */
struct lb_path {
	__u32 words, nr_slots;
	__u32 needs_bp; /* 1: a rule was based on the register's value */
};

/* The stack last captured, and what its walk needs. */
struct lb_walk {
	__u64 stack;      /* id of the stack */
	__u32 nr_frames;  /* 0: recognised by its id, the frames were not collected */
	__u32 flags;      /* LB_STACK_* */
	__u64 pc, sp, bp; /* where the walk starts; changed by a frame-pointer walk */
	struct lb_path path;
	__u64 window_low, window_high; /* addresses that the window holds; equal: none */
	__u64 window[LB_WINDOW_WORDS];
	__u64 frames[LB_MAX_FRAMES + 1]; /* one more, so that an index can be masked */
};

struct lb_thread {
	struct lb_inflight call;    /* the outermost call that opens or closes */
	struct lb_inflight shelter; /* the outermost call in which mappings are not the program's */
	struct lb_walk walk;
	__u64 newproc_stack; /* id of the go statement whose goroutine is being made; 0: none */
	__u64 wait_reason;   /* number of what the goroutine begins to wait for */
};

struct thread_map {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct lb_thread);
};
extern struct thread_map threads SEC(".maps");

/* The current thread's scratch, made at first use; NULL: no memory for it. */
static __always_inline struct lb_thread *thread_get(void)
{
	return bpf_task_storage_get(&threads, bpf_get_current_task_btf(), 0,
				    BPF_LOCAL_STORAGE_GET_F_CREATE);
}

#endif
