/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Is a pointer left to a heap block? The memory of a process is read from outside, while it runs.
 *
 * As garbage collectors do that know no types: each aligned word that is the address of a byte of a
 * block is a pointer to it. Known blocks are reached from other memory (stacks, data, heap that is
 * not known) or through reached blocks. Pointers move meanwhile, so there are several rounds, and
 * what one of them reached is reached. Hidden pointers (xor, compressed) are not found, as with
 * LeakSanitizer.
 */
#ifndef REACH_REACH_H
#define REACH_REACH_H

#include "base/base.h"
#include "ledger/ledger.h"

/* What a scan took, and what it could not see. */
struct reach_facts {
	unsigned int nr_rounds;
	uint64_t read_bytes; /* of all rounds */
	uint64_t work_ns;    /* time spent, without that between the rounds */
	uint64_t
		swapped_bytes; /* not read, so that the process is not disturbed; the most of a round */
	size_t nr_threads;     /* what their registers hold is not seen */
	bool kernel_holds; /* the kernel keeps pointers for it that can not be read (io_uring, aio) */
};

struct reach;

/*
 * Prepares a scan of process @pid. @blocks: all that are known, sorted by address; they are the
 * caller's and must outlive the scan, which sets reached in them. The sentence in @error says why
 * not: -EFBIG too much memory, -ENOTSUP pointers of 32 bits, -EACCES no right, -ESRCH ended.
 */
int reach_open(pid_t pid, struct block *blocks, size_t nr_blocks, struct reach **ret_reach,
	       struct error *error);
struct reach *reach_free(struct reach *reach);
/* Works for about @budget_ns; less when the next round is not due yet. 1: the scan is complete, 0:
 * call again, or -errno with its sentence (also -E2BIG: too many pointers between blocks). */
int reach_step(struct reach *reach, uint64_t budget_ns, struct error *error);
struct reach_facts reach_facts(const struct reach *reach);

#endif
