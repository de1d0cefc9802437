/* SPDX-License-Identifier: GPL-2.0-only */
#include "trend/history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

struct trend *trend_new(const struct trend_options *options)
{
	struct trend *trend = calloc(1, sizeof(*trend));

	if (!trend)
		return NULL;
	trend->options = *options;
	trend->polls_per_point = 1;
	return trend;
}

struct trend *trend_free(struct trend *trend)
{
	if (trend)
		free(trend->series);
	free(trend);
	return NULL;
}

/* Drops the series whose site is not in the snapshot any more. */
static void series_drop_gone(struct trend *trend, const struct snapshot *snapshot)
{
	size_t kept = 0, in = 0, at = 0;

	for (at = 0; at < trend->nr_series; at++) {
		const struct lb_site_key *key = &trend->series[at].site.key;

		while (in < snapshot->nr_sites &&
		       site_key_compare(&snapshot->sites[in].key, key) < 0)
			in++;
		if (in == snapshot->nr_sites ||
		    site_key_compare(&snapshot->sites[in].key, key) != 0)
			continue;
		if (kept != at)
			trend->series[kept] = trend->series[at];
		kept++;
	}
	trend->nr_series = kept;
}

/* Makes a series of each site: after series_drop_gone() the series are a subset of the sites, so
 * a merge from the back needs no second array. */
static int series_merge(struct trend *trend, const struct snapshot *snapshot)
{
	void *items = trend->series;
	size_t old = trend->nr_series, at;
	int error =
		vec_reserve(&items, &trend->capacity, snapshot->nr_sites, sizeof(struct series));

	trend->series = items;
	if (error)
		return error;
	for (at = snapshot->nr_sites; at-- > 0;) {
		const struct site_count *site = &snapshot->sites[at];
		struct series *series = &trend->series[at];

		if (old > 0 &&
		    site_key_compare(&trend->series[old - 1].site.key, &site->key) == 0) {
			if (--old != at)
				*series = trend->series[old];
		} else {
			memset(series, 0, sizeof(*series));
			series->first = (uint8_t)(trend->nr_points - 1);
		}
		series->site = *site;
	}
	trend->nr_series = snapshot->nr_sites;
	return 0;
}

static struct point point_min(struct point a, struct point b)
{
	return (struct point){ .bytes = MIN(a.bytes, b.bytes), .count = MIN(a.count, b.count) };
}

/* Halves the number of points: each becomes the lower one of two. */
static void history_halve(struct trend *trend)
{
	unsigned int i;
	size_t at;

	trend->nr_points = TREND_POINTS / 2;
	trend->polls_per_point *= 2;
	for (i = 0; i < TREND_POINTS / 2; i++)
		trend->times_ns[i] = trend->times_ns[2 * i];
	for (at = 0; at < trend->nr_series; at++) {
		struct series *series = &trend->series[at];

		series->first /= 2;
		for (i = 0; i < TREND_POINTS / 2; i++)
			series->points[i] =
				point_min(series->points[2 * i], series->points[2 * i + 1]);
	}
}

/* Makes room for one more poll. */
static void history_advance(struct trend *trend, uint64_t time_ns)
{
	trend->now_ns = time_ns;
	if (trend->nr_points > 0 && trend->polls_in_last < trend->polls_per_point) {
		trend->polls_in_last++;
		return;
	}
	if (trend->nr_points == TREND_POINTS)
		history_halve(trend);
	if (trend->nr_points == 0)
		trend->start_ns = time_ns;
	trend->times_ns[trend->nr_points++] = time_ns;
	trend->polls_in_last = 1;
}

/* Writes what is live now into the last point. */
static void series_record(const struct trend *trend, struct series *series)
{
	struct point *point = &series->points[trend->nr_points - 1];
	struct point now = {
		.bytes = (float)series->site.live_bytes,
		.count = (uint32_t)MIN(series->site.live_count, UINT32_MAX),
	};

	*point = trend->polls_in_last == 1 ? now : point_min(*point, now);
}

int trend_push(struct trend *trend, const struct snapshot *snapshot)
{
	size_t at;
	int error;

	history_advance(trend, snapshot->time_ns);
	trend->sample_shift = snapshot->sample_shift;
	series_drop_gone(trend, snapshot);
	error = series_merge(trend, snapshot);
	if (error)
		return error;
	for (at = 0; at < trend->nr_series; at++) {
		series_record(trend, &trend->series[at]);
		series_judge(trend, &trend->series[at]);
	}
	return 0;
}

bool trend_can_judge(const struct trend *trend)
{
	return trend->nr_points >= TREND_MIN_POLLS;
}
