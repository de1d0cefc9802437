/* SPDX-License-Identifier: GPL-2.0-only */
#include "model.h"

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

/* Order of snapshots: process, kind, stack. Returns < 0, 0 or > 0 as strcmp() does. */
int site_key_compare(const struct lb_site_key *a, const struct lb_site_key *b)
{
	if (a->tgid != b->tgid)
		return COMPARE(a->tgid, b->tgid);
	if (a->kind != b->kind)
		return COMPARE(a->kind, b->kind);
	return COMPARE(a->stack, b->stack);
}

bool kind_has_bytes(enum lb_kind kind)
{
	return kind == LB_KIND_HEAP || kind == LB_KIND_MMAP;
}
