/* SPDX-License-Identifier: GPL-2.0-only */
/* How long memory lasts: each limit, with the growth of those processes that it holds for. */
#include "cmd/session.h"

#include <stdlib.h>

DEFINE_CLEANUP(lefts, struct memory_left *, free(*value))
DEFINE_CLEANUP(tgids, uint32_t *, free(*value))

/* Fills @tgids with the targets that share the limit of target @first. The machine's holds for all:
 * 0 is returned then. */
static size_t fill_sharers(const struct session *session, const struct memory_left *lefts,
			   size_t first, uint32_t *tgids)
{
	size_t nr = 0;

	if (!lefts[first].by_group)
		return 0;
	for (size_t i = 0; i < session->nr_targets; i++)
		if (lefts[i].by_group && lefts[i].group == lefts[first].group)
			tgids[nr++] = (uint32_t)session->targets[i].pid;
	return nr;
}

/* Does the memory of @a end before that of @b? */
static bool is_nearer(const struct outlook *a, const struct outlook *b)
{
	if (a->growth > 0 && b->growth > 0)
		return (double)a->left_bytes / a->growth < (double)b->left_bytes / b->growth;
	return a->growth > 0 || (b->growth <= 0 && a->left_bytes < b->left_bytes);
}

/* Was the limit of target @i already looked at? */
static bool is_known(const struct memory_left *lefts, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (lefts[j].bytes && lefts[j].by_group == lefts[i].by_group &&
		    lefts[j].group == lefts[i].group)
			return true;
	return false;
}

struct outlook outlook_of(const struct session *session)
{
	size_t nr = session->nr_targets;
	struct memory_left *lefts __cleanup_of(lefts) = calloc(nr + 1, sizeof(*lefts));
	uint32_t *tgids __cleanup_of(tgids) = calloc(nr + 1, sizeof(*tgids));
	struct outlook nearest = { 0 };

	for (size_t i = 0; lefts && i < nr; i++)
		if (session->targets[i].exited || memory_left(session->targets[i].pid, &lefts[i]))
			lefts[i] = (struct memory_left){ 0 };
	for (size_t i = 0; lefts && tgids && i < nr; i++) {
		struct outlook outlook = { .left_bytes = lefts[i].bytes,
					   .by_group = lefts[i].by_group };
		size_t nr_tgids;

		if (!outlook.left_bytes || is_known(lefts, i))
			continue;
		nr_tgids = fill_sharers(session, lefts, i, tgids);
		outlook.growth =
			trend_growth_bytes_per_s(session->trend, nr_tgids ? tgids : NULL, nr_tgids,
						 &outlook.growth_low, &outlook.growth_high);
		if (!nearest.left_bytes || is_nearer(&outlook, &nearest))
			nearest = outlook;
	}
	if (!nearest.left_bytes)
		nearest.growth = trend_growth_bytes_per_s(
			session->trend, NULL, 0, &nearest.growth_low, &nearest.growth_high);
	return nearest;
}
