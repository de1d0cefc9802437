/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The format of recordings. Private to the module.
 *
 *   file    = RECORD_MAGIC chunk...
 *   chunk   = mark[4] type[1] flags[1] zero[2] stored_bytes[4] bytes[4] crc[4] stored payload
 *   payload = what the type says; compressed by zlib when the flags say so
 *
 * All fixed numbers are little-endian. The checksum (CRC-32 of zlib) is that of the chunk, taken
 * with a crc of 0. Within payloads numbers are LEB128 varints; differences are zigzag varints;
 * strings are a length and bytes without NUL.
 *
 *   HEADER   pairs of a name and a number, pairs of a name and a string: unknown names are ignored
 *   TARGETS  all targets; again when one has changed
 *   NAMES    strings, modules and stacks that are new; the first of each has number 1, 0 is none
 *   POLL     one snapshot, as what differs from the one before: a site that did nothing costs nothing
 *   END      empty: the recording was ended in order
 *
 * A poll with the names and targets it needs is written by one write(2).
 */
#ifndef RECORD_FORMAT_H
#define RECORD_FORMAT_H

#include "base/base.h"
#include "model.h"
#include "record/record.h"

#define RECORD_MAGIC "leakbpf record 1\n"

enum chunk_type {
	CHUNK_HEADER = 'H',
	CHUNK_TARGETS = 'T',
	CHUNK_NAMES = 'N',
	CHUNK_POLL = 'P',
	CHUNK_END = 'E',
};

#define CHUNK_HEAD_BYTES 20

/* Limits of what is written and of what is believed. */
#define MAX_CHUNK_BYTES  (64U << 20)
#define MAX_SITES        (1U << 20)
#define MAX_STRING_BYTES 65535
#define MAX_STRINGS      (1U << 22)
#define MAX_STRINGS_SUM  (256U << 20) /* bytes of all strings */
#define MAX_MODULES      (1U << 16)
#define MAX_STACKS       (1U << 21)
#define MAX_STACK_FRAMES 4096
#define MAX_FRAMES       (1U << 23)   /* of all stacks */
#define MAX_SHIFT        31           /* of the sampling */
#define MAX_COUNT        (1ULL << 53) /* objects or bytes of a site */
#define MAX_FLOW         (1ULL << 62) /* opened or closed at a site: also nanoseconds of waits */
#define MAX_TIME_NS      (1ULL << 62)
#define MAX_TARGETS      (1U << 16)
#define MAX_TARGET_LIST  1024 /* allocators or blind spots of one */

/* --- bytes.c: numbers and strings in payloads --- */
void put_number(struct buf *buf, uint64_t number);
/* The difference of two numbers, modulo 2^64. */
void put_change(struct buf *buf, uint64_t before, uint64_t after);
void put_fixed32(uint8_t bytes[4], uint32_t number);
void put_string(struct buf *buf, const char *string); /* NULL as "" */

/* A payload being read. After the first fault all that is read is 0, and fault is set. */
struct cursor {
	const uint8_t *at, *end;
	bool fault;
};

uint64_t get_number(struct cursor *cursor);
/* A number that is at most @most; a fault else. */
uint64_t get_bounded(struct cursor *cursor, uint64_t most);
uint64_t get_changed(struct cursor *cursor, uint64_t before);
uint32_t get_fixed32(const uint8_t bytes[4]);
/* A string, owned by the caller. 0, -EBADMSG or -ENOMEM. */
int get_string(struct cursor *cursor, char **ret_string);
/* Was all read, without a fault? 0 or -EBADMSG. */
int cursor_end(const struct cursor *cursor);

/* --- chunk.c --- */
struct chunk {
	enum chunk_type type;
	const uint8_t *payload; /* the stream's, until the next one */
	size_t len;
	uint64_t offset; /* in the file */
};

struct chunk_stream {
	FILE *in;
	uint64_t offset;   /* of what is read next */
	struct buf stored; /* the chunk as it is in the file */
	struct buf raw;    /* uncompressed */
};

/* Appends a chunk to @out, compressed when that makes it smaller. 0, -ENOMEM, or -EFBIG: the payload
 * is larger than a chunk may be. */
