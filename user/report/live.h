/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The live screen, private to the module: what of a poll it keeps, what the user wants to see of
 * that, and the lines that come of both.
 */
#ifndef REPORT_LIVE_H
#define REPORT_LIVE_H

#include "report/text.h"

#define LIVE_FILTER_MAX 64 /* bytes of the name that is looked for, with its NUL */

struct live_site {
	struct finding finding; /* its stack and strings are copies */
	struct stack stack;
	bool is_open; /* its details are shown below it */
};

/* One poll. */
struct live_data {
	struct strings *strings; /* owned, as all below */
	struct live_site *sites; /* the most alarming first */
	size_t nr_sites;
	struct frame *frames;      /* of all stacks */
	size_t nr_all;             /* sites that there are */
	struct buf status, doubts; /* the first two lines of the screen */
	unsigned int kind_width;   /* of the longest name of a kind that is there */
	unsigned int nr_polls, polls_needed;
	bool judged;
	bool many_targets;
};

/* Copies what the screen needs of the report. 0 or -ENOMEM (then nothing has changed). */
int live_data_copy(const struct report *report, struct live_data *ret_data);
void live_data_done(struct live_data *data);

enum live_mode { LIVE_TABLE, LIVE_FILTER, LIVE_HELP };
enum live_sort { LIVE_BY_VERDICT, LIVE_BY_COUNT, LIVE_BY_BYTES, LIVE_BY_AGE, LIVE_SORT_MAX };

#define LIVE_NO_SITE SIZE_MAX
#define LIVE_ALL     (-1) /* kinds */

/* A line of what can be scrolled: the row of a site, a detail of it, or a sentence. */
struct live_line {
	size_t site;       /* in the data, or LIVE_NO_SITE */
	unsigned int part; /* 0: the row of the site; from 1 up: what is below it */
	size_t start;      /* of its text among the text */
};

/* The lines that can be scrolled, all of them. */
struct live_body {
	struct live_line *lines; /* owned */
	size_t nr_lines, capacity;
	struct buf text; /* NUL after each line */
	int error;       /* 0 or -ENOMEM */
};

struct live {
	struct report_options look;
	struct live_data data; /* what is shown */
	struct live_data held; /* a later poll that came while paused; without sites: none */
	struct live_body body;
	unsigned int rows, columns;
	size_t cursor;   /* line of the body */
	size_t top;      /* first line of the body on the screen */
	size_t help_top; /* of help; more than there are lines: the last that makes sense */
	size_t nr_shown; /* sites in the body */

	enum live_mode mode;
	enum live_sort sort;
	int kind;                     /* the only one to show, or LIVE_ALL */
	char filter[LIVE_FILTER_MAX]; /* "": everything */
	bool findings_only;
	bool is_paused;
	bool has_keys;
	bool is_stale; /* the body is not that of the state above */
	bool reveals;  /* scroll so that the details at the cursor are seen */
	bool follows;  /* once it was moved the cursor stays with this line of this site */
	unsigned int followed_part;
	struct lb_site_key followed;
};

/* Lines of the screen that do not scroll, and how many are left for those that do. */
struct live_room {
	bool status, doubts, view, titles, footer;
	size_t body;
};

struct live_room live_room(unsigned int rows);

/* --- live_body.c --- */
/* Makes the lines anew where they are stale, and puts the cursor where it belongs. */
void live_layout(struct live *live);
/* Adds a line, as many as it takes to fit the columns; all but the first begin with @indent blanks.
 * Returns the part after the last one. */
unsigned int live_add_wrapped(struct live *live, size_t site, unsigned int part, const char *text,
			      unsigned int indent);

/* --- live_table.c --- */
void live_titles(const struct live *live, struct buf *line);
void live_row(const struct live *live, const struct live_site *site, struct buf *line);

/* Appends one character for each point of the end of the history, scaled to its largest, and blanks
 * up to the width. */
void live_curve(struct buf *line, const struct finding *finding, unsigned int width);

/* --- live_details.c --- */
/* Adds what there is to tell of a site below its row. */
void live_details(struct live *live, size_t site);

/* --- live_help.c --- */
/* Adds what the keys do, instead of sites. */
void live_help(struct live *live);
/* The last line of the screen: the most important keys, as many as fit. */
void live_footer(const struct live *live, struct buf *line);

#endif
