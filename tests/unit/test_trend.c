/* SPDX-License-Identifier: GPL-2.0-only */
/* Verdicts: what leaks, what only looks like it, and what is remembered. */
#include "trend_watch.h"

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

/* What hardly takes any memory grows, but is not called a leak. */
static void trifle(void **state)
{
	struct watch *watch = *state;
	struct site_count *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < 60; poll++) {
		site_open(site, 4, 32);
		assert_true(watch_poll(watch) <= VERDICT_GROWING);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_GROWING);
	for (poll = 0; poll < 6; poll++) {
		site_open(site, 4, 32);
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_LEAKING);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		WATCH_TEST(linear_leak),
		WATCH_TEST(slow_leak),
		WATCH_TEST(trifle),
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
		WATCH_TEST(sampling_widens_the_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
