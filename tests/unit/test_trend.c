/* SPDX-License-Identifier: GPL-2.0-only */
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

static int watch_begin(void **state)
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

static int watch_end(void **state)
{
	struct watch *watch = *state;

	trend_free(watch->trend);
	free(watch);
	return 0;
}

static struct site_count *watch_site(struct watch *watch, uint64_t stack)
{
	struct site_count *site = &watch->sites[watch->nr_sites++];

	site->key = (struct lb_site_key){ .tgid = 1, .kind = LB_KIND_HEAP, .stack = stack };
	return site;
}

static void site_open(struct site_count *site, uint64_t count, uint64_t bytes)
{
	site->opened_count += count;
	site->opened_bytes += count * bytes;
	site->live_count += count;
	site->live_bytes += count * bytes;
}

static void site_close(struct site_count *site, uint64_t count, uint64_t bytes)
{
	site->closed_count += count;
	site->closed_bytes += count * bytes;
	site->live_count -= count;
	site->live_bytes -= count * bytes;
}

static void assert_near(double value, double wanted, double tolerance)
{
	assert_true(value > wanted - tolerance && value < wanted + tolerance);
}

static enum verdict verdict_of(const struct watch *watch, size_t at)
{
	const struct history *history = watch->trend->series[at].history;

	return history ? (enum verdict)history->verdict : VERDICT_STABLE;
}

/* One poll later; returns the verdict of the first site. */
static enum verdict watch_poll(struct watch *watch)
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
static struct finding watch_finding(const struct watch *watch)
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

static void linear_leak(void **state)
{
	struct watch *watch = *state;
	struct site_count *site = watch_site(watch, 1);
	struct finding finding;
	int poll;

	for (poll = 0; poll < TREND_MIN_POLLS - 1; poll++) {
		site_open(site, 100, 48);
		assert_false(trend_can_judge(watch->trend));
		assert_int_equal(watch_poll(watch), VERDICT_STABLE);
	}
	site_open(site, 100, 48);
	assert_int_equal(watch_poll(watch), VERDICT_LEAKING);
	assert_true(trend_can_judge(watch->trend));
	for (poll = 0; poll < 200; poll++) {
		site_open(site, 100, 48);
		assert_int_equal(watch_poll(watch), VERDICT_LEAKING);
	}
	finding = watch_finding(watch);
	assert_int_equal(finding.site.live_count, 206 * 100);
	assert_int_equal(finding.site.live_bytes, 206 * 100 * 48);
	assert_near(finding.growth_count_per_s, 20, 0.1);
	assert_near(finding.growth_bytes_per_s, 20 * 48, 5);
	assert_true(finding.first_alert_s == (TREND_MIN_POLLS - 1) * POLL_S);
	assert_true(finding.confidence > 0.7 && finding.confidence <= 1);
	assert_true(finding.oldest_s < 0);
}

/* One object per poll is seen as soon as there are enough, and called a leak when there are many. */
static void slow_leak(void **state)
{
	struct watch *watch = *state;
	struct site_count *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < 4; poll++)
		watch_poll(watch);
	for (poll = 0; poll < 4; poll++) {
		site_open(site, 1, 1000);
		assert_int_equal(watch_poll(watch), VERDICT_STABLE);
	}
	for (poll = 0; poll < 45; poll++) {
		site_open(site, 1, 1000);
		watch_poll(watch);
		if (poll > 6)
			assert_int_equal(verdict_of(watch, 0), VERDICT_GROWING);
	}
	site_open(site, 1, 1000);
	assert_int_equal(watch_poll(watch), VERDICT_LEAKING);
}

static void too_few_objects(void **state)
{
	struct watch *watch = *state;
	struct site_count *site = watch_site(watch, 1);
	int poll;

	site_open(site, 4, 1);
	for (poll = 0; poll < 50; poll++) {
		site->opened_bytes += 1000; /* four buffers that grow */
		site->live_bytes += 1000;
		assert_int_equal(watch_poll(watch), VERDICT_STABLE);
	}
}

