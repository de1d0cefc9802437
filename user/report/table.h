/* SPDX-License-Identifier: GPL-2.0-only */
/* Ids for things that are the same bytes. Private to the module. */
#ifndef REPORT_TABLE_H
#define REPORT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct item;

/* Zero-initialise. */
struct table {
	void *root;         /* of tsearch() */
	struct item *items; /* all that are in it; owned */
	size_t capacity;    /* of the array of what has an id; for its user */
};

/* The id of the @len bytes at @key. *@ret_new: they had none, and got @next, which is not 0. Returns
 * 0 when out of memory. */
uint64_t table_find(struct table *table, uint64_t next, const void *key, size_t len, bool *ret_new);
void table_done(struct table *table);

#endif