int chunk_put(struct buf *out, enum chunk_type type, const struct buf *payload);
/* Reads a chunk. 1: done, 0: the file ends here, -ENODATA: it ends within the chunk, -EBADMSG: the
 * chunk is damaged (the stream is after it when its head is credible), or another -errno. The type and
 * offset are set in the last two cases too, as far as they are known. */
int chunk_get(struct chunk_stream *stream, struct chunk *ret_chunk);
void chunk_stream_done(struct chunk_stream *stream);

/* The line of a frame, and whether it is inlined, as one number. */
#define FRAME_LINE(line, inlined) ((uint64_t)(line) << 1 | (uint64_t)(inlined))

/* --- names.c: strings, modules and stacks, as the reader has them --- */
struct names;
struct names *names_new(void); /* NULL: out of memory */
struct names *names_free(struct names *names);
/* Takes a NAMES payload. 0, -EBADMSG or -ENOMEM. */
int names_read(struct names *names, struct cursor *cursor);
const char *names_numbered(const struct names *names, uint64_t number); /* 0: NULL */
uint64_t names_nr_strings(const struct names *names);
const struct stack *names_stack(const struct names *names, uint32_t tgid, uint64_t id);

/* --- naming.c: the same as the writer has them --- */
struct naming;
struct naming *naming_new(void); /* NULL: out of memory */
struct naming *naming_free(struct naming *naming);
/* The number of @text, which the next chunk tells when it is new. 0: it is NULL, or a recording can
 * not hold more. Returns 0 or -ENOMEM. */
int naming_string(struct naming *naming, const char *text, uint64_t *ret_number);
/* Adds a stack to the next chunk. When a recording can not hold more, it is left out. */
int naming_stack(struct naming *naming, const struct lb_site_key *key, const struct stack *stack);
/* Was the stack of @key told? */
bool naming_knows(const struct naming *naming, const struct lb_site_key *key);
/* The site of @key has ended: when it comes again, it is another one. */
void naming_forget(struct naming *naming, const struct lb_site_key *key);
/* Appends the chunks of what was new since the last call, if anything was. 0 or -ENOMEM. */
int naming_flush(struct naming *naming, struct buf *out);

/* --- header.c --- */
void header_put(struct buf *payload, const struct record_header *header);
/* 0, -EBADMSG, -ENOMEM, or -EPROTONOSUPPORT: other kinds or counters than there are here. */
int header_get(struct cursor *cursor, struct record_header *ret_header);

/* --- targets.c --- */
void targets_put(struct buf *payload, const struct target *targets, size_t nr_targets);
/* -EBADMSG or -ENOMEM: *ret_targets is untouched. Freed by targets_free(). */
int targets_get(struct cursor *cursor, struct target **ret_targets, size_t *ret_nr);
void targets_free(struct target *targets, size_t nr_targets);

/* --- delta.c: a snapshot as the difference to the one before --- */

/* A site as it was when last recorded. */
struct site_state {
	struct site_count site; /* without its cohorts */
	uint32_t cohorts[LB_MAX_EPOCHS];
	bool has_cohorts;
	uint8_t tries;         /* writer: how often its stack was asked for */
	uint64_t state, proof; /* numbers of their strings */
};

/* All sites as they were when last recorded. Zero-initialise. */
struct site_table {
	struct site_state *states; /* sorted by key; owned */
	size_t nr_states;
	struct snapshot numbers; /* the last one, without its sites */
	struct epochs epochs;    /* of the cohorts: the last that were counted */
	uint32_t aged;           /* kinds whose ages the last snapshot tells, as a bit mask */
	uint32_t counted;        /* kinds whose cohorts it tells */
};

void site_table_done(struct site_table *table);
/* The state of a site; NULL: it has none. */
struct site_state *site_table_find(const struct site_table *table, const struct lb_site_key *key);
/* Appends @snapshot to @payload as what has changed and brings the table up to date. 0 or -ENOMEM;
 * after an error the table is of no use any more. */
int delta_put(struct site_table *table, struct naming *naming, const struct snapshot *snapshot,
	      struct buf *payload);
/* Brings the table up to date by what delta_put() wrote. 0, -EBADMSG or -ENOMEM; after an error the
 * table is of no use any more. */
int delta_get(struct site_table *table, uint64_t nr_strings, struct cursor *cursor);

#endif