/* A fixed number of growing buffers grows, but no object leaks. */
static void growing_buffers(void **state)
{
	struct watch *watch = *state;
	struct site_count *site = watch_site(watch, 1);
	int poll;

	site_open(site, 10, 1);
	for (poll = 0; poll < 50; poll++) {
		site->opened_bytes += 1000;
		site->live_bytes += 1000;
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_GROWING);
}

/* A cache that is filled within three polls and then replaces its entries. */
static void plateau_with_turnover(void **state)
{
	struct watch *watch = *state;
	struct site_count *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < 100; poll++) {
		site_open(site, 500, 64);
		if (poll >= 3)
			site_close(site, 500, 64);
		watch_poll(watch);
		if (poll > 12)
			assert_int_equal(verdict_of(watch, 0), VERDICT_STABLE);
		assert_true(verdict_of(watch, 0) < VERDICT_GROWING);
	}
}

/* A long warm-up looks like a leak while it lasts, and is forgotten once the pool is in use. */
static void warm_up_is_forgotten(void **state)
{
	struct watch *watch = *state;
	struct site_count *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < 10; poll++) {
		site_open(site, 500, 64);
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_LEAKING);
	for (poll = 0; poll < 60; poll++) {
		site_open(site, 500, 64);
		site_close(site, 500, 64);
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_STABLE);
	assert_true(watch_finding(watch).first_alert_s > 0);
}

/* Nears its limit by a tenth of the rest each poll: slows down, so it does not stay a leak. */
static void saturating_cache(void **state)
{
	struct watch *watch = *state;
	struct site_count *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < 300; poll++) {
		site_open(site, (100000 - site->live_count) / 10 + 50, 64);
		site_close(site, 50, 64);
		watch_poll(watch);
		if (poll > 60)
			assert_true(verdict_of(watch, 0) < VERDICT_LEAKING);
	}
	assert_true(verdict_of(watch, 0) <= VERDICT_SUSPECT);
}

static void saw_tooth(void **state)
{
	struct watch *watch = *state;
	struct site_count *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < 300; poll++) {
		if (poll % 4 == 3)
			site_close(site, site->live_count, 64);
		else
			site_open(site, 1000, 64);
		assert_int_equal(watch_poll(watch), VERDICT_STABLE);
	}
}

static void saw_tooth_that_leaks(void **state)
{
	struct watch *watch = *state;
	struct site_count *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < 300; poll++) {
		if (poll % 4 == 3)
			site_close(site, 2700, 64); /* of 3000 */
		else
			site_open(site, 1000, 64);
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_LEAKING);
}

/* A level that wavers at random is stable, also over a very long time. */
static void random_churn(void **state)
{
	struct watch *watch = *state;
	struct site_count *site = watch_site(watch, 1);
	uint32_t random = 1;
	int poll, i;

	site_open(site, 1000, 100);
	for (poll = 0; poll < 2000; poll++) {
		for (i = 0; i < 400; i++) {
			random = random * 1103515245 + 12345;
			if ((random >> 16) % 2000 < site->live_count)
				site_close(site, 1, 100);
			else
				site_open(site, 1, 100);
		}
		assert_int_equal(watch_poll(watch), VERDICT_STABLE);
	}
}

/* A single jump, early or late, is no trend. */
static void burst(void **state)
{
	struct watch *watch = *state;
	struct site_count *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < 200; poll++) {
		if (poll == 20)
			site_open(site, 5000, 64);
		assert_true(watch_poll(watch) <= VERDICT_SUSPECT);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_STABLE);
}

