/* SPDX-License-Identifier: GPL-2.0-only */
/* Histories: merged with the snapshots, bounded, selected. */
#include "trend_watch.h"

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

/* The few findings asked for are the first ones of all, in the same order. */
static void a_selection_is_a_prefix(void **state)
{
	static const struct trend_options options = { .min_objects = 5 };
	struct trend *trend = trend_new(&options);
	struct site_count sites[60] = { 0 };
	struct snapshot snapshot = { .sites = sites, .nr_sites = ARRAY_SIZE(sites) };
	struct finding *all = NULL, *some = NULL;
	size_t nr_all = 0, nr = 0, max, i;
	int poll;

	(void)state;
	assert_non_null(trend);
	for (poll = 0; poll < 12; poll++) {
		snapshot.time_ns += NSEC_PER_SEC;
		for (i = 0; i < ARRAY_SIZE(sites); i++) {
			sites[i].key = (struct lb_site_key){ .tgid = 1, .stack = i };
			if (i % 3 != 0 || poll == 0)
				site_open(&sites[i], (i * 7919) % 13, 1 + i % 5);
		}
		assert_int_equal(trend_push(trend, &snapshot), 0);
	}
	assert_int_equal(trend_judge(trend, SIZE_MAX, &all, &nr_all), 0);
	assert_int_equal(nr_all, ARRAY_SIZE(sites));
	for (max = 0; max <= nr_all; max++) {
		assert_int_equal(trend_judge(trend, max, &some, &nr), 0);
		assert_int_equal(nr, max);
		assert_memory_equal(some, all, nr * sizeof(*all));
		free(some);
	}
	free(all);
	trend_free(trend);
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
			site_open(&sites[i], 1, 200);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		WATCH_TEST(sites_come_and_go),
		WATCH_TEST(findings_are_sorted_and_bounded),
		cmocka_unit_test(a_selection_is_a_prefix),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(verdict_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
