/* SPDX-License-Identifier: GPL-2.0-only */
/* Private to ledger/: how much of a site is live when not every object is followed. */
#ifndef LEDGER_ESTIMATE_H
#define LEDGER_ESTIMATE_H

#include <stdint.h>

/* The numbers of a site, objects or bytes, at one moment. */
struct mark {
	uint64_t opened;
	uint64_t untracked; /* part of opened that was or is not followed */
	uint64_t closed;    /* of the followed ones */
	uint64_t live;      /* the estimate; not needed of "now" */
};

/* How many objects of @now are in the live map. */
uint64_t mark_followed(const struct mark *now);
/*
 * How much is live @now. What was live at @since, when the sampling was last raised, and what was
 * opened later is followed in part, and that part stands for all of it. Not so what was closed
 * before: of that more was followed. Never more than was opened and not seen closed.
 */
uint64_t mark_estimate(const struct mark *now, const struct mark *since);
/* How much is live @now, right after the sampling was raised to 1 of 2^@shift, going on from the
 * estimate @before that. */
uint64_t mark_after_thinning(const struct mark *before, const struct mark *now, uint32_t shift);

#endif
