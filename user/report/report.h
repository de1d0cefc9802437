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

enum report_format {
	REPORT_TEXT,
	REPORT_JSON,
	REPORT_FOLDED,
	REPORT_PPROF,
	REPORT_SVG,
	REPORT_HTML,
};

struct report_options {
	enum report_format format;
	bool all_sites; /* also those that do not grow */
	size_t top;     /* at most that many findings; 0: all */
	bool colour;
	bool verbose; /* more than what fits one screen: all counters */
};

/* What the unwind tables cost. */
struct unwind_cost {
	size_t nr_tables, nr_rows;
	size_t bytes;
	double parse_ms;
};

/* What is growing or leaking, in bytes per second with its interval, and what memory is left. */
struct outlook {
	bool known;    /* else what memory is left is not */
	bool by_group; /* the limit is that of a control group, not the machine's */
	uint64_t left_bytes;
	double growth, growth_low, growth_high;
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
	size_t nr_suppressed;      /* findings that are not among them, by the will of the user */
	size_t nr_suppressors;     /* rules that did it */
	size_t nr_missed_children; /* ended before they could be watched, or could not be */
	size_t nr_sites;           /* all of them */
	uint64_t live_count;       /* what is outstanding at all of them */
	uint64_t live_bytes;
	const struct snapshot *snapshot; /* the last one: counters, losses; not its sites */
	const char *attach_mode;         /* "session", "multi" or "perf" */
	double poll_ms;                  /* cost of the last poll */
	double walk_ms;                  /* of the last walk over the live entries; 0: none yet */
	struct unwind_cost unwind;       /* all zero: frame pointers were followed */
	struct outlook outlook;
};

/* Does the format show the whole of what is outstanding, whether all_sites is asked for or not? */
bool report_is_profile(enum report_format format);
/* Is it for no terminal? */
bool report_is_binary(enum report_format format);
/* Writes the report. 0 or -errno: of the stream, or -ENOMEM. */
int report_write(FILE *out, const struct report *report, const struct report_options *options);
/* Writes one poll for a log: a dated line with the totals and one for each finding. 0 or -errno of
 * the stream. */
int report_lines(FILE *out, const struct report *report, const struct report_options *options);

const char *kind_name(enum lb_kind kind);                 /* "heap" ... as in JSON and -k */
int kind_parse(const char *name, enum lb_kind *ret_kind); /* -EINVAL: no such kind */

/* Names of the counters of leakbpf.h, as in JSON. */
const char *count_name(enum lb_count count);
const char *loss_name(enum lb_loss loss);
const char *defect_name(enum lb_defect defect);
const char *defect_sentence(enum lb_defect defect); /* for people */
const char *unwind_end_name(enum lb_unwind_end end);

/* --- live.c: the live screen as lines of text; the terminal is somebody else's --- */

/* Keys are bytes, or one of these. */
enum live_key {
	LIVE_KEY_NONE,
	LIVE_KEY_UP = 256,
	LIVE_KEY_DOWN,
	LIVE_KEY_LEFT,
	LIVE_KEY_RIGHT,
	LIVE_KEY_PAGE_UP,
	LIVE_KEY_PAGE_DOWN,
	LIVE_KEY_HOME,
	LIVE_KEY_END,
	LIVE_KEY_ESCAPE,
};

/* What is shown, and how the user wants to see it. */
struct live;
/* @has_keys: the user can press keys, so these are told of. NULL: out of memory. */
struct live *live_new(const struct report_options *options, bool has_keys);
struct live *live_free(struct live *live);
/* Takes over a poll; nothing of the report is needed afterwards. 0 or -ENOMEM. */
int live_update(struct live *live, const struct report *report);
void live_resize(struct live *live, unsigned int rows, unsigned int columns);
/* Does what the key asks for. False: the user wants to end. */
bool live_press(struct live *live, int key);
/* Appends as many lines as there are rows, none wider than the columns, with a newline
 * between them. In colour, escape sequences that set and reset colours come along. 0 or -ENOMEM. */
struct buf;
int live_frame(struct live *live, struct buf *frame);

/* --- svg.c: flame graphs --- */

/* One stack with what is outstanding at it. Nothing in it is owned. */
struct flame_stack {
	const struct stack *stack; /* NULL: unknown */
	const char *process;       /* the outermost level */
	enum lb_kind kind;
	bool counted; /* the weights are objects; false: bytes */
	/* What was outstanding at two points; before is only looked at in a difference. */
	uint64_t before, after;
	uint64_t count; /* objects, now */
	enum verdict verdict;
};

struct flame_input {
	const char *title;    /* of the document */
	const char *subtitle; /* a sentence */
	const char *note;     /* what is not among the stacks; "": nothing */
	const struct flame_stack *stacks;
	size_t nr_stacks;
	/* Boxes are as wide as the larger weight of each stack and coloured by what was added (red)
	 * or went away (blue); otherwise as wide as what is outstanding, coloured by verdict. */
	bool difference;
};

/* Writes a flame graph, the root on top, as an SVG document that needs nothing else. 0, -ENOMEM or
 * -errno of the stream. */
int flame_write(FILE *out, const struct flame_input *input);

/* --- difference.c: two moments of recordings compared --- */
enum difference_format {
	DIFFERENCE_TEXT,
	DIFFERENCE_JSON,
	DIFFERENCE_FOLDED, /* what grew */
	DIFFERENCE_PPROF,
	DIFFERENCE_SVG,
	DIFFERENCE_PAIRS, /* folded stacks with two weights, as difffolded.pl makes them */
};

/* A moment of a recording. Nothing in it is owned. */
struct moment {
	const char *file;
	double seconds;   /* since the recording began */
	uint64_t poll;    /* from 1 up */
	uint64_t time_ns; /* since 1970 */
};

struct record_change;

/* Nothing in it is owned. */
struct difference {
	struct moment before, after;
	const struct record_change *changes; /* as record_compare() makes them */
	size_t nr_changes;
};

struct difference_options {
	enum difference_format format;
	bool all_sites; /* also those that did not change */
	size_t top;     /* at most that many; 0: all */
};

/* Writes what has changed, the largest growth first. 0 or -errno: of the stream, or -ENOMEM. */
int difference_write(FILE *out, const struct difference *difference,
		     const struct difference_options *options);

/* --- text.c: foreign text made safe to print --- */

/* Appends @text with control characters and text direction overrides replaced by '?' and invalid
 * UTF-8 by U+FFFD. */
void text_clean(struct buf *buf, const char *text);

#endif
