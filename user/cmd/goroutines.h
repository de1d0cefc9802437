/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the goroutines command share. Private to the module. */
#ifndef CMD_GOROUTINES_H
#define CMD_GOROUTINES_H

#include <stdio.h>

#include "golang/golang.h"
#include "report/report.h"

/* What goroutines can be chosen and grouped by. */
enum goroutine_axis {
	AXIS_STATE,      /* what it waits for, else its state */
	AXIS_FUNC,       /* functions of its stack; groups: the innermost of the program's own */
	AXIS_FILE,       /* files of its stack, as file:line; groups: as for functions */
	AXIS_CREATED_BY, /* the function whose go statement it is from */
	AXIS_LABEL,      /* its pprof labels, as "key=value, key=value" */
	AXIS_MAX,
	AXIS_STACK = AXIS_MAX, /* groups only: all of it, with state, creator and labels */
};

/* Only goroutines that match, or only those that do not. */
struct goroutine_filter {
	enum goroutine_axis axis;
	const char *text; /* that has to occur */
	bool without;
};

/* Parses "AXIS=TEXT" (TEXT points into @text) or "AXIS". -EINVAL: @error says why. */
int goroutine_filter_parse(const char *text, bool without, struct goroutine_filter *ret_filter,
			   struct error *error);
int axis_parse(const char *text, enum goroutine_axis *ret_axis, struct error *error);
/* Does it pass all filters? */
bool goroutine_matches(const struct goroutine *goroutine, const struct goroutine_filter *filters,
		       size_t nr_filters);

/* Goroutines that have something in common, as a piece of a sorted array. */
struct goroutine_group {
	const struct goroutine **members; /* not owned; the one that waits longest first */
	size_t nr_members;
	const char *name;   /* what they share; NULL: their stack */
	uint64_t waits_on;  /* what most of them wait for; 0: nothing or not known */
	size_t nr_waits_on; /* how many those are */
	size_t nr_leaked;   /* of how many the Go runtime has proved that nobody can wake them */
};

/* What is shown. */
struct goroutine_view {
	const struct target *target;
	const char *go_version;               /* "": not known, but read as */
	unsigned int first_minor, last_minor; /* Go 1.@first_minor to 1.@last_minor */
	const struct goroutine_list *list;
	const struct goroutine **chosen; /* passed the filters; sorted by the groups */
	size_t nr_chosen;
	const struct goroutine_group *groups; /* largest first; NULL: one by one */
	size_t nr_groups;
	size_t nr_shown;                 /* groups or goroutines */
	const struct timer_list *timers; /* NULL: they are not known, and why: */
	const char *timers_unknown;
	size_t nr_timer_groups_shown;
};

/* Sorts @members into groups, largest first. @ret_groups is owned by the caller. */
int goroutines_group(const struct goroutine **members, size_t nr_members, enum goroutine_axis axis,
		     struct goroutine_group **ret_groups, size_t *ret_nr_groups);

/* Print the view, grouped or one by one. */
void goroutines_print_text(FILE *out, const struct goroutine_view *view);
void goroutines_print_json(FILE *out, const struct goroutine_view *view);
/* Writes the groups of the view as a profile with one value, the goroutines of each stack: pprof,
 * folded or a flame graph. 0 or -errno. */
int goroutines_print_profile(FILE *out, const struct goroutine_view *view,
			     enum report_format format);
/* --- goroutine_timers.c --- */
/* Prints the groups of timers. */
void timers_print_text(FILE *out, const struct goroutine_view *view);
/* Appends them as an object. */
void timers_add_json(struct buf *buf, const struct goroutine_view *view);

/* Appends "3 h 20 min", "20 s", "100 ms". */
void duration_add(struct buf *buf, double seconds);
/* Appends the frame as an object, or null. */
void json_add_frame(struct buf *buf, const struct frame *frame);
/* Appends "name":"text", or null, with a comma before unless it is the first of its object. */
void json_add_string(struct buf *buf, const char *name, const char *text);

#endif
