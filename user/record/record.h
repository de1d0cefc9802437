/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Snapshots in a file: written while a watch goes on, read again later, two of them compared.
 *
 * The file is appended to only, poll by poll, and each piece has a checksum: format.h. Stacks are
 * recorded with their names when their site first appears, so that a recording can be reported when
 * the target and its files are gone.
 */
#ifndef RECORD_RECORD_H
#define RECORD_RECORD_H

#include <stdio.h>

#include "base/base.h"
#include "model.h"

/* What is said once, at the start. */
struct record_header {
	char program[64]; /* what wrote it: "leakbpf 0.1.0" */
	char host[65];
	char boot_id[37]; /* monotonic times of equal ones can be compared */
	char attach_mode[16];
	uint64_t start_wall_ns; /* CLOCK_REALTIME */
	uint64_t start_ns;      /* CLOCK_MONOTONIC */
	/* What verdicts depend on: struct trend_options. */
	uint64_t interval_ns;
	uint64_t min_objects;
	uint64_t horizon_ns;
	uint64_t min_bytes_per_day;
};

/* What is said of each poll. Nothing in it is owned. */
struct record_poll {
	const struct snapshot *snapshot;
	const struct target *targets;
	size_t nr_targets;
	uint64_t nr_missed_children;
	uint64_t poll_ns, walk_ns; /* what the last poll and walk before this one have cost */
	uint64_t nr_tables, nr_rows, table_bytes, parse_ns; /* unwind tables */
};

/* --- writer.c --- */
struct record_writer;

/* Begins a recording in the empty file @fd, which the writer closes. */
int record_create(int fd, const struct record_header *header, struct record_writer **ret_writer);
/* Is the stack of this site still to be told? Asked for each site before its poll is appended. */
bool record_wants_stack(const struct record_writer *writer, const struct lb_site_key *key);
/* Tells the stack @key->stack of process @key->tgid, for the next poll. */
int record_add_stack(struct record_writer *writer, const struct lb_site_key *key,
		     const struct stack *stack);
/* Appends one poll; it is in the file when this returns. After an error the file ends with the
 * poll before. */
int record_append(struct record_writer *writer, const struct record_poll *poll);
/* Marks the end: nothing is missing. */
int record_finish(struct record_writer *writer);
uint64_t record_bytes(const struct record_writer *writer); /* written so far */
uint64_t record_polls(const struct record_writer *writer);
struct record_writer *record_writer_free(struct record_writer *writer);

/* --- reader.c: trusts nothing that the file says --- */
struct record_reader;

enum record_end {
	RECORD_READING, /* there may be more */
	RECORD_DONE,    /* all was read, and the recording was ended in order */
	RECORD_LIMIT,   /* the limit was reached */
	RECORD_OPEN,    /* all was read; the recording goes on, or was killed between two polls */
	RECORD_TORN,    /* the file ends within a piece */
	RECORD_DAMAGED, /* a piece is not what was written */
};

struct record_state {
	enum record_end end;
	uint64_t offset;   /* of the piece that could not be read */
	uint64_t nr_polls; /* that were read */
	uint64_t nr_lost;  /* that seem to follow, and could not be */
};

/* Begins to read @in, which stays the caller's. -ENOEXEC: no recording, -EPROTONOSUPPORT: one of
 * another version, -EBADMSG: its first piece is damaged, -ENOMEM, or the error of the stream. */
int record_open(FILE *in, struct record_reader **ret_reader);
struct record_reader *record_reader_free(struct record_reader *reader);
const struct record_header *record_header(const struct record_reader *reader);
/* Reads no poll that is later than @until_ns (CLOCK_MONOTONIC of the recording), and not more than
 * @max_polls. UINT64_MAX: no limit. */
void record_limit(struct record_reader *reader, uint64_t until_ns, uint64_t max_polls);
/* Reads the next poll. 1: there is one, 0: no more (record_state() says why), or -errno. What
 * *@ret_poll points to is the reader's, until the next call. */
int record_next(struct record_reader *reader, struct record_poll *ret_poll);
/* The stack of a site; NULL: it is not in the recording. The reader's, until the site ends. */
const struct stack *record_stack(const struct record_reader *reader, const struct lb_site_key *key);
const struct record_state *record_state(const struct record_reader *reader);

/* --- difference.c --- */
struct record_change {
	enum lb_kind kind;
	uint64_t id;               /* of the stack: survives restarts and address randomisation */
	const char *comm;          /* of one of the processes; NULL: unknown */
	const char *state;         /* what the objects wait for; NULL: they do not wait */
	const struct stack *stack; /* NULL: unknown */
	uint64_t before_count, after_count; /* live */
	uint64_t before_bytes, after_bytes;
	uint64_t before_opened, after_opened; /* count */
	uint64_t before_closed, after_closed;
};

struct record_difference {
	struct record_change *changes; /* the largest growth in bytes, then count, first; owned */
	size_t nr_changes;
};

/* Compares, stack by stack, what was live at the last polls that the readers have read. The changes
 * borrow stacks and strings from the readers. */
int record_compare(const struct record_reader *before, const struct record_reader *after,
		   struct record_difference *ret_difference);
void record_difference_done(struct record_difference *difference);

#endif
