/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a history becomes a verdict: by the residue of birth cohorts.
 *
 * Asked is not whether the level rises (it does so in caches, under load, between two collections),
 * but: do objects of nearly every generation stay, without draining, and do new generations keep
 * adding? A generation is judged two epochs after its copy was made. It is
 *
 *   stuck      when about nine of ten objects of the copy are left, or more,
 *   empty      when there were none,
 *   draining   otherwise.
 *
 * The start-up (the first epoch) is not judged. The youngest generations that drain are left out:
 * they may still be in use. A site is growing or leaking when it passes all tests of tests[] below,
 * at two successive ends of epochs; leaking when it does close objects, at least a fifth of what it
 * opens. One that hardly ever does may be a cache or data as well: growing.
 *
 * What was once growing or leaking stays suspect while most of it is live.
 */
#include <math.h>
#include <stdlib.h>

#include "base/base.h"
#include "trend/history.h"

#define MIN_JUDGED         4 /* generations */
#define MIN_STUCK          4
#define JUDGED_AFTER       2   /* epochs after the copy */
#define KEPT_SHARE         0.9 /* of the copy, less 1.5 sigma: stuck */
#define KEPT_SIGMAS        1.5
#define SETTLED_SHARE      0.6  /* of the generations must not be draining at the end */
#define DRAINING_SHARE     0.2  /* of the rest may drain */
#define SPAN_SHARE         0.5  /* of the generations lie between the oldest and youngest stuck */
#define MAX_GAP            3    /* times the usual distance of stuck ones: still going, 5 % */
#define SATURATING_SHARE   0.33 /* the later half keeps less than that of the earlier one */
#define LEVEL_SHARE        0.25 /* of the residue must be seen in the level */
#define LEVEL_SIGMAS       2
#define CLOSED_SHARE       0.2 /* of what is opened: leaking, not growing */
#define STREAK             2   /* judgements in a row */
#define TWO_SIDED_95       1.96
#define SECONDS_PER_DAY    86400
#define DEVIATION_TO_SIGMA 1.65 /* median of the second differences of white noise to its sigma */

enum state { EMPTY, DRAINING, STUCK };

/* What the rule looks at. */
struct generations {
	const struct history *history;
	const uint32_t *kept;    /* survivors in each epoch, now */
	unsigned int nr_epochs;  /* that have ended */
	unsigned int first, nr;  /* those judged */
	unsigned int nr_settled; /* without the youngest that drain */
	enum state states[TREND_EPOCHS];
	unsigned int count[STUCK + 1]; /* of the settled ones in each state */
	unsigned int oldest, youngest; /* stuck; indexes of states[] */
	double residue;                /* followed objects in stuck ones */
	double older, younger;         /* in the first and the second half of their span */
	double scale;                  /* objects for each one followed */
	uint64_t min_objects;
};

static unsigned int span_of(const struct generations *generations)
{
	return generations->youngest - generations->oldest + 1;
}

static enum state state_of(double copied, double kept)
{
	double missing = KEPT_SHARE * copied - kept;
	double variance = copied * (1 - KEPT_SHARE);

	if (kept > 0 && (missing <= 0 || missing * missing <= KEPT_SIGMAS * KEPT_SIGMAS * variance))
		return STUCK;
	return copied > 0 ? DRAINING : EMPTY;
}

/* Which generations are judged: a run, as copies are made in their order. */
static void find_judged(const struct trend *trend, struct generations *generations)
{
	const struct history *history = generations->history;
	bool has_start = trend->epochs.start_ns == trend->start_ns;
	unsigned int end = history->nr_copies;

	while (end > 0 && generations->nr_epochs - history->copied_at[end - 1] < JUDGED_AFTER)
		end--;
	generations->first = has_start ? 1 : 0;
	generations->nr = end > generations->first ? end - generations->first : 0;
}

static void find_states(struct generations *generations)
{
	unsigned int i, first = generations->first;

	for (i = 0; i < generations->nr; i++)
		generations->states[i] = state_of(generations->history->copies[first + i],
						  generations->kept[first + i]);
	generations->nr_settled = generations->nr;
	while (generations->nr_settled > 0 &&
	       generations->states[generations->nr_settled - 1] == DRAINING)
		generations->nr_settled--;
}

