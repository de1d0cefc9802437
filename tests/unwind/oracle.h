/* SPDX-License-Identifier: GPL-2.0-only */
/* What tests/unwind/oracle.bpf.c tells tests/unwind/oracle.c about one stack. */
#ifndef UNWIND_ORACLE_H
#define UNWIND_ORACLE_H

#include "leakbpf.h"

struct sample {
	__u32 tgid, tid;
	__u32 nr_frames;
	__u32 flags;                     /* LB_STACK_* */
	__u64 ip;                        /* the probed instruction */
	__u64 frames[LB_MAX_FRAMES + 1]; /* from the caller on */
};

#endif
