/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How long memory lasts: each limit, with the growth of those processes for which it is the nearest.
 * A group within a group of which another limit is nearer does not add to the growth of the outer.
 */
#include "cmd/session.h"

#include <stdlib.h>

/* What one target may still take. */
struct left {
	struct memory_left memory;
	bool known;
};

DEFINE_CLEANUP(lefts, struct left *, free(*value))
DEFINE_CLEANUP(tgids, uint32_t *, free(*value))

static bool is_shared(const struct left *a, const struct left *b)
{
	return a->known && b->known && a->memory.by_group == b->memory.by_group &&
	       a->memory.group == b->memory.group;
}

/* Fills @tgids with the targets that share the limit of target @first. The machine's holds for all:
 * 0 is returned then. */
static size_t fill_sharers(const struct session *session, const struct left *lefts, size_t first,
			   uint32_t *tgids)
{
	size_t nr = 0;

	if (!lefts[first].memory.by_group)
		return 0;
	for (size_t i = 0; i < session->nr_targets; i++)
		if (is_shared(&lefts[i], &lefts[first]))
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
static bool is_seen(const struct left *lefts, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (is_shared(&lefts[j], &lefts[i]))
			return true;
	return false;
}

struct outlook outlook_of(const struct session *session)
{
	size_t nr = session->nr_targets;
	struct left *lefts __cleanup_of(lefts) = calloc(nr + 1, sizeof(*lefts));
	uint32_t *tgids __cleanup_of(tgids) = calloc(nr + 1, sizeof(*tgids));
	struct outlook nearest = { 0 };

	for (size_t i = 0; lefts && i < nr; i++)
		lefts[i].known = !session->targets[i].exited &&
				 !memory_left(session->targets[i].pid, &lefts[i].memory);
	for (size_t i = 0; lefts && tgids && i < nr; i++) {
		struct outlook outlook = {
			.known = true,
			.by_group = lefts[i].memory.by_group,
			.left_bytes = lefts[i].memory.bytes,
		};
		size_t nr_tgids;

		if (!lefts[i].known || is_seen(lefts, i))
			continue;
		nr_tgids = fill_sharers(session, lefts, i, tgids);
		outlook.growth =
			trend_growth_bytes_per_s(session->trend, nr_tgids ? tgids : NULL, nr_tgids,
						 &outlook.growth_low, &outlook.growth_high);
		if (!nearest.known || is_nearer(&outlook, &nearest))
			nearest = outlook;
	}
	if (!nearest.known)
		nearest.growth = trend_growth_bytes_per_s(
			session->trend, NULL, 0, &nearest.growth_low, &nearest.growth_high);
	return nearest;
}
