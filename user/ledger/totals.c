/* SPDX-License-Identifier: GPL-2.0-only */
/* What all sites had opened and closed: the part of the conservation law that the sites hold. */
#include "base/base.h"
#include "ledger/private.h"

void totals_add(struct totals *totals, const struct lb_site *site, enum owner owner)
{
	uint32_t kind = site->key.kind;
	uint64_t followed = site->opened - MIN(site->untracked, site->opened);

	if (kind >= LB_KIND_MAX)
		return;
	if (owner == OWNER_ALLOCATOR) {
		totals->nested[kind] += followed;
		totals->unmatched[kind] += site->closed;
		return;
	}
	totals->opened[kind] += followed;
	totals->closed[kind] += site->closed;
}

void totals_tell(const struct totals *totals, struct snapshot *snapshot)
{
	for (size_t kind = 0; kind < LB_KIND_MAX; kind++) {
		__u64 *count = snapshot->stats.count[kind];

		snapshot->opened[kind] = totals->opened[kind];
		snapshot->closed[kind] = totals->closed[kind];
		count[LB_COUNT_NESTED] += totals->nested[kind];
		count[LB_COUNT_UNMATCHED] += totals->unmatched[kind];
	}
}
