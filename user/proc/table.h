/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A hash table of 64-bit keys. Not for other modules. (uthash, which would do, is clean under none
 * of gcc -fanalyzer and clang -Wimplicit-fallthrough, and ends the process when out of memory.)
 */
#ifndef PROC_TABLE_H
#define PROC_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table_slot {
	uint64_t key;
	void *value; /* NULL: free */
};

/* Zero-initialise. */
struct table {
	struct table_slot *slots;
	size_t nr_slots; /* a power of two, or 0 */
	size_t nr_values;
};

/* NULL: not there. */
void *table_find(const struct table *table, uint64_t key);
/* Adds a key that is not there yet. @value is not NULL. 0 or -ENOMEM. */
int table_add(struct table *table, uint64_t key, void *value);
/* Empties the table; @release is called with each value. */
void table_done(struct table *table, void (*release)(void *value));

#endif
