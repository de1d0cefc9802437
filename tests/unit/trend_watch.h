/* SPDX-License-Identifier: GPL-2.0-only */
/* A watch driven poll by poll, for the tests of trend/. */
#ifndef TREND_WATCH_H
#define TREND_WATCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "trend/history.h"
#include "trend/trend.h"

#define POLL_S     5
#define MAX_SITES  8
#define MAX_BIRTHS 4096

/* The births of a site that are still live, and the totals of all. */
struct watch_site {
	struct site_count count;
	uint64_t births_ns[MAX_BIRTHS], numbers[MAX_BIRTHS], bytes[MAX_BIRTHS];
	size_t nr_births;
	uint32_t cohorts[LB_MAX_EPOCHS];
};

/* A watch of few sites, sorted by their stacks. */
struct watch {
	struct trend *trend;
	struct watch_site *sites[MAX_SITES];
	size_t nr_sites;
	uint64_t now_ns;
	uint32_t shift;
	bool blind; /* no cohorts are counted */
};

static inline void watch_restart(struct watch *watch, const struct trend_options *options)
{
	trend_free(watch->trend);
	watch->trend = trend_new(options);
	assert_non_null(watch->trend);
}

static inline int watch_begin(void **state)
{
	static const struct trend_options options = { .min_objects = 5,
						      .interval_ns = POLL_S * NSEC_PER_SEC };
	struct watch *watch = calloc(1, sizeof(*watch));

	assert_non_null(watch);
	watch_restart(watch, &options);
	watch->now_ns = 1000 * NSEC_PER_SEC;
	*state = watch;
	return 0;
}

static inline int watch_end(void **state)
{
	struct watch *watch = *state;
	size_t i;

	trend_free(watch->trend);
	for (i = 0; i < watch->nr_sites; i++)
		free(watch->sites[i]);
	free(watch);
	return 0;
}

static inline struct watch_site *watch_site(struct watch *watch, uint64_t stack)
{
	struct watch_site *site = calloc(1, sizeof(*site));

	assert_non_null(site);
	assert_true(watch->nr_sites < MAX_SITES);
	site->count.key = (struct lb_site_key){ .tgid = 1, .kind = LB_KIND_HEAP, .stack = stack };
	watch->sites[watch->nr_sites++] = site;
	return site;
}

/* Opens objects half a poll ago. */
static inline void watch_open(const struct watch *watch, struct watch_site *site, uint64_t number,
			      uint64_t bytes)
{
	size_t at = site->nr_births++;

	assert_true(at < MAX_BIRTHS);
	site->births_ns[at] = watch->now_ns - POLL_S * NSEC_PER_SEC / 2;
	site->numbers[at] = number;
	site->bytes[at] = bytes;
	site->count.opened_count += number;
	site->count.opened_bytes += number * bytes;
	site->count.live_count += number;
	site->count.live_bytes += number * bytes;
}

static inline void watch_close_birth(struct watch_site *site, size_t at, uint64_t number)
{
	assert_true(number <= site->numbers[at]);
	site->numbers[at] -= number;
	site->count.closed_count += number;
	site->count.closed_bytes += number * site->bytes[at];
	site->count.live_count -= number;
	site->count.live_bytes -= number * site->bytes[at];
}

/* Closes the oldest objects. */
static inline void watch_close_oldest(struct watch_site *site, uint64_t number)
{
	size_t at;

	for (at = 0; at < site->nr_births && number > 0; at++) {
		uint64_t some = MIN(number, site->numbers[at]);

		watch_close_birth(site, at, some);
		number -= some;
	}
	assert_int_equal(number, 0);
}

/* Closes the youngest objects. */
static inline void watch_close_youngest(struct watch_site *site, uint64_t number)
{
	size_t at;

	for (at = site->nr_births; at-- > 0 && number > 0;) {
		uint64_t some = MIN(number, site->numbers[at]);

		watch_close_birth(site, at, some);
		number -= some;
	}
	assert_int_equal(number, 0);
}

static inline void assert_near(double value, double wanted, double tolerance)
{
	assert_true(value > wanted - tolerance && value < wanted + tolerance);
}

static inline enum verdict verdict_of(const struct watch *watch, size_t at)
{
	return series_verdict(&watch->trend->sites.items[at]);
}

/* What a walk over the live entries would count. */
static inline void watch_walk(struct watch_site *site, const struct epochs *epochs, uint32_t shift)
{
	size_t i;

	memset(site->cohorts, 0, sizeof(site->cohorts));
	for (i = 0; i < site->nr_births; i++) {
		uint64_t epoch;

		if (site->births_ns[i] < epochs->start_ns)
			continue;
		epoch = (site->births_ns[i] - epochs->start_ns) / epochs->length_ns;
		if (epoch < epochs->nr)
			site->cohorts[epoch] += (uint32_t)(site->numbers[i] >> shift);
	}
}

/* One poll now, without time passing; returns the verdict of the first site. */
static inline enum verdict watch_push(struct watch *watch)
{
	struct site_count sites[MAX_SITES];
	struct snapshot snapshot = {
		.time_ns = watch->now_ns,
		.sites = sites,
		.nr_sites = watch->nr_sites,
		.epochs = trend_epochs(watch->trend, watch->now_ns),
		.sample_shift = watch->shift,
	};
	size_t i;

	if (watch->blind)
		snapshot.epochs.nr = 0;
	for (i = 0; i < watch->nr_sites; i++) {
		sites[i] = watch->sites[i]->count;
		if (snapshot.epochs.nr == 0)
			continue;
		watch_walk(watch->sites[i], &snapshot.epochs, watch->shift);
		sites[i].cohorts = watch->sites[i]->cohorts;
	}
	assert_int_equal(trend_push(watch->trend, &snapshot), 0);
	return watch->nr_sites > 0 ? verdict_of(watch, 0) : VERDICT_STABLE;
}

/* One poll, then the time to the next one. */
static inline enum verdict watch_poll(struct watch *watch)
{
	enum verdict verdict = watch_push(watch);

	watch->now_ns += POLL_S * NSEC_PER_SEC;
	return verdict;
}

/* The finding whose key has that stack. */
static inline struct finding watch_finding(const struct watch *watch, uint64_t stack)
{
	struct finding *findings = NULL, found = { .verdict = VERDICT_STABLE };
	size_t nr = 0, i;

	assert_int_equal(trend_judge(watch->trend, 100, &findings, &nr), 0);
	for (i = nr; i-- > 0;) {
		if (findings[i].site.key.stack == stack)
			found = findings[i];
	}
	free(findings);
	assert_int_equal(found.site.key.stack, stack);
	return found;
}

#define ALL_CLOSED 1000 /* opened and closed within one poll: the site lets go of objects */

/* Objects that live for less than a poll. */
static inline void churn(struct watch_site *site, uint64_t number)
{
	site->count.opened_count += number;
	site->count.closed_count += number;
}

static inline enum doubt doubt_of(const struct watch *watch)
{
	return watch_finding(watch, 1).residue.doubt;
}

#define WATCH_TEST(function) cmocka_unit_test_setup_teardown(function, watch_begin, watch_end)

#endif
