/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a history becomes a verdict.
 *
 * The window looked at begins where the history does, but covers at least the later half of the
 * watch and TREND_MIN_POLLS points: what grows only now must have done so for a third of the watch
 * before it counts. In each third of the window the least outstanding is taken, so that all which
 * is freed again within a third is invisible.
 *
 *   suspect   the minimum rose from the second to the last third and had not fallen before, and
 *             the site keeps at least one in KEPT_SHARE of what it opens
 *   growing   it rose both times, and the second step was at least an eighth of the first (a cache
 *             that has filled up hardly rises any more)
 *   leaking   it rose both times, in objects too; the second step was at least half of the first
 *             (a cache that fills slows down); the rise is steady: of the five steps between
 *             sixths of the window at least four rose; the site keeps one in KEPT_SHARE; and
 *             LEAK_OBJECTS times min_objects and LEAK_BYTES are outstanding (what a program makes
 *             once for each of its commands, or logs now and then, rises slowly, too, and stops)
 *
 * A rise counts when it is more than chance makes: a site whose n objects come and go at random
 * wavers by sqrt(n), so it must be above NOISE_SIGMAS of that; where nothing was ever closed any
 * rise is real. Fewer than min_objects live objects are always stable.
 *
 * Growing and leaking are remembered when the growth ends, for what has leaked is still there. They
 * are forgotten when half of it is drained, or when the site has since closed as many objects as it
 * has open (a pool in use, not a leak); after a quiet time longer than the growth lasted they fade
 * to suspect.
 */
#include <stdlib.h>

#include "base/base.h"
#include "trend/history.h"

#define KEPT_SHARE   20
#define LEAK_OBJECTS 10
#define LEAK_BYTES   8192
#define NOISE_SIGMAS 4.0
#define NR_SIXTHS    6

/* What the rule looks at. */
struct shape {
	double bytes[3]; /* minima of the thirds */
	double count[3];
	unsigned int rising; /* how many of the five steps between sixths went up */
};

/* First point of the window. */
static unsigned int window_start(const struct trend *trend, const struct history *history)
{
	unsigned int start = MIN((unsigned int)history->first, trend->nr_points / 2);

	if (trend->nr_points < TREND_MIN_POLLS)
		return 0;
	return MIN(start, trend->nr_points - TREND_MIN_POLLS);
}

static struct point range_min(const struct history *history, unsigned int from, unsigned int to)
{
	struct point least = history->points[from];

	while (++from < to) {
		least.bytes = MIN(least.bytes, history->points[from].bytes);
		least.count = MIN(least.count, history->points[from].count);
	}
	return least;
}

static struct shape shape_of(const struct trend *trend, const struct history *history)
{
	unsigned int start = window_start(trend, history);
	unsigned int len = trend->nr_points - start, i;
	struct point sixths[NR_SIXTHS];
	struct shape shape = { .rising = 0 };

	for (i = 0; i < NR_SIXTHS; i++)
		sixths[i] = range_min(history, start + len * i / NR_SIXTHS,
				      start + len * (i + 1) / NR_SIXTHS);
	for (i = 1; i < NR_SIXTHS; i++)
		shape.rising += sixths[i].bytes > sixths[i - 1].bytes;
	for (i = 0; i < 3; i++) {
		shape.bytes[i] = MIN(sixths[2 * i].bytes, sixths[2 * i + 1].bytes);
		shape.count[i] = MIN(sixths[2 * i].count, sixths[2 * i + 1].count);
	}
	return shape;
}

/* Did the level of the site rise by more bytes than chance makes? (Squares save a square root.) */
static bool is_beyond_noise(const struct trend *trend, const struct site_count *site, double rise)
{
	double objects = (double)MIN(site->closed_count, site->live_count);
	double mean_bytes = (double)site->live_bytes / (double)site->live_count;
	double noise = NOISE_SIGMAS * mean_bytes;

	if (site->estimated)
		objects *= (double)(1ULL << (trend->sample_shift & 31));
	return rise > 0 && rise * rise > noise * noise * objects;
}

/* The verdict of the rule alone, without memory. */
static enum verdict rule_verdict(const struct trend *trend, const struct site_count *site,
				 const struct shape *shape)
{
	double first = shape->bytes[1] - shape->bytes[0];
	double second = shape->bytes[2] - shape->bytes[1];
	bool more_objects = shape->count[0] < shape->count[1] && shape->count[1] < shape->count[2];
	bool keeps = site->live_count >= site->opened_count / KEPT_SHARE;
	bool rose_both = first > 0 && second > 0 && second >= first / 8;

	if (!rose_both || !is_beyond_noise(trend, site, first + second))
		return first >= 0 && keeps && is_beyond_noise(trend, site, second) ? VERDICT_SUSPECT
										   : VERDICT_STABLE;
	if (site->live_count < trend->options.min_objects * LEAK_OBJECTS ||
	    site->live_bytes < LEAK_BYTES)
		return VERDICT_GROWING;
	if (more_objects && keeps && second >= first / 2 && shape->rising >= NR_SIXTHS - 2)
		return VERDICT_LEAKING;
	return VERDICT_GROWING;
}