/* Counts the settled ones. */
static void sum_states(struct generations *generations)
{
	unsigned int i;

	generations->oldest = TREND_EPOCHS;
	for (i = 0; i < generations->nr_settled; i++) {
		generations->count[generations->states[i]]++;
		if (generations->states[i] != STUCK)
			continue;
		generations->oldest = MIN(generations->oldest, i);
		generations->youngest = i;
		generations->residue += generations->kept[generations->first + i];
	}
}

/* The middle one of an odd span belongs to neither half. */
static void sum_halves(struct generations *generations)
{
	unsigned int span = span_of(generations), half = MAX(span / 2, 1U), i;

	for (i = 0; i < span; i++) {
		unsigned int at = generations->oldest + i;
		double kept = generations->states[at] == STUCK
				      ? generations->kept[generations->first + at]
				      : 0;

		generations->older += i < half ? kept : 0;
		generations->younger += i >= span - half ? kept : 0;
	}
}

static struct generations look_at(const struct trend *trend, const struct history *history,
				  const struct site_count *site)
{
	struct generations generations = {
		.history = history,
		.kept = site->cohorts,
		.nr_epochs = trend->epochs.nr,
		.scale = site->estimated ? (double)(1ULL << (trend->sample_shift & 31)) : 1,
		.min_objects = trend->options.min_objects,
	};

	find_judged(trend, &generations);
	find_states(&generations);
	sum_states(&generations);
	if (generations.count[STUCK] > 0)
		sum_halves(&generations);
	return generations;
}

/* --- the tests: what speaks against a leak --- */

static bool none_is_settled(const struct generations *generations)
{
	return generations->nr_settled < SETTLED_SHARE * generations->nr &&
	       generations->nr_settled < 2;
}

static bool few_are_settled(const struct generations *generations)
{
	return generations->nr_settled < SETTLED_SHARE * generations->nr;
}

static bool little_is_left(const struct generations *generations)
{
	unsigned int wanted = MIN(MIN_STUCK, MAX(MIN_STUCK - 1, (int)generations->nr - 1));

	return generations->count[STUCK] < wanted ||
	       generations->residue < (double)generations->min_objects;
}

static bool old_ones_drain(const struct generations *generations)
{
	return generations->count[DRAINING] > DRAINING_SHARE * generations->nr_settled;
}

/* Where all is dropped now and then, the residue since the last time covers half of the history at
 * most. */
static bool span_is_short(const struct generations *generations)
{
	return span_of(generations) < SPAN_SHARE * generations->nr;
}

static bool has_stopped(const struct generations *generations)
{
	unsigned int i, empty = 0;

	for (i = generations->youngest + 1; i < generations->nr_settled; i++)
		empty += generations->states[i] == EMPTY;
	return empty * generations->count[STUCK] > MAX_GAP * span_of(generations);
}

static bool is_saturating(const struct generations *generations)
{
	return generations->younger <
	       SATURATING_SHARE * generations->older - sqrt(generations->younger);
}