/* What leaked stays reported when the program falls silent, with its exact counts. */
static void leak_then_quiet(void **state)
{
	struct watch *watch = *state;
	struct site_count *site = watch_site(watch, 1);
	struct finding finding;
	int poll;

	for (poll = 0; poll < 6; poll++) {
		site_open(site, 110, 64);
		site_close(site, 10, 64);
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_LEAKING);
	for (poll = 0; poll < 8; poll++)
		assert_int_equal(watch_poll(watch), VERDICT_LEAKING);
	finding = watch_finding(watch);
	assert_int_equal(finding.site.live_count, 600);
	assert_int_equal(finding.site.opened_count, 660);
	assert_true(finding.first_alert_s == 5 * POLL_S);
	for (poll = 0; poll < 500; poll++)
		assert_true(watch_poll(watch) >= VERDICT_SUSPECT);
	assert_int_equal(verdict_of(watch, 0), VERDICT_SUSPECT);
}

static void leak_then_drained(void **state)
{
	struct watch *watch = *state;
	struct site_count *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < 10; poll++) {
		site_open(site, 100, 64);
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_LEAKING);
	site_close(site, 900, 64);
	assert_int_equal(watch_poll(watch), VERDICT_STABLE);
	for (poll = 0; poll < 20; poll++)
		assert_int_equal(watch_poll(watch), VERDICT_STABLE);
}

/* A leak that begins long after the start is found when it has lasted half as long again. */
static void late_onset(void **state)
{
	struct watch *watch = *state;
	struct site_count *site;
	int poll;

	for (poll = 0; poll < 100; poll++) {
		struct snapshot empty = { .time_ns = watch->now_s * NSEC_PER_SEC };

		assert_int_equal(trend_push(watch->trend, &empty), 0);
		watch->now_s += POLL_S;
	}
	site = watch_site(watch, 1);
	for (poll = 0; poll < 70; poll++) {
		site_open(site, 100, 64);
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_LEAKING);
}

/* One object of hundreds stays: too little of what is opened to be called leaking, but growing. */
static void drip_under_churn(void **state)
{
	struct watch *watch = *state;
	struct site_count *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < 60; poll++) {
		site_open(site, 10000, 64);
		site_close(site, 9990, 64);
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_GROWING);
}

static void sites_come_and_go(void **state)
{
	struct watch *watch = *state;
	struct site_count *sites = watch->sites;
	struct finding finding;
	int poll;

	watch_site(watch, 1);
	watch_site(watch, 3);
	for (poll = 0; poll < 6; poll++) {
		site_open(&sites[0], 100, 64);
		site_open(&sites[1], 6, 64);
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 1), VERDICT_GROWING);
	sites[2] = sites[1]; /* stack 2 appears between the two, 3 stays, then 2 goes */
	sites[1] = (struct site_count){ .key = sites[0].key };
	sites[1].key.stack = 2;
	watch->nr_sites = 3;
	site_open(&sites[1], 7, 7);
	watch_poll(watch);
	assert_int_equal(watch->trend->nr_series, 3);
	assert_int_equal(watch->trend->series[1].site.live_count, 7);
	assert_int_equal(watch->trend->series[2].site.live_count, 36);
	assert_int_equal(watch->trend->series[2].history->points[5].count, 36);
	sites[1] = sites[2];
	watch->nr_sites = 2;
	watch_poll(watch);
	assert_int_equal(watch->trend->nr_series, 2);
	finding = watch_finding(watch);
	assert_int_equal(finding.verdict, VERDICT_LEAKING);
	assert_int_equal(finding.nr_history, 8);
	assert_int_equal(finding.history[0], 6400);
	assert_int_equal(finding.history[7], 38400);
}

