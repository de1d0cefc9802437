/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one ledger: what was opened, at which stack, and what of it is still open.
 *
 * Maps are defined in ledger.bpf.c and nowhere else. All units account through the functions
 * below; each of their early ends bumps exactly one counter.
 */
#ifndef LEDGER_BPF_H
#define LEDGER_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "leakbpf.h"
#include "scratch.bpf.h"

extern const volatile struct lb_config config;
extern struct lb_control control;

/* Open things that are found by their exact id. Not preallocated: memory follows use. */
struct live_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 20);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct lb_live_key);
	__type(value, struct lb_live);
};
extern struct live_map live SEC(".maps");

/* Open address ranges, kept apart so that a look-up by overlap has few to walk. */
struct range_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 16);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct lb_live_key);
	__type(value, struct lb_live);
};
extern struct range_map ranges SEC(".maps");

/* Processes that are watched: tgid -> 1. */
struct target_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u32);
};
extern struct target_map targets SEC(".maps");

/* The process the current thread belongs to, as the initial pid namespace numbers it. */
static __always_inline __u32 current_tgid(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

struct stats_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lb_stats);
};
extern struct stats_map stats SEC(".maps");

/* Each adds to a counter of this CPU; atomically, since programs can be preempted. */
static __always_inline void stats_add(__u32 kind, enum lb_count count, __u64 number)
{
	__u32 zero = 0;
	struct lb_stats *mine = bpf_map_lookup_elem(&stats, &zero);

	if (mine && kind < LB_KIND_MAX)
		__sync_fetch_and_add(&mine->count[kind][count], number);
}

static __always_inline void stats_count(__u32 kind, enum lb_count count)
{
	stats_add(kind, count, 1);
}

static __always_inline void stats_loss(__u32 kind, enum lb_loss loss)
{
	__u32 zero = 0;
	struct lb_stats *mine = bpf_map_lookup_elem(&stats, &zero);

	if (mine && kind < LB_KIND_MAX)
		__sync_fetch_and_add(&mine->loss[kind][loss], 1);
}

static __always_inline void stats_defect(enum lb_defect defect)
{
	__u32 zero = 0;
	struct lb_stats *mine = bpf_map_lookup_elem(&stats, &zero);

	if (mine)
		__sync_fetch_and_add(&mine->defect[defect], 1);
}

/*
 * Opens @id of @kind, with the stack that is in @thread. An id that is already open was closed
 * unseen: it is closed now. Every failure is counted.
 */
int ledger_open(struct lb_thread *thread, __u32 kind, __u64 id, __u64 weight);

/* Closes @id of @kind if it was opened before @before_ns (CLOCK_MONOTONIC; ~0: any time). */
int ledger_close(__u32 kind, __u64 id, __u64 before_ns);

/* Closes what was opened before @before_ns of the ranges that overlap [@start, @start + @bytes);
 * a range that is only cut keeps its rest. @begins_here: when none begins at @start there is none to
 * be found, which saves the walk over all. */
int ledger_close_range(__u64 start, __u64 bytes, __u64 before_ns, bool begins_here);

/* The same for a place that something new has taken: that nothing was there is not unusual, and not
 * counted. Returns the number of ranges closed or cut. */
int ledger_cut_ranges(__u64 start, __u64 bytes, __u64 before_ns);

#endif
