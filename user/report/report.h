/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Findings -> bytes. One field table feeds every format.
 *
 * Whatever comes from a target (names, paths, comm) is hostile: text formats replace control
 * characters, so that no target can write escape sequences to the terminal of who watches it.
 */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H

#include <stdio.h>
#include <time.h>

#include "model.h"

enum report_format { REPORT_TEXT, REPORT_JSON, REPORT_FOLDED };

struct report_options {
	enum report_format format;
	bool all_sites; /* also those that do not grow */
	size_t top;     /* at most that many findings; 0: all */
	bool colour;
	unsigned int width; /* columns of the terminal; 0: unlimited */
	bool verbose;       /* more than what fits one screen: all counters */
};

/* What the unwind tables cost. */
struct unwind_cost {
	size_t nr_tables, nr_rows;
	size_t bytes;
	double parse_ms;
};

/* What a report is about. Nothing in it is owned. */
struct report {
	double duration_s;
	time_t wall_s; /* now; 0: not known */
	unsigned int nr_polls;
	bool judged;               /* watched for long enough: a stable site is stable */
	unsigned int polls_needed; /* for that */
	const struct target *targets;
	size_t nr_targets;
	const struct finding *findings; /* the worst, sorted as trend_judge() does */
	size_t nr_findings;
	size_t verdicts[VERDICT_LEAKING + 1]; /* sites with each verdict, also beyond findings */
	size_t nr_missed_children; /* ended before they could be watched, or could not be */
	size_t nr_sites;           /* all of them */
	uint64_t live_count;       /* what is outstanding at all of them */
	uint64_t live_bytes;
	const struct snapshot *snapshot; /* the last one: counters, losses; not its sites */
	const char *attach_mode;         /* "session", "multi" or "perf" */
	double poll_ms;                  /* cost of the last poll */
	double walk_ms;                  /* of the last walk over the live entries; 0: none yet */
	struct unwind_cost unwind;       /* all zero: frame pointers were followed */
};

/* Writes the report. 0 or -errno of the stream. */
int report_write(FILE *out, const struct report *report, const struct report_options *options);
/* Writes the live table of one poll, at most @rows lines that fit the width. Returns their number
 * or -errno of the stream. */
int report_live(FILE *out, const struct report *report, const struct report_options *options,
		unsigned int rows);
/* Writes one poll for a log: a dated line with the totals and one for each finding. 0 or -errno of
 * the stream. */
int report_lines(FILE *out, const struct report *report, const struct report_options *options);

const char *kind_name(enum lb_kind kind);                 /* "heap" ... as in JSON and -k */
int kind_parse(const char *name, enum lb_kind *ret_kind); /* -EINVAL: no such kind */

/* Names of the counters of leakbpf.h, as in JSON. */
const char *count_name(enum lb_count count);
const char *loss_name(enum lb_loss loss);
const char *defect_name(enum lb_defect defect);
const char *unwind_end_name(enum lb_unwind_end end);

/* --- text.c: foreign text made safe to print --- */
struct buf;

/* Appends @text with control characters and text direction overrides replaced by '?' and invalid
 * UTF-8 by U+FFFD. */
void text_clean(struct buf *buf, const char *text);

#endif