static void findings_are_sorted_and_bounded(void **state)
{
	struct watch *watch = *state;
	struct finding *findings = NULL;
	size_t nr = 0;
	size_t counts[VERDICT_LEAKING + 1];
	int poll;

	watch_site(watch, 1);
	watch_site(watch, 2);
	watch_site(watch, 3);
	watch_site(watch, 4);
	site_open(&watch->sites[0], 1, 500);
	site_open(&watch->sites[3], 1, 1000);
	for (poll = 0; poll < 10; poll++) {
		site_open(&watch->sites[1], 100, 64);
		site_open(&watch->sites[2], 200, 64);
		watch_poll(watch);
	}
	assert_int_equal(trend_judge(watch->trend, 3, &findings, &nr), 0);
	assert_int_equal(nr, 3);
	assert_int_equal(findings[0].site.key.stack, 3);
	assert_int_equal(findings[1].site.key.stack, 2);
	assert_int_equal(findings[2].site.key.stack, 4);
	free(findings);
	trend_count(watch->trend, counts);
	assert_int_equal(counts[VERDICT_LEAKING], 2);
	assert_int_equal(counts[VERDICT_GROWING] + counts[VERDICT_SUSPECT], 0);
	assert_int_equal(counts[VERDICT_STABLE], 2);
}

/* Estimates waver more: what is a leak when counted exactly is within chance when sampled. */
static void sampling_widens_the_noise(void **state)
{
	struct watch *watch = *state;
	struct site_count *site = watch_site(watch, 1);
	int poll;

	site->estimated = true;
	watch->shift = 10;
	for (poll = 0; poll < 20; poll++) {
		site_open(site, 1100, 64);
		site_close(site, 1000, 64);
		assert_int_equal(watch_poll(watch), VERDICT_STABLE);
	}
}

/* The memory of 100,000 sites, whatever the length of the watch. */
static void memory_is_bounded(void **state)
{
	static const struct trend_options options = { .min_objects = 5 };
	struct trend *trend = trend_new(&options);
	size_t nr = 100000, i;
	struct site_count *sites = calloc(nr, sizeof(*sites));
	struct snapshot snapshot = { .sites = sites, .nr_sites = nr };
	int poll;

	(void)state;
	assert_non_null(trend);
	assert_non_null(sites);
	for (poll = 0; poll < 65; poll++) {
		snapshot.time_ns += NSEC_PER_SEC;
		for (i = 0; i < nr; i++) {
			sites[i].key.tgid = 1;
			sites[i].key.stack = i;
			site_open(&sites[i], 1, 8);
		}
		assert_int_equal(trend_push(trend, &snapshot), 0);
	}
	assert_int_equal(trend->capacity, nr);
	assert_true(trend->capacity * (sizeof(struct series) + sizeof(struct history)) <= 30000000);
	assert_true(trend->nr_points <= TREND_POINTS);
	assert_int_equal(trend->polls_per_point, 8);
	assert_int_equal(trend->series[nr - 1].history->verdict, VERDICT_LEAKING);
	free(sites);
	trend_free(trend);
}

static void verdict_names(void **state)
{
	(void)state;
	assert_string_equal(verdict_name(VERDICT_STABLE), "stable");
	assert_string_equal(verdict_name(VERDICT_SUSPECT), "suspect");
	assert_string_equal(verdict_name(VERDICT_GROWING), "growing");
	assert_string_equal(verdict_name(VERDICT_LEAKING), "leaking");
}

#define WATCH_TEST(function) cmocka_unit_test_setup_teardown(function, watch_begin, watch_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WATCH_TEST(linear_leak),
		WATCH_TEST(slow_leak),
		WATCH_TEST(too_few_objects),
		WATCH_TEST(growing_buffers),
		WATCH_TEST(plateau_with_turnover),
		WATCH_TEST(warm_up_is_forgotten),
		WATCH_TEST(saturating_cache),
		WATCH_TEST(saw_tooth),
		WATCH_TEST(saw_tooth_that_leaks),
		WATCH_TEST(random_churn),
		WATCH_TEST(burst),
		WATCH_TEST(leak_then_quiet),
		WATCH_TEST(leak_then_drained),
		WATCH_TEST(late_onset),
		WATCH_TEST(drip_under_churn),
		WATCH_TEST(sites_come_and_go),
		WATCH_TEST(findings_are_sorted_and_bounded),
		WATCH_TEST(sampling_widens_the_noise),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(verdict_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
