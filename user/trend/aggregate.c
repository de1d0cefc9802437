/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The same leak split over many stacks: the sites of one group, and all of one process and kind,
 * are judged as if they were one.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/base.h"
#include "trend/history.h"

/* A site of the snapshot and the sum it belongs to. */
struct membership {
	struct lb_site_key key; /* of the sum */
	size_t site;            /* index */
};

/* Sums being made. */
struct sums {
	struct site_count *sites;          /* owned */
	uint32_t (*cohorts)[TREND_EPOCHS]; /* of each sum; owned */
	size_t nr;
};

DEFINE_CLEANUP(memberships, struct membership *, free(*value))
DEFINE_CLEANUP(sums, struct sums, (free(value->sites), free(value->cohorts)))

void aggregates_done(struct aggregates *aggregates)
{
	series_done(&aggregates->sums);
	free(aggregates->members);
}

static bool is_same_sum(const struct membership *a, const struct membership *b)
{
	return a->key.stack == b->key.stack && a->key.tgid == b->key.tgid &&
	       a->key.kind == b->key.kind;
}

/* As site_key_compare(), and quick for sites of one process and kind. */
static int membership_compare(const void *left, const void *right)
{
	const struct membership *a = left, *b = right;

	if (a->key.tgid != b->key.tgid || a->key.kind != b->key.kind)
		return site_key_compare(&a->key, &b->key);
	return (a->key.stack > b->key.stack) - (a->key.stack < b->key.stack);
}

/* The first one after @at that belongs to another sum. */
static size_t run_end(const struct membership *list, size_t nr, size_t at)
{
	size_t end = at + 1;

	while (end < nr && is_same_sum(&list[at], &list[end]))
		end++;
	return end;
}

/* In the order of their keys, as the sites are. */
static size_t list_totals(const struct snapshot *snapshot, struct membership *list)
{
	size_t i;

	for (i = 0; i < snapshot->nr_sites; i++) {
		list[i] = (struct membership){ .key = snapshot->sites[i].key, .site = i };
		list[i].key.stack = 0;
	}
	return snapshot->nr_sites;
}

static size_t list_groups(const struct snapshot *snapshot, struct membership *list)
{
	size_t nr = 0, i;

	for (i = 0; i < snapshot->nr_sites; i++) {
		const struct site_count *site = &snapshot->sites[i];

		if (!site->group)
			continue;
		list[nr] = (struct membership){ .key = site->key, .site = i };
		list[nr++].key.stack = site->group;
	}
	qsort(list, nr, sizeof(*list), membership_compare);
	return nr;
}

static void add_cohorts(uint32_t *sums, const uint32_t *cohorts, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		sums[i] += MIN(cohorts[i], UINT32_MAX - sums[i]);
}

static void sum_add(struct site_count *sum, const struct site_count *site)
{
	sum->opened_count += site->opened_count;
	sum->opened_bytes += site->opened_bytes;
	sum->closed_count += site->closed_count;
	sum->closed_bytes += site->closed_bytes;
	sum->live_count += site->live_count;
	sum->live_bytes += site->live_bytes;
	sum->longest_ns = MAX(sum->longest_ns, site->longest_ns);
	sum->estimated |= site->estimated;
	sum->ended |= site->ended;
	if (site->oldest_ns && (!sum->oldest_ns || site->oldest_ns < sum->oldest_ns))
		sum->oldest_ns = site->oldest_ns;
}

/* Sums up the sites of @list, which are at least two. */
static void make_sum(const struct trend *trend, const struct membership *list, size_t nr,
		     struct sums *sums, struct members *members)
{
	struct site_count *sum = &sums->sites[sums->nr];
	uint32_t *cohorts = sums->cohorts[sums->nr++];
	size_t i;

	*sum = (struct site_count){ .key = list->key, .group = list->key.stack };
	*members = (struct members){ .largest = list->site, .nr = (uint32_t)nr };
	for (i = 0; i < nr; i++) {
		const struct series *series = &trend->sites.items[list[i].site];

		sum_add(sum, &series->site);
		if (series->site.live_bytes > trend->sites.items[members->largest].site.live_bytes)
			members->largest = list[i].site;
		if (trend->is_counted && series->site.cohorts) {
			add_cohorts(cohorts, series->site.cohorts, trend->epochs.nr);
			sum->cohorts = cohorts;
		}
	}
}

