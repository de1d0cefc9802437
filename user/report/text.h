/* SPDX-License-Identifier: GPL-2.0-only */
/* Words and numbers for people, private to the module. */
#ifndef REPORT_TEXT_H
#define REPORT_TEXT_H

#include "base/base.h"
#include "report/report.h"

/* Decodes the character at @text. Returns its length in bytes; what is no valid UTF-8 is U+FFFD
 * and one byte long. @text must not be at its end. */
size_t utf8_decode(const char *text, uint32_t *ret_character);

/* Columns that a terminal needs for the character, or one more. */
unsigned int character_columns(uint32_t character);

/* Appends as much of @text (cleaned already) as fits @width columns, the last one being an
 * ellipsis when something was cut. @width 0: all of it. Returns the columns used. */
unsigned int text_fit(struct buf *buf, const char *text, unsigned int width);

void text_bytes(struct buf *buf, double bytes); /* 1.5 KiB */
/* How long goroutines have waited at the site, those that wait no more; 0: they do not. */
uint64_t site_waited_ns(const struct site_count *site);
void text_seconds(struct buf *buf, double seconds); /* 45 s, 3 min 20 s, 2 h 5 min, 3 d 4 h */
/* "1 site", "2 sites": @noun takes an s. */
void text_count(struct buf *buf, uint64_t count, const char *noun);

/* --- stack frames --- */
const char *path_base(const char *path);
/* The function, else module+0xoffset, else the address. */
void frame_name(struct buf *buf, const struct frame *frame);
/* file:line or the module; nothing when neither is known. @full: with directories. */
void frame_place(struct buf *buf, const struct frame *frame, bool full);
/* The frame to name as the place of the leak: the first that is not part of an allocator, the C or
 * C++ library or a system header, nor a wrapper of malloc; else the innermost one. NULL: no
 * frames. */
const struct frame *stack_where(const struct stack *stack);
/* "function file:line" of that frame. */
void text_where(struct buf *buf, const struct finding *finding);

/* "live 1.5 KiB in 3 objects, opened 5, closed 2, oldest 28 s". */
void text_numbers(struct buf *text, const struct finding *finding);
/* The frames as lines of a report. */
void text_stack(struct buf *buf, const struct stack *stack);

#define UNKNOWN_STACK "(stack unknown)" /* stands for the frames of a stack without any */

/* --- sentences --- */
/* The name of the target @pid, as it came from there; "?": none of the report's. */
const char *report_comm(const struct report *report, uint32_t pid);
/* "PID 123 (server)" or "3 processes". */
void text_targets(struct buf *buf, const struct report *report);
/* What was sampled or lost: "; 1 in 4 objects followed; 12 events lost (live_full 12)", or
 * nothing. */
void text_incomplete(struct buf *buf, const struct report *report);
/* "3 leaking sites, 1 suspect", or nothing. */
void text_verdicts(struct buf *buf, const struct report *report);
/* All of these: "1 leaking site in PID 123 (server), watched 45 s; 12 events lost (live_full 12)". */
void text_headline(struct buf *buf, const struct report *report);

/* Why the verdict is what it is: "12 of 12 generations kept 48-52 objects each, none drained in
 * 4 min"; nothing of a stable site. */
void text_why(struct buf *buf, const struct finding *finding);

/* The escape sequence that a terminal shows the verdict in; "" for stable. */
const char *verdict_colour(enum verdict verdict);

/* What the ledger of one kind says, so that the conservation law of leakbpf.h can be checked. */
struct balance {
	uint64_t lost;     /* sum of all losses */
	int64_t in_flight; /* calls not returned yet; negative: the law is broken */
	uint64_t matched;
	int64_t closing; /* closes that were under way when the ledger was read */
};

struct balance snapshot_balance(const struct snapshot *snapshot, enum lb_kind kind);
uint64_t snapshot_lost(const struct snapshot *snapshot);
bool snapshot_is_sampled(const struct snapshot *snapshot);

/* How many of the findings the options and the format ask for; being sorted, they are the first ones. */
size_t findings_shown(const struct report *report, const struct report_options *options);

#endif
