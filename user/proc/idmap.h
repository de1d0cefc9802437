/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A hash table of 64-bit keys. Not for other modules. (uthash, which would do, is clean under none
 * of gcc -fanalyzer and clang -Wimplicit-fallthrough, and ends the process when out of memory.)
 */
#ifndef PROC_IDMAP_H
#define PROC_IDMAP_H

#include <stddef.h>
#include <stdint.h>

struct idmap_slot {
	uint64_t key;
	void *value; /* NULL: free */
};

/* Zero-initialise. */
struct idmap {
	struct idmap_slot *slots;
	size_t nr_slots; /* a power of two, or 0 */
	size_t nr_values;
};

/* NULL: not there. */
void *idmap_find(const struct idmap *map, uint64_t key);
/* Adds a key that is not there yet. @value is not NULL. 0 or -ENOMEM. */
int idmap_add(struct idmap *map, uint64_t key, void *value);
/* Empties the map; @release, unless NULL, is called with each value. */
void idmap_done(struct idmap *map, void (*release)(void *value));

#endif
