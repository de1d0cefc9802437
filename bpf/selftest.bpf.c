/* SPDX-License-Identifier: GPL-2.0-only */
/* Counts the hits of one function of the loader itself: proves what this kernel's probes can do. */
#include "call.bpf.h"

__u64 selftest_hits[2] = {}; /* at the entry, at the return */

SEC("uprobe.multi")
int selftest_entry(struct pt_regs *ctx)
{
	__sync_fetch_and_add(&selftest_hits[0], 1);
	return 0;
}

SEC("uprobe.multi")
int selftest_session(struct pt_regs *ctx)
{
	__sync_fetch_and_add(&selftest_hits[session_is_return() & 1], 1);
	return 0;
}