/* Steadier, with more objects behind it and not slowing down: more certain. 0..1. */
static double rule_confidence(const struct site_count *site, const struct shape *shape)
{
	double first = shape->bytes[1] - shape->bytes[0];
	double second = shape->bytes[2] - shape->bytes[1];
	double steady = shape->rising / (double)(NR_SIXTHS - 1);
	double enough = (double)site->live_count / ((double)site->live_count + 2);
	double lasting = first > 0 ? MIN(1, 0.4 + 0.6 * second / first) : 0.5;

	return steady * enough * MAX(lasting, 0);
}

static void history_confirm(const struct trend *trend, const struct site_count *site,
			    struct history *history, enum verdict verdict)
{
	history->held = (uint8_t)verdict;
	history->confirmed_ns = trend->now_ns;
	history->confirmed_bytes = site->live_bytes;
	history->confirmed_closed = site->closed_count;
	if (!history->first_alert_ns)
		history->first_alert_ns = trend->now_ns;
}

/* What remains of an earlier alert when the rule now says less. */
static enum verdict held_verdict(const struct trend *trend, const struct site_count *site,
				 struct history *history, enum verdict verdict)
{
	uint64_t growth_ns = history->confirmed_ns - trend->times_ns[history->first];

	if (site->live_bytes < history->confirmed_bytes / 2 ||
	    site->closed_count - history->confirmed_closed >= site->live_count) {
		history->held = VERDICT_STABLE;
		return verdict;
	}
	if (trend->now_ns - history->confirmed_ns <= growth_ns)
		return (enum verdict)history->held;
	if (verdict == VERDICT_GROWING)
		history_confirm(trend, site, history, verdict);
	return MAX(verdict, VERDICT_SUSPECT);
}

/*
 * A slope that single outliers do not bend: the median of the slopes between each point of the
 * first half of the window and its partner half a window later (Theil's incomplete method).
 */
static double window_slope(const struct trend *trend, const struct history *history,
			   double (*get)(const struct point *))
{
	unsigned int start = window_start(trend, history);
	unsigned int len = trend->nr_points - start, nr = len / 2, i, j;
	double slopes[TREND_POINTS / 2];

	for (i = 0; i < nr; i++) {
		unsigned int from = start + i, to = from + len - nr;
		double seconds = (double)(trend->times_ns[to] - trend->times_ns[from]) /
				 (double)NSEC_PER_SEC;
		double slope = get(&history->points[to]) - get(&history->points[from]);

		slope = seconds > 0 ? slope / seconds : 0;
		for (j = i; j > 0 && slopes[j - 1] > slope; j--)
			slopes[j] = slopes[j - 1];
		slopes[j] = slope;
	}
	if (nr == 0)
		return 0;
	return (slopes[(nr - 1) / 2] + slopes[nr / 2]) / 2;
}

static double point_bytes(const struct point *point)
{
	return point->bytes;
}

static double point_count(const struct point *point)
{
	return point->count;
}

struct history *history_new(const struct trend *trend)
{
	struct history *history = calloc(1, sizeof(*history));

	if (history)
		history->first = (uint8_t)(trend->nr_points - 1);
	return history;
}

double history_growth_count(const struct trend *trend, const struct history *history)
{
	return window_slope(trend, history, point_count);
}

void history_judge(const struct trend *trend, const struct site_count *site,
		   struct history *history)
{
	enum verdict verdict = VERDICT_STABLE;
	double confidence = 0;

	history->growth_bytes_per_s = (float)window_slope(trend, history, point_bytes);
	if (trend_can_judge(trend) && site->live_count > 0 &&
	    site->live_count >= trend->options.min_objects) {
		struct shape shape = shape_of(trend, history);

		verdict = rule_verdict(trend, site, &shape);
		confidence = rule_confidence(site, &shape);
	}
	if (verdict >= VERDICT_GROWING && verdict >= (enum verdict)history->held) {
		history_confirm(trend, site, history, verdict);
		history->confidence = (float)confidence;
	} else if (history->held != VERDICT_STABLE) {
		verdict = held_verdict(trend, site, history, verdict);
	}
	if (history->held == VERDICT_STABLE)
		history->confidence = verdict == VERDICT_STABLE ? 0 : (float)confidence;
	history->verdict = (uint8_t)verdict;
}
