/* SPDX-License-Identifier: GPL-2.0-only */
/* Verdicts: what leaks, what only looks like it, and what is remembered. */
#include "trend_watch.h"

/* The first verdict comes with the ninth epoch, and is that of the tenth poll. */
static void linear_leak(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	struct finding finding;
	int poll;

	for (poll = 0; poll < TREND_MIN_POLLS; poll++) {
		watch_open(watch, site, 100, 48);
		churn(site, ALL_CLOSED);
		assert_int_equal(trend_can_judge(watch->trend), false);
		watch_poll(watch);
		assert_true(verdict_of(watch, 0) <= VERDICT_SUSPECT || poll == TREND_MIN_POLLS - 1);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_LEAKING);
	assert_true(trend_can_judge(watch->trend));
	for (poll = 0; poll < 200; poll++) {
		watch_open(watch, site, 100, 48);
		churn(site, ALL_CLOSED);
		assert_int_equal(watch_poll(watch), VERDICT_LEAKING);
	}
	finding = watch_finding(watch, 1);
	assert_int_equal(finding.site.live_count, 210 * 100);
	assert_null(finding.site.cohorts);
	assert_int_equal(finding.nr_stacks, 1);
	assert_near(finding.growth_count_per_s, 20, 0.1);
	assert_near(finding.growth_bytes_per_s, 20 * 48, 5);
	assert_true(finding.growth_bytes_low < 960 && finding.growth_bytes_high > 960);
	assert_true(finding.growth_count_low > 19 && finding.growth_count_high < 21);
	assert_true(finding.first_alert_s == (TREND_MIN_POLLS - 1) * POLL_S);
	assert_true(finding.confidence > 0.95 && finding.confidence <= 1);
	assert_true(finding.oldest_s < 0);
	assert_int_equal(finding.residue.doubt, DOUBT_NONE);
	assert_int_equal(finding.residue.nr_stuck, finding.residue.nr_judged);
	assert_int_equal(finding.residue.kept_min, finding.residue.kept_max);
	assert_true(finding.residue.undrained_s > finding.residue.quiet_s);
	assert_true(finding.nr_history >= 9 && finding.nr_history <= TREND_EPOCHS);
	assert_int_equal(finding.history[finding.nr_history - 1], 210 * 100 * 48);
}

/* Nothing is ever closed: it may be a cache. */
static void never_closes(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < 30; poll++) {
		watch_open(watch, site, 20, 1000);
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_GROWING);
}

static void too_few_objects(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < 50; poll++) {
		if (poll % 10 == 5 && poll < 45)
			watch_open(watch, site, 1, 1000);
		churn(site, ALL_CLOSED);
		assert_int_equal(watch_poll(watch), VERDICT_STABLE);
	}
	assert_null(watch->trend->sites.items[0].history);
}

/* One object a poll is enough. */
static void slow_leak(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < 40; poll++) {
		watch_open(watch, site, 1, 1000);
		churn(site, 10000);
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_LEAKING);
}

/* A ring: every object is closed in its turn. */
static void ring_drains(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < 100; poll++) {
		watch_open(watch, site, 500, 64);
		if (poll >= 3)
			watch_close_oldest(site, 500);
		assert_true(watch_poll(watch) < VERDICT_GROWING);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_STABLE);
}

/* The start-up makes objects once; nothing is left of later generations. */
static void start_up(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < 100; poll++) {
		if (poll == 1)
			watch_open(watch, site, 5000, 64);
		churn(site, ALL_CLOSED);
		assert_int_equal(watch_poll(watch), VERDICT_STABLE);
	}
	assert_int_equal(doubt_of(watch), DOUBT_LITTLE);
}

/* Each generation drains, but only after seven polls. */
static void old_generations_drain(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < 15; poll++) {
		watch_open(watch, site, 100, 64);
		if (site->nr_births > 8)
			watch_close_birth(site, site->nr_births - 8, 60);
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_SUSPECT); /* it was growing for a moment */
	assert_int_equal(watch->trend->sites.items[0].history->judgement.doubt, DOUBT_DRAINING);
	assert_true(watch_finding(watch, 1).residue.nr_draining > 2);
}

