/* SPDX-License-Identifier: GPL-2.0-only */
/* The options that commands share (DESIGN section 4). Private to the module. */
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H

#include <argp.h>

#include "base/base.h"
#include "filter/filter.h"
#include "probe/probe.h"
#include "report/report.h"

/* Those of Go's scheduler cost the target time at every turn: only when asked for. */
#define OPTIONS_DEFAULT_KINDS                                                                      \
	((1U << LB_KIND_MAX) - 1 - (1U << LB_KIND_NEWPROC | 1U << LB_KIND_GOPARK))

struct options {
	pid_t *pids; /* owned */
	size_t nr_pids, capacity;
	double duration_s; /* 0: until Ctrl-C */
	double interval_s;
	double horizon_s;   /* how much of a long watch is judged; 0: default */
	const char *output; /* NULL: standard output */
	const char *record; /* keep all snapshots in this file; NULL: do not */
	size_t top;         /* 0: all */
	uint64_t min_objects;
	char **command; /* what to start and watch, NULL-terminated; NULL: nothing. Not owned */
	struct filter *filter; /* what not to tell; owned; NULL: nothing */
	double min_confidence; /* for the exit status of check */
	unsigned int kinds;    /* bit mask, 1 << enum lb_kind */
	enum report_format format;
	unsigned int verbose;
	enum attach_mode attach;
	uint32_t max_live;    /* 0: default */
	enum verdict fail_on; /* or worse: for the exit status of check */
	bool follow;
	bool force;       /* the record file is written also if it exists */
	bool record_only; /* no report */
	bool all_sites;
	bool quiet;
	bool frame_pointers_only;
	bool no_confirm;
	bool check; /* the verdict is the exit status */
	bool fail_on_short;
};

extern const struct argp output_argp;            /* the options that say how to report */
extern const struct argp_child shared_options[]; /* of a watch; the first: which processes */
#define NR_SHARED_OPTIONS 4

/* What the options are when nothing is said. */
void options_init(struct options *options);
void options_done(struct options *options);
/* Parses the arguments of watch. @flags as argp_parse(); without ARGP_NO_EXIT it prints what is
 * wrong and exits. 0 or an errno. */
int options_parse(int argc, char **argv, unsigned int flags, struct options *ret_options);

/* --- suppress.c --- */
/* Adds a suppression file, a baseline (a JSON report or a recording) to the filter. */
int options_suppress(struct options *options, const char *path, struct error *error);
int options_baseline(struct options *options, const char *path, struct error *error);
/* How many of the findings, from the front, are left when those that the filter matches are taken
 * out. The others are counted in @verdicts. */
size_t findings_suppress(struct filter *filter, struct finding *findings, size_t nr,
			 size_t verdicts[VERDICT_LEAKING + 1]);

/* --- watch.c --- */
/* Watches as the options say; returns the exit status. */
int watch_run(const struct options *options);

/* Single values; @error says what is wrong. */
int parse_pids(const char *text, struct options *options, struct error *error);
int parse_kinds(const char *text, unsigned int *ret_kinds, struct error *error);
int parse_seconds(const char *text, double least, double *ret_seconds, struct error *error);
int parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *ret_number,
		 struct error *error);
int parse_format(const char *text, enum report_format *ret_format, struct error *error);
int parse_attach(const char *text, enum attach_mode *ret_mode, struct error *error);
int parse_unwind(const char *text, bool *ret_frame_pointers_only, struct error *error);

#endif
