/* SPDX-License-Identifier: GPL-2.0-only */
#include "trend/history.h"

#include <errno.h>
#include <stdlib.h>

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
	size_t at;

	if (!trend)
		return NULL;
	for (at = 0; at < trend->nr_series; at++)
		free(trend->series[at].history);
	free(trend->series);
	free(trend);
	return NULL;
}

/* Drops the series whose site is not in the snapshot any more. */
static void series_drop_gone(struct trend *trend, const struct snapshot *snapshot)
{
	size_t kept = 0, in = 0, at;

	for (at = 0; at < trend->nr_series; at++) {
		const struct lb_site_key *key = &trend->series[at].site.key;

		while (in < snapshot->nr_sites &&
		       site_key_compare(&snapshot->sites[in].key, key) < 0)
			in++;
		if (in == snapshot->nr_sites ||
		    site_key_compare(&snapshot->sites[in].key, key) != 0)
			free(trend->series[at].history);
		else
			trend->series[kept++] = trend->series[at];
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
		struct history *history = NULL;

		if (old > 0 && site_key_compare(&trend->series[old - 1].site.key, &site->key) == 0)
			history = trend->series[--old].history;
		trend->series[at] = (struct series){ .site = *site, .history = history };
	}
	trend->nr_series = snapshot->nr_sites;
	return 0;
}

static struct point point_min(struct point a, struct point b)
{
	return (struct point){ .bytes = MIN(a.bytes, b.bytes), .count = MIN(a.count, b.count) };
}

static void history_halve(struct history *history)
{
	unsigned int i;

	history->first /= 2;
	for (i = 0; i < TREND_POINTS / 2; i++)
		history->points[i] = point_min(history->points[2 * i], history->points[2 * i + 1]);
}

/* Halves the number of points: each becomes the lower one of two. */
static void trend_halve(struct trend *trend)
{
	unsigned int i;
	size_t at;

	trend->nr_points = TREND_POINTS / 2;
	trend->polls_per_point *= 2;
	for (i = 0; i < TREND_POINTS / 2; i++)
		trend->times_ns[i] = trend->times_ns[2 * i];
	for (at = 0; at < trend->nr_series; at++) {
		if (trend->series[at].history)
			history_halve(trend->series[at].history);
	}
}

/* Makes room for one more poll. */
static void trend_advance(struct trend *trend, uint64_t time_ns)
{
	trend->now_ns = time_ns;
	if (trend->nr_points > 0 && trend->polls_in_last < trend->polls_per_point) {
		trend->polls_in_last++;
		return;
	}
	if (trend->nr_points == TREND_POINTS)
		trend_halve(trend);
	if (trend->nr_points == 0)
		trend->start_ns = time_ns;
	trend->times_ns[trend->nr_points++] = time_ns;
	trend->polls_in_last = 1;
}

/* Writes what is live now into the last point. */
static void history_record(const struct trend *trend, const struct site_count *site,
			   struct history *history)
{
	struct point *point = &history->points[trend->nr_points - 1];
	struct point now = {
		.bytes = (float)site->live_bytes,
		.count = (uint32_t)MIN(site->live_count, UINT32_MAX),
	};

	*point = trend->polls_in_last == 1 ? now : point_min(*point, now);
}

/* Gives the site a history when it deserves one, and goes on with it. */
static int series_advance(const struct trend *trend, struct series *series)
{
	if (!series->history) {
		if (series->site.live_count < trend->options.min_objects)
			return 0;
		series->history = history_new(trend);
		if (!series->history)
			return -ENOMEM;
	}
	history_record(trend, &series->site, series->history);
	history_judge(trend, &series->site, series->history);
	return 0;
}

struct epochs trend_epochs(const struct trend *trend, uint64_t now_ns)
{
	(void)trend;
	(void)now_ns;
	return (struct epochs){ .nr = 0 };
}

int trend_push(struct trend *trend, const struct snapshot *snapshot)
{
	size_t at;
	int error;

	trend_advance(trend, snapshot->time_ns);
	trend->sample_shift = snapshot->sample_shift;
	series_drop_gone(trend, snapshot);
	error = series_merge(trend, snapshot);
	for (at = 0; !error && at < trend->nr_series; at++)
		error = series_advance(trend, &trend->series[at]);
	return error;
}

bool trend_can_judge(const struct trend *trend)
{
	return trend->nr_points >= TREND_MIN_POLLS;
}
