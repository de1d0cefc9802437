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

#include "base/base.h"
#include "trend/history.h"
#include "trend/trend.h"

#define POLL_S 5

/* A watch of few sites, driven poll by poll. */
struct watch {
	struct trend *trend;
	struct site_count sites[4];
	size_t nr_sites;
	uint64_t now_s;
	uint32_t shift;
};

static inline int watch_begin(void **state)
{
	static const struct trend_options options = { .min_objects = 5 };
	struct watch *watch = calloc(1, sizeof(*watch));

	assert_non_null(watch);
	watch->trend = trend_new(&options);
	assert_non_null(watch->trend);
	watch->now_s = 1000;
	*state = watch;
	return 0;
}

static inline int watch_end(void **state)
{
	struct watch *watch = *state;

	trend_free(watch->trend);
	free(watch);
	return 0;
}

static inline struct site_count *watch_site(struct watch *watch, uint64_t stack)
{
	struct site_count *site = &watch->sites[watch->nr_sites++];

	site->key = (struct lb_site_key){ .tgid = 1, .kind = LB_KIND_HEAP, .stack = stack };
	return site;
}

static inline void site_open(struct site_count *site, uint64_t count, uint64_t bytes)
{
	site->opened_count += count;
	site->opened_bytes += count * bytes;
	site->live_count += count;
	site->live_bytes += count * bytes;
}

static inline void site_close(struct site_count *site, uint64_t count, uint64_t bytes)
{
	site->closed_count += count;
	site->closed_bytes += count * bytes;
	site->live_count -= count;
	site->live_bytes -= count * bytes;
}

static inline void assert_near(double value, double wanted, double tolerance)
{
	assert_true(value > wanted - tolerance && value < wanted + tolerance);
}

static inline enum verdict verdict_of(const struct watch *watch, size_t at)
{
	const struct history *history = watch->trend->series[at].history;

	return history ? (enum verdict)history->verdict : VERDICT_STABLE;
}

/* One poll later; returns the verdict of the first site. */
static inline enum verdict watch_poll(struct watch *watch)
{
	struct snapshot snapshot = {
		.time_ns = watch->now_s * NSEC_PER_SEC,
		.sites = watch->sites,
		.nr_sites = watch->nr_sites,
		.sample_shift = watch->shift,
	};

	assert_int_equal(trend_push(watch->trend, &snapshot), 0);
	watch->now_s += POLL_S;
	return verdict_of(watch, 0);
}

/* The finding of stack 1. */
static inline struct finding watch_finding(const struct watch *watch)
{
	struct finding *findings = NULL, found = { .verdict = VERDICT_STABLE };
	size_t nr = 0, i;

	assert_int_equal(trend_judge(watch->trend, 100, &findings, &nr), 0);
	for (i = 0; i < nr; i++) {
		if (findings[i].site.key.stack == 1)
			found = findings[i];
	}
	free(findings);
	assert_int_equal(found.site.key.stack, 1);
	return found;
}

#define WATCH_TEST(function) cmocka_unit_test_setup_teardown(function, watch_begin, watch_end)

#endif