/* Sums up each run of two sites or more with the same key. */
static void make_sums(const struct trend *trend, const struct membership *list, size_t nr,
		      struct sums *sums, struct members *members)
{
	size_t at, end;

	for (at = 0; at < nr; at = end) {
		end = run_end(list, nr, at);
		if (end - at > 1)
			make_sum(trend, &list[at], end - at, sums, &members[sums->nr]);
	}
}

static size_t count_sums(const struct membership *list, size_t nr)
{
	size_t sums = 0, at, end;

	for (at = 0; at < nr; at = end) {
		end = run_end(list, nr, at);
		sums += end - at > 1;
	}
	return sums;
}

static bool has_alarm(const struct trend *trend, const struct membership *list, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		if (series_verdict(&trend->sites.items[list[i].site]) >= VERDICT_GROWING)
			return true;
	}
	return false;
}

/* Looks for alarms in what grows as a whole. */
static void find_alarms(const struct trend *trend, const struct membership *list, size_t nr,
			struct aggregates *aggregates)
{
	size_t at, end, sum = 0;

	for (at = 0; at < nr; at = end) {
		end = run_end(list, nr, at);
		if (end - at < 2)
			continue;
		if (series_verdict(&aggregates->sums.items[sum]) >= VERDICT_GROWING)
			aggregates->members[sum].alarming = has_alarm(trend, &list[at], end - at);
		sum++;
	}
}

static int aggregate(const struct trend *trend, const struct membership *list, size_t nr,
		     const struct epochs *old, struct aggregates *aggregates)
{
	size_t nr_sums = count_sums(list, nr);
	struct sums sums __cleanup_of(sums) = {
		.sites = calloc(nr_sums + 1, sizeof(*sums.sites)),
		.cohorts = calloc(nr_sums + 1, sizeof(*sums.cohorts)),
	};
	void *members = aggregates->members;
	int error = vec_reserve(&members, &aggregates->capacity, nr_sums, sizeof(struct members));

	aggregates->members = members;
	if (error || !sums.sites || !sums.cohorts)
		return -ENOMEM;
	make_sums(trend, list, nr, &sums, aggregates->members);
	error = series_update(trend, &aggregates->sums, sums.sites, sums.nr, old);
	if (!error)
		find_alarms(trend, list, nr, aggregates);
	return error;
}

bool aggregate_is_told(const struct aggregates *aggregates, size_t at)
{
	return !aggregates->members[at].alarming &&
	       series_verdict(&aggregates->sums.items[at]) >= VERDICT_GROWING;
}

/* A total is not told when a group of it is. Both are sorted by process and kind. */
static void hush_totals(struct trend *trend)
{
	struct aggregates *groups = &trend->groups, *totals = &trend->totals;
	size_t at, in = 0;

	for (at = 0; at < groups->sums.nr; at++) {
		struct lb_site_key key = groups->sums.items[at].site.key;

		key.stack = 0;
		while (in < totals->sums.nr &&
		       site_key_compare(&totals->sums.items[in].site.key, &key) < 0)
			in++;
		if (in < totals->sums.nr && aggregate_is_told(groups, at) &&
		    site_key_compare(&totals->sums.items[in].site.key, &key) == 0)
			totals->members[in].alarming = true;
	}
}

/* Everything a process does is in its total, data and caches too: at most growing. */
static void soften_totals(struct trend *trend)
{
	size_t at;

	for (at = 0; at < trend->totals.sums.nr; at++) {
		struct history *history = trend->totals.sums.items[at].history;

		if (history)
			history->verdict = (uint8_t)MIN(history->verdict, VERDICT_GROWING);
	}
}

int trend_aggregate(struct trend *trend, const struct snapshot *snapshot, const struct epochs *old)
{
	struct membership *list __cleanup_of(memberships) =
		calloc(snapshot->nr_sites + 1, sizeof(*list));
	int error;

	if (!list)
		return -ENOMEM;
	error = aggregate(trend, list, list_groups(snapshot, list), old, &trend->groups);
	if (!error)
		error = aggregate(trend, list, list_totals(snapshot, list), old, &trend->totals);
	if (error)
		return error;
	hush_totals(trend);
	soften_totals(trend);
	return 0;
}