/* All is dropped now and then: what stays is younger than that. */
static void flush_cycles(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < 400; poll++) {
		watch_open(watch, site, 50, 64);
		if (poll % 9 == 8)
			watch_close_oldest(site, site->count.live_count);
		watch_poll(watch);
		if (poll > 30)
			assert_true(verdict_of(watch, 0) < VERDICT_GROWING);
	}
}

/* What has stayed for less than half of the watch may yet be flushed. */
static void short_span(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < 16; poll++) {
		churn(site, ALL_CLOSED);
		if (poll > 7)
			watch_open(watch, site, 50, 64);
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_SUSPECT);
	assert_int_equal(doubt_of(watch), DOUBT_SPAN);
}

/* Nears its limit by a fifth of the rest each poll. */
static void saturating_cache(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	bool saturating = false;
	int poll;

	for (poll = 0; poll < 40; poll++) {
		watch_open(watch, site, (10000 - site->count.live_count) / 5, 64);
		watch_poll(watch);
		saturating |= doubt_of(watch) == DOUBT_SATURATING;
		if (poll > 16)
			assert_true(verdict_of(watch, 0) < VERDICT_GROWING);
	}
	assert_true(saturating);
}

/* One of ten entries is never evicted; the others make room for new ones. */
static void cache_with_hot_entries(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	uint64_t mortal = 0;
	bool flat = false;
	int poll;

	watch_open(watch, site, 1000, 64);
	for (poll = 0; poll < 40; poll++) {
		if (poll > 0 && mortal < 900) {
			watch_close_birth(site, 0, 20);
			watch_open(watch, site, 20, 64);
			mortal += 20;
		}
		watch_poll(watch);
		flat |= doubt_of(watch) == DOUBT_LEVEL;
		assert_true(verdict_of(watch, 0) < VERDICT_GROWING);
	}
	assert_true(flat);
}

/* A saw-tooth of thousands hides ten objects from the eye, not from the generations. */
static void saw_tooth_that_leaks(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < 100; poll++) {
		watch_open(watch, site, 10, 64);
		watch_open(watch, site, 1000, 64);
		if (poll % 4 == 3) {
			size_t birth;

			for (birth = 1; birth < site->nr_births; birth += 2)
				watch_close_birth(site, birth, site->numbers[birth]);
		}
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_LEAKING);
}

static void saw_tooth(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < 300; poll++) {
		watch_open(watch, site, 1000, 64);
		if (poll % 4 == 3)
			watch_close_oldest(site, site->count.live_count);
		assert_true(watch_poll(watch) < VERDICT_GROWING);
	}
}

/* A short silence changes nothing; after a long one it is told that growth stopped. */
static void leak_then_quiet(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	struct finding finding;
	int poll;

	for (poll = 0; poll < 11; poll++) {
		watch_open(watch, site, 110, 64);
		watch_close_youngest(site, 10);
		churn(site, ALL_CLOSED);
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_LEAKING);
	for (poll = 0; poll < 4; poll++)
		assert_int_equal(watch_poll(watch), VERDICT_LEAKING);
	for (poll = 0; poll < 500; poll++)
		assert_true(watch_poll(watch) >= VERDICT_SUSPECT);
	finding = watch_finding(watch, 1);
	assert_int_equal(finding.verdict, VERDICT_SUSPECT);
	assert_int_equal(finding.residue.doubt, DOUBT_STOPPED);
	assert_int_equal(finding.site.live_count, 1100);
	assert_true(finding.first_alert_s == (TREND_MIN_POLLS - 1) * POLL_S);
}

static void leak_then_drained(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < 11; poll++) {
		watch_open(watch, site, 100, 64);
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_GROWING);
	watch_close_oldest(site, 900);
	assert_true(watch_poll(watch) <= VERDICT_SUSPECT);
	for (poll = 0; poll < 40; poll++)
		assert_int_equal(watch_poll(watch), VERDICT_STABLE);
	assert_true(watch_finding(watch, 1).first_alert_s > 0);
}

