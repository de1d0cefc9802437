/* SPDX-License-Identifier: GPL-2.0-only */
#include "ledger/estimate.h"

#include "base/base.h"

uint64_t mark_followed(const struct mark *now)
{
	uint64_t gone = now->untracked + now->closed;

	return now->opened > gone ? now->opened - gone : 0;
}

uint64_t mark_estimate(const struct mark *now, const struct mark *since)
{
	uint64_t live = mark_followed(now);
	uint64_t all = since->live + (now->opened - since->opened);
	uint64_t followed = live + (now->closed - since->closed);

	if (!now->untracked || !followed)
		return live;
	return MIN(now->opened - now->closed,
		   (uint64_t)((double)live * ((double)all / (double)followed) + 0.5));
}

/* While nothing was closed, the live part has grown by what was opened; else what is followed now
 * stands for 2^@shift times as much. */
uint64_t mark_after_thinning(const struct mark *before, const struct mark *now, uint32_t shift)
{
	if (now->closed == before->closed)
		return before->live + (now->opened - before->opened);
	return MIN(now->opened - now->closed, mark_followed(now) << MIN(shift, 31U));
}
