/* SPDX-License-Identifier: GPL-2.0-only */
/* Where the runtime keeps what: by release, and proved on the process; private to the module. */
#ifndef GOLANG_LAYOUT_H
#define GOLANG_LAYOUT_H

#include "pclntab/pclntab.h"

/* In all releases: struct stack and gobuf of runtime.g (Go 1.18 to 1.27 runtime/runtime2.go). */
#define G_STACK_LOW  0
#define G_STACK_HIGH 8
#define G_SCHED_SP   56
#define G_SCHED_PC   64
#define G_SCHED_G    72
#define G_MAX_BYTES  512 /* more than any layout needs */

/* Offsets in runtime.g of the releases @first to @last (1.@first), and what goes with them. */
struct g_layout {
	uint8_t first, last;
	uint8_t sudog_c; /* offset of sudog.c */
	uint16_t syscall_sp, syscall_pc;
	uint16_t status, id, wait_since, wait_reason;
	uint16_t parent_id; /* 0: this release does not keep it */
	uint16_t creator, start, waiting, labels;
};

/* What was read of one runtime.g. */
struct g {
	uint64_t stack_low, stack_high;
	uint64_t sched_sp, sched_pc;
	uint64_t syscall_sp, syscall_pc;
	uint64_t id, parent_id, wait_since;
	uint64_t creator, start, waiting, labels;
	uint32_t status; /* without the scan bit */
	uint8_t wait_reason;
};

/* g.status (Go 1.23 runtime/runtime2.go, _Gidle and on; leaked and dead extra: Go 1.26) */
enum g_status {
	G_IDLE,
	G_RUNNABLE,
	G_RUNNING,
	G_SYSCALL,
	G_WAITING,
	G_DEAD = 6,
	G_MOVING = 8,
	G_PREEMPTED,
	G_LEAKED,
	G_DEAD_EXTRA,
};

extern const struct g_layout g_layouts[];
extern const size_t g_nr_layouts;

#define G_OLDEST_RELEASE 18
#define G_NEWEST_RELEASE 27

/* May binaries of release 1.@minor (0: not known) with such a table be of 1.@first to 1.@last? */
bool release_fits(uint8_t first, uint8_t last, unsigned int minor, enum pclntab_version version);
/* ... have this layout? */
bool layout_fits(const struct g_layout *layout, unsigned int minor, enum pclntab_version version);
/* Bytes of a runtime.g that are needed. */
size_t layout_bytes(const struct g_layout *layout);
/* Reads the g at @address out of layout_bytes() of it. false: that is no g. */
bool layout_read(const struct g_layout *layout, uint64_t address, const uint8_t *bytes,
		 struct g *ret_g);
/* Is the frame pointer of one that waits kept where it should be? It is the last word of gobuf, the
 * length of which has changed (up to Go 1.24 it had the field ret) and which syscallsp follows. */
bool layout_keeps_frame(const struct g_layout *layout, const uint8_t *bytes, const struct g *g);
/* Is it in use by a goroutine? */
bool g_is_live(const struct g *g);
/* Does all of a live one make sense? */
bool g_is_plausible(const struct g *g, const struct pclntab *table);

/* --- timer_layout.c --- */

/* Offsets in runtime.timer of the releases @first to @last, and what goes with them. */
struct timer_layout {
	uint8_t first, last;
	uint8_t element; /* bytes of an element of the heap, which begins with the timer's address */
	uint8_t owner;   /* of the address of what it is in: its p, since Go 1.23 p.timers */
	uint8_t status;
	uint8_t when, period, function;
	uint8_t argument;  /* the data word of it */
	uint8_t next_when; /* 0: since Go 1.23 it has one time only */
	uint8_t bytes;     /* that are needed */
};

enum timer_state {
	TIMER_WAITS,   /* for its time */
	TIMER_STOPPED, /* will be taken out of the heap */
	TIMER_GONE,    /* has just been taken out of it */
	TIMER_ODD,     /* makes no sense, or it just changes */
};

/* What was read of one runtime.timer. Its times are those of CLOCK_MONOTONIC. */
struct go_timer {
	enum timer_state state;
	uint64_t owner;
	uint64_t when_ns;  /* at most INT64_MAX */
	uint64_t order_ns; /* its place in the heap is by that, up to Go 1.22 */
	uint64_t period_ns;
	uint64_t function; /* address of the func value */
	uint64_t argument; /* what it is called with */
};

extern const struct timer_layout timer_layouts[];
extern const size_t timer_nr_layouts;

#define TIMER_MAX_BYTES 128 /* more than any layout needs */
/* Since Go 1.23 p.timers begins with its lock, the heap stands behind it. */
#define TIMERS_HEAP 8

bool timer_layout_fits(const struct timer_layout *layout, unsigned int minor,
		       enum pclntab_version version);
/* @bytes: layout->bytes of them. */
struct go_timer timer_read(const struct timer_layout *layout, const uint8_t *bytes);
/* Does a timer that has @owner stand in the heap whose slice is at @slice, of the p at @processor? */
bool timer_is_owned(const struct timer_layout *layout, uint64_t owner, uint64_t processor,
		    uint64_t slice);

#endif
