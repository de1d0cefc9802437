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
	uint8_t wrapper_id; /* abi.FuncIDWrapper */
	uint8_t sudog_c;    /* offset of sudog.c */
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

/* May binaries of release 1.@minor (0: not known) with such a table have this layout? */
bool layout_fits(const struct g_layout *layout, unsigned int minor, enum pclntab_version version);
/* Bytes of a runtime.g that are needed. */
size_t layout_bytes(const struct g_layout *layout);
/* Reads the g at @address out of layout_bytes() of it. false: that is no g. */
bool layout_read(const struct g_layout *layout, uint64_t address, const uint8_t *bytes,
		 struct g *ret_g);
/* Is it in use by a goroutine? */
bool g_is_live(const struct g *g);
/* Does all of a live one make sense? */
bool g_is_plausible(const struct g *g, const struct pclntab *table);

#endif
