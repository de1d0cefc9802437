/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>

#include "base/base.h"
#include "trend/history.h"

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

const char *verdict_name(enum verdict verdict)
{
	static const char *const names[] = { "stable", "suspect", "growing", "leaking" };

	return names[verdict];
}

/* The most alarming first. */
static int series_compare(const void *left, const void *right)
{
	const struct series *a = *(const struct series *const *)left;
	const struct series *b = *(const struct series *const *)right;

	if (a->verdict != b->verdict)
		return COMPARE(b->verdict, a->verdict);
	if (a->growth_bytes_per_s != b->growth_bytes_per_s)
		return COMPARE(b->growth_bytes_per_s, a->growth_bytes_per_s);
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
	unsigned int i;

	*finding = (struct finding){
		.site = series->site,
		.verdict = (enum verdict)series->verdict,
		.confidence = series->confidence / (series->verdict == VERDICT_SUSPECT ? 2 : 1),
		.growth_count_per_s = series->growth_count_per_s,
		.growth_bytes_per_s = series->growth_bytes_per_s,
		.first_alert_s = seconds_or_unknown(trend->start_ns, series->first_alert_ns,
						    series->first_alert_ns),
		.oldest_s = seconds_or_unknown(series->site.oldest_ns, trend->now_ns,
					       series->site.oldest_ns),
		.nr_history = trend->nr_points,
	};
	for (i = 0; i < trend->nr_points; i++)
		finding->history[i] = (uint64_t)series->points[i].bytes;
}

_Static_assert(TREND_POINTS <= FINDING_HISTORY, "a finding shows the whole history");

/* How many of the @nr sorted series are wanted. */
static size_t wanted_findings(const struct series **sorted, size_t nr, size_t max_stable)
{
	size_t alarming = 0;

	while (alarming < nr && sorted[alarming]->verdict != VERDICT_STABLE)
		alarming++;
	return alarming + MIN(nr - alarming, max_stable);
}

DEFINE_CLEANUP(sorted, const struct series **, free(*value))

int trend_judge(const struct trend *trend, size_t max_stable, struct finding **ret_findings,
		size_t *ret_nr)
{
	const struct series **sorted __cleanup_of(sorted) =
		calloc(trend->nr_series + 1, sizeof(*sorted));
	struct finding *findings;
	size_t at, nr;

	if (!sorted)
		return -ENOMEM;
	for (at = 0; at < trend->nr_series; at++)
		sorted[at] = &trend->series[at];
	qsort(sorted, trend->nr_series, sizeof(*sorted), series_compare);
	nr = wanted_findings(sorted, trend->nr_series, max_stable);
	findings = calloc(nr + 1, sizeof(*findings));
	if (!findings)
		return -ENOMEM;
	for (at = 0; at < nr; at++)
		finding_fill(trend, sorted[at], &findings[at]);
	*ret_findings = findings;
	*ret_nr = nr;
	return 0;
}
