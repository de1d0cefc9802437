/* SPDX-License-Identifier: GPL-2.0-only */
/* Tells which sites of a snapshot belong together. */
#include <errno.h>

#include "cmd/session.h"

#define GROUPING_NS (NSEC_PER_SEC / 5) /* time for new stacks in one poll; the rest waits */

/* Looks for the group of a stack that was not seen before. */
static void add_group(struct session *session, const struct lb_site_key *key)
{
	const uint64_t *pcs;
	uint32_t flags;
	size_t nr = ledger_stack(session->ledger, key->stack, &pcs, &flags);

	if (nr > 0)
		symbolizer_add_group(session->symbolizer, (pid_t)key->tgid, key->stack, pcs, nr);
}

void session_group(struct session *session, struct snapshot *snapshot)
{
	uint64_t start_ns = clock_monotonic_ns();
	bool late = false;

	for (size_t i = 0; i < snapshot->nr_sites; i++) {
		struct site_count *site = &snapshot->sites[i];
		const struct lb_site_key *key = &site->key;

		if (!site->live_count || key->kind == LB_KIND_GOROUTINE)
			continue;
		if (symbolizer_group(session->symbolizer, (pid_t)key->tgid, key->stack,
				     &site->group) != -ENOENT ||
		    late)
			continue;
		add_group(session, key);
		symbolizer_group(session->symbolizer, (pid_t)key->tgid, key->stack, &site->group);
		late = clock_monotonic_ns() - start_ns > GROUPING_NS;
	}
}
