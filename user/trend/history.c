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
	if (!trend->options.interval_ns)
		trend->options.interval_ns = NSEC_PER_SEC;
	return trend;
}

void series_done(struct series_set *set)
{
	size_t at;

	for (at = 0; at < set->nr; at++)
		free(set->items[at].history);
	free(set->items);
}

struct trend *trend_free(struct trend *trend)
{
	if (!trend)
		return NULL;
	series_done(&trend->sites);
	aggregates_done(&trend->groups);
	aggregates_done(&trend->totals);
	free(trend);
	return NULL;
}

/* Drops the series whose site is not among the @nr_sites any more. */
static void series_drop_gone(struct series_set *set, const struct site_count *sites,
			     size_t nr_sites)
{
	size_t kept = 0, in = 0, at;

	for (at = 0; at < set->nr; at++) {
		const struct lb_site_key *key = &set->items[at].site.key;

		while (in < nr_sites && site_key_compare(&sites[in].key, key) < 0)
			in++;
		if (in == nr_sites || site_key_compare(&sites[in].key, key) != 0)
			free(set->items[at].history);
		else
			set->items[kept++] = set->items[at];
	}
	set->nr = kept;
}

/* The site as it is told from now on. Of a process that has ended that is what there was when it
 * had most: what a program frees on its way out is no sign that it does not leak. */
static struct site_count site_to_tell(const struct site_count *old, const struct site_count *new)
{
	struct site_count site = *new;

	if (!new->ended || old->live_count <= new->live_count)
		return site;
	site = *old;
	site.ended = true;
	site.cohorts = NULL;
	return site;
}

/* Makes a series of each site: after series_drop_gone() the series are a subset of the sites, so
 * a merge from the back needs no second array. */
static int series_merge(struct series_set *set, const struct site_count *sites, size_t nr_sites)
{
	void *items = set->items;
	size_t old = set->nr, at;
	int error = vec_reserve(&items, &set->capacity, nr_sites, sizeof(struct series));

	set->items = items;
	if (error)
		return error;
	for (at = nr_sites; at-- > 0;) {
		struct series series = { .site = sites[at] };

		if (old > 0 &&
		    site_key_compare(&set->items[old - 1].site.key, &sites[at].key) == 0) {
			old--;
			series.site = site_to_tell(&set->items[old].site, &sites[at]);
			series.history = set->items[old].history;
		}
		set->items[at] = series;
	}
	set->nr = nr_sites;
	return 0;
}

/* Makes a history that knows of nothing before; the levels of epochs that have ended count as 0. */
static void history_reset(struct history *history, const struct epochs *epochs)
{
	history->nr_copies = 0;
	history_clear(history);
	memset(history->lows, 0, epochs->nr * sizeof(*history->lows));
	memset(history->low_bytes, 0, epochs->nr * sizeof(*history->low_bytes));
}

/* A history whose earlier levels are taken to be none; NULL: out of memory. */
static struct history *history_new(const struct epochs *epochs)
{
	struct history *history = calloc(1, sizeof(*history));

	if (history)
		history_reset(history, epochs);
	return history;
}

static bool deserves_history(const struct trend *trend, const struct site_count *site)
{
	return site->live_count >= MAX(trend->options.min_objects, 1) ||
	       (site->proof && site->live_count > 0);
}

/* Gives the site a history when it deserves one, and goes on with it. */
static int series_advance(const struct trend *trend, struct series *series,
			  const struct epochs *old)
{
	if (!series->history) {
		if (!deserves_history(trend, &series->site))
			return 0;
		series->history = history_new(old);
		if (!series->history)
			return -ENOMEM;
	}
	history_record(series->history, old, &series->site);
	if (!epochs_equal(old, &trend->epochs))
		history_move(series->history, old, &trend->epochs, &series->site);
	if (series->site.ended)
		return 0;
	if (trend->is_counted && series->site.cohorts)
		history_judge(trend, series->history, &series->site);
	history_settle(trend, series->history, &series->site);
	return 0;
}

int series_update(const struct trend *trend, struct series_set *set, const struct site_count *sites,
		  size_t nr_sites, const struct epochs *old)
{
	size_t at;
	int error;

	series_drop_gone(set, sites, nr_sites);
	error = series_merge(set, sites, nr_sites);
	for (at = 0; !error && at < set->nr; at++)
		error = series_advance(trend, &set->items[at], old);
	return error;
}

/* Forgets all copies: what they are compared with is counted in another way from now on. */
static void forget_copies(struct series_set *set)
{
	size_t at;

	for (at = 0; at < set->nr; at++) {
		if (set->items[at].history)
			set->items[at].history->nr_copies = 0;
	}
}

static void reset_histories(struct series_set *set, const struct epochs *epochs)
{
	size_t at;

	for (at = 0; at < set->nr; at++) {
		if (set->items[at].history)
			history_reset(set->items[at].history, epochs);
	}
}

/* Can the epochs of a snapshot, maybe read from a file, be used? */
static bool epochs_are_sound(const struct epochs *epochs, uint64_t now_ns)
{
	return epochs->nr > 0 && epochs->nr < TREND_EPOCHS && epochs->length_ns > 0 &&
	       epochs->start_ns <= now_ns && epochs->length_ns <= UINT64_MAX / TREND_EPOCHS / 2 &&
	       epochs->start_ns <= UINT64_MAX / 2;
}

/* Epochs go on as trend_epochs() said, or as the snapshot says when it was made for a watch of
 * other epochs. Returns those before. */
static struct epochs trend_advance(struct trend *trend, const struct snapshot *snapshot)
{
	struct epochs old;

	trend->now_ns = snapshot->time_ns;
	if (!trend->has_begun) {
		trend->has_begun = true;
		trend->start_ns = snapshot->time_ns;
		trend->epochs = (struct epochs){ .start_ns = snapshot->time_ns,
						 .length_ns = trend->options.interval_ns };
	}
	old = trend->epochs;
	trend->epochs = epochs_at(trend, snapshot->time_ns);
	trend->is_counted = epochs_are_sound(&snapshot->epochs, snapshot->time_ns);
	if (!trend->is_counted || epochs_equal(&snapshot->epochs, &trend->epochs))
		return old;
	trend->epochs = snapshot->epochs;
	reset_histories(&trend->sites, &trend->epochs);
	reset_histories(&trend->groups.sums, &trend->epochs);
	reset_histories(&trend->totals.sums, &trend->epochs);
	return trend->epochs;
}

/* They do not outlive the snapshot. */
static void forget_cohorts(struct series_set *set)
{
	size_t at;

	for (at = 0; at < set->nr; at++)
		set->items[at].site.cohorts = NULL;
}

int trend_push(struct trend *trend, const struct snapshot *snapshot)
{
	struct epochs old = trend_advance(trend, snapshot);
	int error;

	if (snapshot->sample_shift != trend->sample_shift) {
		forget_copies(&trend->sites);
		forget_copies(&trend->groups.sums);
		forget_copies(&trend->totals.sums);
	}
	trend->sample_shift = snapshot->sample_shift;
	error = series_update(trend, &trend->sites, snapshot->sites, snapshot->nr_sites, &old);
	if (!error)
		error = trend_aggregate(trend, snapshot, &old);
	forget_cohorts(&trend->sites);
	forget_cohorts(&trend->groups.sums);
	forget_cohorts(&trend->totals.sums);
	return error;
}
