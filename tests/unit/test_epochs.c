/* SPDX-License-Identifier: GPL-2.0-only */
/* Epochs: how they follow time, sampling, and what was not counted. */
#include "trend_watch.h"

/* A leak that begins after days of health is found within half a horizon. */
static void late_onset(void **state)
{
	static const struct trend_options options = { .min_objects = 5,
						      .interval_ns = POLL_S * NSEC_PER_SEC,
						      .horizon_ns = 32 * POLL_S * NSEC_PER_SEC };
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	int poll;

	watch_restart(watch, &options);
	for (poll = 0; poll < 1000; poll++) {
		churn(site, ALL_CLOSED);
		assert_int_equal(watch_poll(watch), VERDICT_STABLE);
	}
	assert_int_equal(watch->trend->epochs.length_ns, 2 * POLL_S * NSEC_PER_SEC);
	for (poll = 0; poll < 24; poll++) {
		watch_open(watch, site, 100, 64);
		churn(site, ALL_CLOSED);
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_LEAKING);
}

/* 1 of 16 is followed: the samples must be enough, the rate is of all objects. */
static void sampled(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	struct finding finding;
	int poll;

	site->count.estimated = true;
	watch->shift = 4;
	for (poll = 0; poll < 14; poll++) {
		watch_open(watch, site, 160, 64);
		churn(site, ALL_CLOSED);
		watch_poll(watch);
	}
	finding = watch_finding(watch, 1);
	assert_int_equal(finding.verdict, VERDICT_LEAKING);
	assert_near(finding.growth_count_per_s, 32, 0.01);
	assert_int_equal(finding.residue.kept_max, 160);
	assert_true(finding.growth_count_high > 37);
}

/* When sampling rises, what is left of each generation is no longer comparable with the copies. */
static void thinning_forgets_the_copies(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	int poll;

	site->count.estimated = true;
	for (poll = 0; poll < 11; poll++) {
		watch_open(watch, site, 160, 64);
		churn(site, ALL_CLOSED);
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_LEAKING);
	watch->shift = 1;
	for (poll = 0; poll < 20; poll++) {
		watch_open(watch, site, 160, 64);
		churn(site, ALL_CLOSED);
		assert_int_equal(watch_poll(watch), VERDICT_LEAKING);
	}
}

/* Polls that jitter by milliseconds end one epoch each. */
static void jitter(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	uint64_t start_ns = watch->now_ns;
	int poll;

	for (poll = 0; poll < 15; poll++) {
		watch->now_ns = start_ns + (uint64_t)poll * POLL_S * NSEC_PER_SEC;
		if (poll > 0)
			watch->now_ns += poll % 2 ? 30000000 : -30000000;
		watch_open(watch, site, 100, 64);
		watch_push(watch);
		assert_int_equal(watch->trend->epochs.nr, poll);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_GROWING);
}

/* After a long sleep many epochs end at once. */
static void late_polls(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	uint64_t hour_ns = 3600 * NSEC_PER_SEC;
	int poll;

	for (poll = 0; poll < 100; poll++) {
		watch_open(watch, site, 100, 64);
		churn(site, ALL_CLOSED);
		watch_poll(watch);
		assert_true(watch->trend->epochs.nr < TREND_EPOCHS);
		watch->now_ns += poll % 10 == 9 ? hour_ns : 0;
	}
	watch->now_ns += 10000 * hour_ns;
	watch_poll(watch);
	assert_true(watch->trend->epochs.nr < TREND_EPOCHS);
	assert_true(watch->trend->epochs.start_ns + 16 * watch->trend->epochs.length_ns >=
		    watch->now_ns - POLL_S * NSEC_PER_SEC);
	assert_true(watch->trend->epochs.length_ns <= hour_ns / 4);
}

/* Polls between the ends of epochs ask for nothing, but keep the level. */
static void polls_within_an_epoch(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < 17; poll++) {
		watch_open(watch, site, 100, 64);
		watch_poll(watch);
	}
	assert_int_equal(watch->trend->epochs.nr, 8);
	assert_int_equal(trend_epochs(watch->trend, watch->now_ns).nr, 0);
	watch_close_oldest(site, 1690);
	watch_poll(watch);
	assert_int_equal(watch->trend->sites.items[0].history->lows[8], 10);
	watch_open(watch, site, 1000, 64);
	assert_int_equal(trend_epochs(watch->trend, watch->now_ns).nr, 9);
	watch_poll(watch);
	assert_int_equal(watch->trend->sites.items[0].history->lows[8], 10);
	assert_int_equal(watch->trend->sites.items[0].history->lows[9], UINT32_MAX);
}

/* Without cohorts there is no verdict, but a proof. */
static void not_counted(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	int poll;

	watch->blind = true;
	for (poll = 0; poll < 50; poll++) {
		watch_open(watch, site, 100, 64);
		assert_int_equal(watch_poll(watch), VERDICT_STABLE);
	}
	assert_int_equal(doubt_of(watch), DOUBT_FEW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WATCH_TEST(late_onset),
		WATCH_TEST(sampled),
		WATCH_TEST(thinning_forgets_the_copies),
		WATCH_TEST(jitter),
		WATCH_TEST(late_polls),
		WATCH_TEST(polls_within_an_epoch),
		WATCH_TEST(not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
