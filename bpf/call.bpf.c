/* SPDX-License-Identifier: GPL-2.0-only */
#include "call.bpf.h"

/*
 * Linux 6.13+, kernel/trace/bpf_trace.c. Weak: where the kernel lacks it the session programs are
 * not loaded. Declared in this one unit, since the linker of libbpf does not merge kernel functions.
 */
extern bool bpf_session_is_return(void) __weak __ksym;

__noinline int session_is_return(void)
{
	return bpf_session_is_return();
}