/* The first judgement that a site grows makes it suspect, the second is believed. */
static void once_is_not_enough(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	int poll;

	for (poll = 0; poll < TREND_MIN_POLLS - 1; poll++) {
		watch_open(watch, site, 100, 64);
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_SUSPECT);
	assert_int_equal(doubt_of(watch), DOUBT_NEW);
	assert_true(watch_finding(watch, 1).confidence <= 0.5);
}

static void proof_needs_no_history(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);

	site->count.key.kind = LB_KIND_GOROUTINE;
	site->count.proof = "nobody can ever wake them";
	watch_open(watch, site, 1, 0);
	assert_int_equal(watch_poll(watch), VERDICT_STABLE);
	assert_int_equal(watch_poll(watch), VERDICT_LEAKING);
	assert_near(watch_finding(watch, 1).confidence, 0.99, 0.001);
	site->count.proof = NULL;
	assert_true(watch_poll(watch) < VERDICT_GROWING);
	site->count.proof = "again";
	watch_close_oldest(site, 1);
	watch_poll(watch);
	assert_int_equal(watch_poll(watch), VERDICT_STABLE);
}

/* Whoever proved it for blocks has looked several times. */
static void proof_of_heap_counts_at_once(void **state)
{
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);

	site->count.proof = "no pointer is left";
	watch_open(watch, site, 1, 0);
	assert_int_equal(watch_poll(watch), VERDICT_LEAKING);
}

/* 4 objects of 10 bytes each poll are 691 KB a day; a floor above that keeps them suspect. */
static void too_few_bytes(void **state)
{
	static const struct trend_options options = { .min_objects = 5,
						      .interval_ns = POLL_S * NSEC_PER_SEC,
						      .min_bytes_per_day = 700000 };
	struct watch *watch = *state;
	struct watch_site *small = watch_site(watch, 1), *large = watch_site(watch, 2);
	struct watch_site *file = watch_site(watch, 3);
	int poll;

	watch_restart(watch, &options);
	file->count.key.kind = LB_KIND_GOROUTINE;
	for (poll = 0; poll < 30; poll++) {
		watch_open(watch, small, 4, 10);
		watch_open(watch, large, 4, 11);
		watch_open(watch, file, 4, 0);
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 0), VERDICT_SUSPECT);
	assert_int_equal(doubt_of(watch), DOUBT_SMALL);
	assert_int_equal(verdict_of(watch, 1), VERDICT_GROWING);
	assert_int_equal(verdict_of(watch, 2), VERDICT_GROWING);
}

/* Objects come in bursts: the rate is less certain than that of as many single ones. */
static void bursts_widen_the_interval(void **state)
{
	struct watch *watch = *state;
	struct watch_site *steady = watch_site(watch, 1), *bursty = watch_site(watch, 2);
	struct finding first, second;
	int poll;

	for (poll = 0; poll < 14; poll++) {
		watch_open(watch, steady, 50, 64);
		watch_open(watch, bursty, poll % 2 ? 10 : 90, 64);
		watch_poll(watch);
	}
	first = watch_finding(watch, 1);
	second = watch_finding(watch, 2);
	assert_near(first.growth_count_per_s, 10, 0.01);
	assert_true(second.growth_count_high - second.growth_count_low >
		    3 * (first.growth_count_high - first.growth_count_low));
	assert_int_equal(second.residue.kept_min, 10);
	assert_int_equal(second.residue.kept_max, 90);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WATCH_TEST(linear_leak),
		WATCH_TEST(never_closes),
		WATCH_TEST(too_few_objects),
		WATCH_TEST(slow_leak),
		WATCH_TEST(ring_drains),
		WATCH_TEST(start_up),
		WATCH_TEST(old_generations_drain),
		WATCH_TEST(flush_cycles),
		WATCH_TEST(short_span),
		WATCH_TEST(saturating_cache),
		WATCH_TEST(cache_with_hot_entries),
		WATCH_TEST(saw_tooth_that_leaks),
		WATCH_TEST(saw_tooth),
		WATCH_TEST(leak_then_quiet),
		WATCH_TEST(leak_then_drained),
		WATCH_TEST(once_is_not_enough),
		WATCH_TEST(proof_needs_no_history),
		WATCH_TEST(proof_of_heap_counts_at_once),
		WATCH_TEST(too_few_bytes),
		WATCH_TEST(bursts_widen_the_interval),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
