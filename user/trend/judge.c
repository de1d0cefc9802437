/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "trend/history.h"

#define PROVEN_CONFIDENCE 0.99

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

const char *verdict_name(enum verdict verdict)
{
	static const char *const names[] = { "stable", "suspect", "growing", "leaking" };

	return names[verdict];
}

/* Objects have the size of those that are live. */
static double series_size(const struct series *series)
{
	return (double)series->site.live_bytes / (double)MAX(series->site.live_count, 1);
}

static double series_growth(const struct series *series)
{
	return series->history ? series->history->judgement.rate * series_size(series) : 0;
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

static void fill_growth(const struct series *series, struct finding *finding)
{
	const struct judgement *judgement = &series->history->judgement;
	double size = series_size(series);

	finding->growth_count_per_s = judgement->rate;
	finding->growth_count_low = judgement->rate * (1 - judgement->rate_error);
	finding->growth_count_high = judgement->rate * (1 + judgement->rate_error);
	finding->growth_bytes_per_s = finding->growth_count_per_s * size;
	finding->growth_bytes_low = finding->growth_count_low * size;
	finding->growth_bytes_high = finding->growth_count_high * size;
}

/* What kept the verdict from being more, also the memory of an earlier one. */
static enum doubt history_doubt(const struct history *history)
{
	const struct judgement *judgement = &history->judgement;

	if (judgement->nr_judged == 0)
		return DOUBT_FEW;
	if (history->verdict < judgement->verdict)
		return DOUBT_NEW;
	if (history->verdict == VERDICT_SUSPECT && judgement->verdict == VERDICT_STABLE)
		return DOUBT_STOPPED;
	return (enum doubt)judgement->doubt;
}

static struct residue residue_of(const struct trend *trend, const struct series *series)
{
	const struct judgement *judgement = &series->history->judgement;
	unsigned int shift = series->site.estimated ? trend->sample_shift & 31 : 0;

	return (struct residue){
		.nr_judged = judgement->nr_judged,
		.nr_stuck = judgement->nr_stuck,
		.nr_draining = judgement->nr_draining,
		.nr_empty = judgement->nr_empty,
		.kept_min = (uint64_t)judgement->kept_min << shift,
		.kept_max = (uint64_t)judgement->kept_max << shift,
		.undrained_s = judgement->undrained_s,
		.quiet_s = judgement->quiet_s,
		.doubt = history_doubt(series->history),
	};
}

static double history_confidence(const struct history *history)
{
	if (history->proven && history->verdict == VERDICT_LEAKING)
		return PROVEN_CONFIDENCE;
	if (history->verdict == VERDICT_STABLE)
		return 0;
	return history->judgement.confidence / (history->verdict == VERDICT_SUSPECT ? 2 : 1);
}

/* The levels of the epochs that have ended, and the present one. */
static void fill_history(const struct trend *trend, const struct series *series,
			 struct finding *finding)
{
	unsigned int i;

	for (i = 0; i < trend->epochs.nr; i++)
		finding->history[i] = (uint64_t)series->history->low_bytes[i];
	finding->history[i] = series->site.live_bytes;
	finding->nr_history = i + 1;
}

static void finding_fill(const struct trend *trend, const struct series *series,
			 struct finding *finding)
{
	const struct history *history = series->history;

	*finding = (struct finding){
		.site = series->site,
		.nr_stacks = 1,
		.first_alert_s = -1,
		.oldest_s = seconds_or_unknown(series->site.oldest_ns, trend->now_ns,
					       series->site.oldest_ns),
		.residue.doubt = DOUBT_FEW,
	};
	if (!history)
		return;
	finding->verdict = (enum verdict)history->verdict;
	finding->confidence = history_confidence(history);
	finding->first_alert_s = seconds_or_unknown(trend->start_ns, history->first_alert_ns,
						    history->first_alert_ns);
	finding->residue = residue_of(trend, series);
	fill_growth(series, finding);
	fill_history(trend, series, finding);
}

/* A sum is told in the place of its largest site, whose counts stay its own: so that each object is
 * told of once. */
static void finding_represent(const struct trend *trend, const struct members *members,
			      struct finding *finding)
{
	const struct site_count *largest = &trend->sites.items[members->largest].site;

	finding->nr_stacks = members->nr;
	finding->site = *largest;
	finding->oldest_s =
		seconds_or_unknown(largest->oldest_ns, trend->now_ns, largest->oldest_ns);
}

_Static_assert(TREND_EPOCHS <= FINDING_HISTORY, "a finding shows the whole history");

/* --- which are told --- */

/* A sum that is told, and what it sums up. */
struct told {
	const struct series *sum;
	const struct members *members;
};

/* The sums that are told, one after the other: *@at counts all of them. */
static bool next_told(const struct trend *trend, size_t *at, struct told *ret_told)
{
	size_t nr_groups = trend->groups.sums.nr;

	while (*at < nr_groups + trend->totals.sums.nr) {
		bool is_group = *at < nr_groups;
		const struct aggregates *sums = is_group ? &trend->groups : &trend->totals;
		size_t index = is_group ? (*at)++ : (*at)++ - nr_groups;

		if (!aggregate_is_told(sums, index))
			continue;
		*ret_told = (struct told){ &sums->sums.items[index], &sums->members[index] };
		return true;
	}
	return false;
}

void trend_count(const struct trend *trend, size_t ret_counts[VERDICT_LEAKING + 1])
{
	struct told told;
	size_t at;

	memset(ret_counts, 0, (VERDICT_LEAKING + 1) * sizeof(*ret_counts));
	for (at = 0; at < trend->sites.nr; at++)
		ret_counts[series_verdict(&trend->sites.items[at])]++;
	for (at = 0; next_told(trend, &at, &told);) {
		ret_counts[series_verdict(&trend->sites.items[told.members->largest])]--;
		ret_counts[series_verdict(told.sum)]++;
	}
}

/* The growth of some processes. */
struct growth {
	const uint32_t *tgids; /* NULL: all */
	size_t nr_tgids;
	double sum, variance;
};

static bool is_wanted(const struct growth *growth, uint32_t tgid)
{
	for (size_t i = 0; growth->tgids && i < growth->nr_tgids; i++)
		if (growth->tgids[i] == tgid)
			return true;
	return !growth->tgids;
}

static void add_growth(const struct series *series, struct growth *all)
{
	double growth;

	if (series_verdict(series) < VERDICT_GROWING ||
	    !kind_has_bytes((enum lb_kind)series->site.key.kind) ||
	    !is_wanted(all, series->site.key.tgid))
		return;
	growth = series_growth(series);
	all->sum += growth;
	all->variance += growth * growth * series->history->judgement.rate_error *
			 series->history->judgement.rate_error;
}

double trend_growth_bytes_per_s(const struct trend *trend, const uint32_t *tgids, size_t nr_tgids,
				double *ret_low, double *ret_high)
{
	struct growth all = { .tgids = tgids, .nr_tgids = nr_tgids };
	struct told told;
	size_t at;

	for (at = 0; at < trend->sites.nr; at++)
		add_growth(&trend->sites.items[at], &all);
	for (at = 0; next_told(trend, &at, &told);)
		add_growth(told.sum, &all);
	*ret_low = all.sum - sqrt(all.variance);
	*ret_high = all.sum + sqrt(all.variance);
	return all.sum;
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

/* The most alarming series. The least alarming one of those kept so far is on top of a heap, so most
 * of the others cost one comparison. */
struct selection {
	const struct series **kept; /* owned */
	size_t nr, max;
};

DEFINE_CLEANUP(selection, struct selection, free(value->kept))

static void selection_offer(struct selection *selection, const struct series *series)
{
	size_t at;

	if (selection->nr < selection->max) {
		selection->kept[selection->nr++] = series;
		for (at = selection->nr / 2; selection->nr == selection->max && at-- > 0;)
			heap_sink(selection->kept, selection->nr, at);
		return;
	}
	if (selection->max == 0 || series_compare(&series, &selection->kept[0]) >= 0)
		return;
	selection->kept[0] = series;
	heap_sink(selection->kept, selection->nr, 0);
}

/* @represented: the sites that a sum is told for. */
static void select_series(const struct trend *trend, bool *represented, struct selection *selection)
{
	struct told told;
	size_t at;

	for (at = 0; next_told(trend, &at, &told);) {
		represented[told.members->largest] = true;
		selection_offer(selection, told.sum);
	}
	for (at = 0; at < trend->sites.nr; at++) {
		if (!represented[at])
			selection_offer(selection, &trend->sites.items[at]);
	}
	qsort(selection->kept, selection->nr, sizeof(*selection->kept), series_compare);
}

/* What @series sums up; NULL: it is a site. */
static const struct members *members_of(const struct aggregates *aggregates,
					const struct series *series)
{
	const struct series_set *sums = &aggregates->sums;

	if (!sums->nr || series < sums->items || series >= sums->items + sums->nr)
		return NULL;
	return &aggregates->members[series - sums->items];
}

static void fill_selected(const struct trend *trend, const struct series *series,
			  struct finding *finding)
{
	const struct members *members = members_of(&trend->groups, series);

	if (!members)
		members = members_of(&trend->totals, series);
	finding_fill(trend, series, finding);
	if (members)
		finding_represent(trend, members, finding);
}

DEFINE_CLEANUP(flags, bool *, free(*value))

int trend_judge(const struct trend *trend, size_t max, struct finding **ret_findings,
		size_t *ret_nr)
{
	struct selection selection __cleanup_of(selection) = { .max = MIN(max, trend->sites.nr) };
	bool *represented __cleanup_of(flags) = calloc(trend->sites.nr + 1, sizeof(*represented));
	struct finding *findings;
	size_t at;

	selection.kept = calloc(selection.max + 1, sizeof(*selection.kept));
	if (!selection.kept || !represented)
		return -ENOMEM;
	select_series(trend, represented, &selection);
	findings = calloc(selection.nr + 1, sizeof(*findings));
	if (!findings)
		return -ENOMEM;
	for (at = 0; at < selection.nr; at++)
		fill_selected(trend, selection.kept[at], &findings[at]);
	*ret_findings = findings;
	*ret_nr = selection.nr;
	return 0;
}

bool trend_can_judge(const struct trend *trend)
{
	uint64_t needed_ns = (TREND_MIN_POLLS - 1) * trend->options.interval_ns;

	return trend->now_ns - trend->start_ns + epochs_slack_ns(trend) >= needed_ns &&
	       trend->has_begun;
}
