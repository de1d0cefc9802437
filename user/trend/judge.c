/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "trend/history.h"

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

const char *verdict_name(enum verdict verdict)
{
	static const char *const names[] = { "stable", "suspect", "growing", "leaking" };

	return names[verdict];
}

static enum verdict series_verdict(const struct series *series)
{
	return series->history ? (enum verdict)series->history->verdict : VERDICT_STABLE;
}

static float series_growth(const struct series *series)
{
	return series->history ? series->history->growth_bytes_per_s : 0;
}

/* The most alarming first. */
static int series_compare(const void *left, const void *right)
{
	const struct series *a = *(const struct series *const *)left;
	const struct series *b = *(const struct series *const *)right;

	if (series_verdict(a) != series_verdict(b))
		return COMPARE(series_verdict(b), series_verdict(a));
	if (series_growth(a) != series_growth(b))
		return COMPARE(series_growth(b), series_growth(a));
	if (a->site.live_bytes != b->site.live_bytes)
		return COMPARE(b->site.live_bytes, a->site.live_bytes);
	return site_key_compare(&a->site.key, &b->site.key);
}

/* Seconds from @from_ns to @to_ns; -1 when @mark_ns, one of them, is not known (0). */
static double seconds_or_unknown(uint64_t from_ns, uint64_t to_ns, uint64_t mark_ns)
{
	if (!mark_ns || to_ns < from_ns)
		return -1;
	return (double)(to_ns - from_ns) / (double)NSEC_PER_SEC;
}

static void finding_fill(const struct trend *trend, const struct series *series,
			 struct finding *finding)
{
	static const struct history none = { .verdict = VERDICT_STABLE };
	const struct history *history = series->history ? series->history : &none;
	unsigned int i;

	*finding = (struct finding){
		.site = series->site,
		.verdict = (enum verdict)history->verdict,
		.confidence = history->confidence / (history->verdict == VERDICT_SUSPECT ? 2 : 1),
		.growth_count_per_s = history_growth_count(trend, history),
		.growth_bytes_per_s = history->growth_bytes_per_s,
		.first_alert_s = seconds_or_unknown(trend->start_ns, history->first_alert_ns,
						    history->first_alert_ns),
		.oldest_s = seconds_or_unknown(series->site.oldest_ns, trend->now_ns,
					       series->site.oldest_ns),
		.nr_history = series->history ? trend->nr_points : 0,
	};
	for (i = 0; i < finding->nr_history; i++)
		finding->history[i] = (uint64_t)history->points[i].bytes;
}

_Static_assert(TREND_POINTS <= FINDING_HISTORY, "a finding shows the whole history");

void trend_count(const struct trend *trend, size_t ret_counts[VERDICT_LEAKING + 1])
{
	size_t at;

	memset(ret_counts, 0, (VERDICT_LEAKING + 1) * sizeof(*ret_counts));
	for (at = 0; at < trend->nr_series; at++)
		ret_counts[series_verdict(&trend->series[at])]++;
}

/* Lets the series at @at sink to where it belongs: above it are only less alarming ones. */
static void heap_sink(const struct series **heap, size_t nr, size_t at)
{
	for (;;) {
		size_t child = 2 * at + 1;
		const struct series *moved = heap[at];

		if (child + 1 < nr && series_compare(&heap[child], &heap[child + 1]) < 0)
			child++;
		if (child >= nr || series_compare(&moved, &heap[child]) >= 0)
			return;
		heap[at] = heap[child];
		heap[child] = moved;
		at = child;
	}
}

/* Puts the @nr most alarming series into @kept, sorted. The least alarming one of those kept so far
 * is on top of a heap, so most of the others cost one comparison. */
static void select_series(const struct trend *trend, const struct series **kept, size_t nr)
{
	size_t at;

	for (at = 0; at < nr; at++)
		kept[at] = &trend->series[at];
	for (at = nr / 2; at-- > 0;)
		heap_sink(kept, nr, at);
	for (at = nr; nr > 0 && at < trend->nr_series; at++) {
		const struct series *candidate = &trend->series[at];

		if (series_compare(&candidate, &kept[0]) >= 0)
			continue;
		kept[0] = candidate;
		heap_sink(kept, nr, 0);
	}
	qsort(kept, nr, sizeof(*kept), series_compare);
}

DEFINE_CLEANUP(kept, const struct series **, free(*value))

int trend_judge(const struct trend *trend, size_t max, struct finding **ret_findings,
		size_t *ret_nr)
{
	size_t nr = MIN(trend->nr_series, max), at;
	const struct series **kept __cleanup_of(kept) = calloc(nr + 1, sizeof(*kept));
	struct finding *findings;

	if (!kept)
		return -ENOMEM;
	findings = calloc(nr + 1, sizeof(*findings));
	if (!findings)
		return -ENOMEM;
	select_series(trend, kept, nr);
	for (at = 0; at < nr; at++)
		finding_fill(trend, kept[at], &findings[at]);
	*ret_findings = findings;
	*ret_nr = nr;
	return 0;
}