/* By how much the lowest levels waver around a line: median of their second differences. */
static double level_noise(const uint32_t *lows, unsigned int nr)
{
	double sorted[TREND_EPOCHS] = { 0 };
	unsigned int found = 0, i, at;

	for (i = 1; i + 2 < nr; i++) {
		double bend = fabs((double)lows[i + 2] - 2.0 * lows[i + 1] + lows[i]);

		for (at = found++; at > 0 && sorted[at - 1] > bend; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = bend;
	}
	return found > 0 ? sorted[found / 2] / DEVIATION_TO_SIGMA : 0;
}

/* Where entries that are never evicted take the place of others that are, nothing rises. */
static bool level_is_flat(const struct generations *generations)
{
	const uint32_t *lows = generations->history->lows;
	unsigned int nr = generations->nr_epochs, middle = nr / 2, i;
	double rise = (double)lows[nr - 1] - lows[middle], born = 0, noise;

	for (i = MAX(middle, generations->first); i < generations->first + generations->nr; i++)
		born += generations->kept[i];
	noise = MAX(level_noise(lows, nr), generations->scale);
	return rise < LEVEL_SHARE * born * generations->scale - LEVEL_SIGMAS * noise;
}

struct test {
	bool (*fails)(const struct generations *generations);
	enum doubt doubt;
	enum verdict verdict; /* of a site that fails */
};

static const struct test tests[] = {
	{ none_is_settled, DOUBT_DRAINING, VERDICT_STABLE },
	{ few_are_settled, DOUBT_DRAINING, VERDICT_SUSPECT },
	{ little_is_left, DOUBT_LITTLE, VERDICT_STABLE },
	{ old_ones_drain, DOUBT_DRAINING, VERDICT_STABLE },
	{ span_is_short, DOUBT_SPAN, VERDICT_SUSPECT },
	{ has_stopped, DOUBT_STOPPED, VERDICT_SUSPECT },
	{ is_saturating, DOUBT_SATURATING, VERDICT_SUSPECT },
	{ level_is_flat, DOUBT_LEVEL, VERDICT_SUSPECT },
};

/* --- what is told of it --- */

/* How much more the residues of the generations vary than those of single objects would: bursts
 * tell less of a rate than as many single objects. */
static double dispersion(const struct generations *generations)
{
	double span = span_of(generations), mean = generations->residue / span, squares = 0;
	unsigned int i;

	for (i = generations->oldest; i <= generations->youngest; i++) {
		double kept = generations->states[i] == STUCK
				      ? generations->kept[generations->first + i]
				      : 0;

		squares += (kept - mean) * (kept - mean);
	}
	return span > 1 ? MAX(squares / (span - 1) / mean, 1) : 1;
}

/* Fewer generations, fewer objects, slowing down: less certain. 0..1. */
static double confidence_of(const struct generations *generations)
{
	double steady = 1 - exp2(1 - (double)generations->count[STUCK]);
	double enough = 1 - exp(-generations->residue / 8);
	double lasting = MIN(1, 0.4 + (generations->younger + 1) / (generations->older + 1));

	return steady * enough * lasting;
}

static void find_range(const struct generations *generations, struct judgement *judgement)
{
	unsigned int i;

	judgement->kept_min = UINT32_MAX;
	for (i = generations->oldest; i <= generations->youngest; i++) {
		uint32_t kept = generations->kept[generations->first + i];

		if (generations->states[i] != STUCK)
			continue;
		judgement->kept_min = MIN(judgement->kept_min, kept);
		judgement->kept_max = MAX(judgement->kept_max, kept);
	}
}

/* Seconds since the judged generation @at was complete. */
static float seconds_since(const struct trend *trend, const struct generations *generations,
			   unsigned int at)
{
	const struct epochs *epochs = &trend->epochs;
	uint64_t end_ns = epochs->start_ns + (generations->first + at + 1) * epochs->length_ns;

	return trend->now_ns > end_ns ? (float)(trend->now_ns - end_ns) / (float)NSEC_PER_SEC : 0;
}

static struct judgement describe(const struct trend *trend, const struct generations *generations)
{
	struct judgement judgement = {
		.nr_judged = (uint8_t)generations->nr,
		.nr_stuck = (uint8_t)generations->count[STUCK],
		.nr_empty = (uint8_t)generations->count[EMPTY],
		.nr_draining = (uint8_t)(generations->nr - generations->count[STUCK] -
					 generations->count[EMPTY]),
	};
	double seconds;

	if (!judgement.nr_stuck)
		return judgement;
	seconds = span_of(generations) * (double)trend->epochs.length_ns / (double)NSEC_PER_SEC;
	find_range(generations, &judgement);
	judgement.rate = (float)(generations->residue * generations->scale / seconds);
	judgement.rate_error = (float)(TWO_SIDED_95 * sqrt(dispersion(generations) /
							   MAX(generations->residue, 1)));
	judgement.confidence = (float)confidence_of(generations);
	judgement.undrained_s = seconds_since(trend, generations, generations->oldest);
	judgement.quiet_s = seconds_since(trend, generations, generations->youngest);
	return judgement;
}

/* --- the verdict --- */

/* Does it grow by too few bytes to matter? */
static bool is_trifle(const struct trend *trend, const struct site_count *site, double rate)
{
	double size = (double)site->live_bytes / (double)MAX(site->live_count, 1);

	return kind_has_bytes((enum lb_kind)site->key.kind) &&
	       rate * size * SECONDS_PER_DAY < (double)trend->options.min_bytes_per_day;
}

static void judge_passed(const struct trend *trend, const struct site_count *site,
			 struct judgement *judgement)
{
	double opened = (double)MAX(site->opened_count, 1);

	judgement->verdict = (double)site->closed_count >= CLOSED_SHARE * opened ? VERDICT_LEAKING
										 : VERDICT_GROWING;
	if (is_trifle(trend, site, judgement->rate)) {
		judgement->verdict = VERDICT_SUSPECT;
		judgement->doubt = DOUBT_SMALL;
	}
}

static void copy_generations(struct history *history, const struct epochs *epochs,
			     const uint32_t *cohorts)
{
	while (history->nr_copies + 1U < epochs->nr) {
		history->copies[history->nr_copies] = cohorts[history->nr_copies];
		history->copied_at[history->nr_copies++] = (uint8_t)epochs->nr;
	}
}

void history_judge(const struct trend *trend, struct history *history,
		   const struct site_count *site)
{
	struct generations generations;
	struct judgement *judgement = &history->judgement;
	size_t i;

	copy_generations(history, &trend->epochs, site->cohorts);
	generations = look_at(trend, history, site);
	if (generations.nr < MIN_JUDGED)
		return;
	*judgement = describe(trend, &generations);
	for (i = 0; i < ARRAY_SIZE(tests) && !tests[i].fails(&generations); i++)
		;
	if (i < ARRAY_SIZE(tests)) {
		judgement->doubt = (uint8_t)tests[i].doubt;
		judgement->verdict = (uint8_t)tests[i].verdict;
	} else {
		judge_passed(trend, site, judgement);
	}
	if (judgement->verdict < VERDICT_GROWING)
		history->streak = 0;
	else if (history->streak < STREAK)
		history->streak++;
}

/* A proof has to hold for two polls. That of a heap site was itself repeated (user/reach). */
static bool is_proven(struct history *history, const struct site_count *site)
{
	if (!site->proof || !site->live_count)
		history->proven = 0;
	else if (history->proven < STREAK)
		history->proven += site->key.kind == LB_KIND_HEAP ? STREAK : 1;
	return history->proven >= STREAK;
}

/* Has the site let go of most of what it had when it was last growing or leaking? */
static bool has_let_go(const struct history *history, const struct site_count *site)
{
	return site->live_count < history->alert_count / 2 ||
	       site->closed_count >= history->alert_closed + site->live_count;
}

static enum verdict verdict_of(const struct trend *trend, struct history *history,
			       const struct site_count *site)
{
	enum verdict verdict = (enum verdict)history->judgement.verdict;

	if (is_proven(history, site))
		return VERDICT_LEAKING;
	if (site->live_count == 0 || site->live_count < trend->options.min_objects)
		return VERDICT_STABLE;
	if (verdict >= VERDICT_GROWING)
		return history->streak < STREAK ? VERDICT_SUSPECT : verdict;
	if (has_let_go(history, site))
		history->alert_count = 0;
	return history->alert_count > 0 ? MAX(verdict, VERDICT_SUSPECT) : verdict;
}

void history_settle(const struct trend *trend, struct history *history,
		    const struct site_count *site)
{
	enum verdict verdict = verdict_of(trend, history, site);

	history->verdict = (uint8_t)verdict;
	if (verdict < VERDICT_GROWING)
		return;
	if (!history->first_alert_ns)
		history->first_alert_ns = trend->now_ns;
	history->alert_closed = site->closed_count;
	history->alert_count = (uint32_t)MIN(site->live_count, UINT32_MAX);
}
