/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the ledger share; private to the module. */
#ifndef LEDGER_PRIVATE_H
#define LEDGER_PRIVATE_H

#include "ledger/ledger.h"

/* --- totals.c --- */
/* Whose what was opened at a site is. */
enum owner { OWNER_UNSETTLED, OWNER_PROGRAM, OWNER_ALLOCATOR };

/* Sums over sites. What belongs to an allocator counts as made inside of its call, and what closed
 * that as a close of something unknown. */
struct totals {
	uint64_t opened[LB_KIND_MAX]; /* and followed */
	uint64_t closed[LB_KIND_MAX];
	uint64_t nested[LB_KIND_MAX];
	uint64_t unmatched[LB_KIND_MAX];
};

void totals_add(struct totals *totals, const struct lb_site *site, enum owner owner);
/* Puts them into the snapshot, to the counters that it has already. */
void totals_tell(const struct totals *totals, struct snapshot *snapshot);

/* --- ledger.c --- */
/* The descriptor of the live map. */
int ledger_live_fd(const struct ledger *ledger);

#endif
