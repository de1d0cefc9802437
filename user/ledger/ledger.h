/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * BPF maps -> one sorted snapshot plus losses. Reads memory-mapped arrays: a poll costs no system
 * call per site.
 */
#ifndef LEDGER_LEDGER_H
#define LEDGER_LEDGER_H

#include "base/base.h"
#include "model.h"

struct leakbpf; /* the skeleton, seen by probe/ and ledger/ only */
struct ledger;

/* A live heap block. */
struct block {
	uint64_t address, bytes;
	uint32_t slot; /* of its site */
	bool judged;   /* old enough to ask whether a pointer to it is left */
	bool reached;  /* one was found: see user/reach */
};

/* Maps the arrays of the loaded @skeleton, which must outlive the ledger. */
int ledger_open(struct leakbpf *skeleton, struct ledger **ret_ledger);
struct ledger *ledger_free(struct ledger *ledger);
/*
 * Walks the live entries in the kernel, which costs time in proportion to them: finds the oldest one
 * of each site and how many were born in each of the @epochs (nr may be 0). ledger_read() then tells
 * them, until ledger_forget_walk(), after which no snapshot may be asked for its cohorts: the memory
 * of the walk, 72 bytes for each site there may be, is not the observer's any more.
 */
int ledger_walk(struct ledger *ledger, const struct epochs *epochs);
void ledger_forget_walk(struct ledger *ledger);
/* Reads sites and counters at @now_ns. @walked: with what ledger_walk() has found just before. */
int ledger_read(struct ledger *ledger, uint64_t now_ns, bool walked, struct snapshot *ret_snapshot);
/*
 * Whose a mapping is may be told by its stack alone. Finds the next site of mappings, from slot
 * *@slot on, that ledger_settle() was not called for: *@slot is its slot then. False: there is none.
 */
bool ledger_next_unsettled(struct ledger *ledger, uint32_t *slot, struct lb_site_key *ret_key);
/* Settles whose they are. @nested: an allocator's own; ledger_read() counts them as nested from now
 * on, for good, and does not list the site. */
void ledger_settle(struct ledger *ledger, uint32_t slot, bool nested);
/* The program counters of stack @id, innermost first: how many. They stay in the ledger until the
 * next call. 0: not stored (yet). */
size_t ledger_stack(struct ledger *ledger, uint64_t id, const uint64_t **ret_pcs,
		    uint32_t *ret_flags);
/* Raises the sampling and thins the live map when it is nearly full. Call it every 100 ms.
 * Returns 1 when it did, 0 when there was nothing to do. */
int ledger_relieve(struct ledger *ledger);
/* Closes what process @tgid opened before @before_ns: it has ended or replaced its program. */
int ledger_close_process(struct ledger *ledger, uint32_t tgid, uint64_t before_ns);
/* Forgets all of process @tgid, which has ended: live entries, sites, slots. */
int ledger_forget(struct ledger *ledger, uint32_t tgid);
/* All live heap blocks of process @tgid, sorted by address; those born before @before_ns are judged.
 * Owned by the caller (free()). 0 or -errno. */
int ledger_blocks(struct ledger *ledger, uint32_t tgid, uint64_t before_ns,
		  struct block **ret_blocks, size_t *ret_nr);
/* Is the heap block at @address, born before @before_ns, still live? */
bool ledger_has_block(struct ledger *ledger, uint32_t tgid, uint64_t address, uint64_t before_ns);
/* The slot of a site, as in its blocks. -ENOENT: it is not there. */
int ledger_slot(struct ledger *ledger, const struct lb_site_key *key, uint32_t *ret_slot);
void snapshot_done(struct snapshot *snapshot);

#endif
