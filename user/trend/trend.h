/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * History per site -> verdict. Pure maths: no I/O, no clock, no libbpf.
 */
#ifndef TREND_TREND_H
#define TREND_TREND_H

#include "model.h"

/* A verdict needs that many snapshots, one interval apart: the first, and nine generations. */
#define TREND_MIN_POLLS 10

#define TREND_MIN_BYTES_PER_DAY 65536 /* a sensible min_bytes_per_day */

struct trend;

struct trend_options {
	uint64_t min_objects; /* fewer live objects than this are never more than stable (5) */
	uint64_t interval_ns; /* from poll to poll: the length of the first epochs; 0: 1 s */
	uint64_t horizon_ns;  /* how far back the generations reach at most; 0: 4 h */
	/* What grows by less is at most suspect, where objects have a size that matters (heap and
	 * mappings). 0: no such floor. */
	uint64_t min_bytes_per_day;
};

struct trend *trend_new(const struct trend_options *options); /* NULL: out of memory */
struct trend *trend_free(struct trend *trend);
/* The epochs whose survivors the snapshot taken at @now_ns should count; nr 0: it need not. */
struct epochs trend_epochs(const struct trend *trend, uint64_t now_ns);
/* Appends one snapshot to the history (copied). Snapshots come in the order of their time; the
 * first one marks the start of the watch. */
int trend_push(struct trend *trend, const struct snapshot *snapshot);
/* Was the watch long enough for verdicts? */
bool trend_can_judge(const struct trend *trend);
/* How many sites of the last snapshot have which verdict. When sites are judged as one, the largest
 * of them has the verdict of all. */
void trend_count(const struct trend *trend, size_t ret_counts[VERDICT_LEAKING + 1]);
/* The findings of the last snapshot, at most @max, the most alarming first: sorted by verdict, then
 * growth, then live bytes, then key. Owned by the caller (free()); stack is NULL. */
int trend_judge(const struct trend *trend, size_t max, struct finding **ret_findings,
		size_t *ret_nr);
/* By how many bytes a second all that is leaking or growing in the processes @tgids (NULL: in all)
 * grows, with the interval in which the true rate lies 19 times of 20. */
double trend_growth_bytes_per_s(const struct trend *trend, const uint32_t *tgids, size_t nr_tgids,
				double *ret_low, double *ret_high);

const char *verdict_name(enum verdict verdict); /* "stable" ... as in JSON */

#endif
