/* SPDX-License-Identifier: GPL-2.0-only */
/* One look at the heaps of timers. Private to the module. */
#ifndef GOLANG_TIMERS_H
#define GOLANG_TIMERS_H

#include "golang/process.h"

#define TIMER_CHUNK 16384 /* that are read at once */

/* One timer being read. */
struct timer_entry {
	uint64_t address; /* of its runtime.timer; first, as struct places has it */
	size_t index;     /* in its heap */
	struct go_timer timer;
	enum timer_kind kind;
	uint64_t pc; /* what it calls; 0: not known */
};

/* A func value to read, of an entry. */
struct timer_lookup {
	uint64_t address;
	struct timer_entry *entry;
};

struct timer_look {
	struct golang *golang;
	struct timer_list list;
	size_t groups_capacity;
	const struct timer_layout *layout; /* NULL: no timers were found */
	size_t offset;                     /* of the slice of the heap in a p */
	bool is_unknown;                   /* there are timers, but none of a known layout */
	size_t nr_left;                    /* that may still be read */

	const uint64_t *processors; /* all p */
	size_t nr_processors;
	uint64_t processor; /* the p whose heap is being read */
	struct timer_entry *entries;
	struct timer_lookup *lookups;
	uint64_t last; /* address of the timer that was read before */
};

/* --- timer_groups.c --- */
/* Counts the first @nr entries, which wait. 0 or -errno. */
int timer_groups_add(struct timer_look *look, size_t nr);
/* Sorts the groups and names what they call. */
void timer_groups_name(struct timer_look *look);

#endif
