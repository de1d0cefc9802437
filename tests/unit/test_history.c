/* SPDX-License-Identifier: GPL-2.0-only */
/* Histories: merged with the snapshots, bounded, selected, summed up. */
#include "trend_watch.h"

static void sites_come_and_go(void **state)
{
	struct watch *watch = *state;
	struct watch_site *first = watch_site(watch, 1), *third = watch_site(watch, 3), *second;
	struct finding finding;
	int poll;

	for (poll = 0; poll < 10; poll++) {
		watch_open(watch, first, 100, 64);
		watch_open(watch, third, 6, 64);
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 1), VERDICT_GROWING);
	second = watch_site(watch, 2); /* appears between the two, then goes */
	watch->sites[1] = second;
	watch->sites[2] = third;
	watch_open(watch, second, 7, 7);
	watch_poll(watch);
	assert_int_equal(watch->trend->sites.nr, 3);
	assert_int_equal(watch->trend->sites.items[1].site.live_count, 7);
	assert_int_equal(watch->trend->sites.items[2].site.live_count, 60);
	assert_int_equal(watch->trend->sites.items[2].history->lows[8], 60);
	watch->sites[1] = third;
	watch->nr_sites = 2;
	free(second);
	watch_poll(watch);
	assert_int_equal(watch->trend->sites.nr, 2);
	finding = watch_finding(watch, 1);
	assert_int_equal(finding.verdict, VERDICT_GROWING);
	assert_int_equal(finding.nr_history, 12);
	assert_int_equal(finding.history[1], 3 * 6400);
	assert_int_equal(finding.history[11], 10 * 6400);
}

static void findings_are_sorted_and_bounded(void **state)
{
	struct watch *watch = *state;
	struct watch_site *sites[4];
	struct finding *findings = NULL;
	size_t counts[VERDICT_LEAKING + 1], nr = 0, i;
	const uint32_t own = 1, other = 2;
	double low, high;
	int poll;

	for (i = 0; i < ARRAY_SIZE(sites); i++)
		sites[i] = watch_site(watch, i + 1);
	watch_open(watch, sites[0], 1, 500);
	watch_open(watch, sites[3], 1, 1000);
	for (poll = 0; poll < 12; poll++) {
		watch_open(watch, sites[1], 100, 64);
		watch_open(watch, sites[2], 200, 64);
		watch_poll(watch);
	}
	assert_int_equal(trend_judge(watch->trend, 3, &findings, &nr), 0);
	assert_int_equal(nr, 3);
	assert_int_equal(findings[0].site.key.stack, 3);
	assert_int_equal(findings[1].site.key.stack, 2);
	assert_int_equal(findings[2].site.key.stack, 4);
	free(findings);
	trend_count(watch->trend, counts);
	assert_int_equal(counts[VERDICT_GROWING], 2);
	assert_int_equal(counts[VERDICT_LEAKING] + counts[VERDICT_SUSPECT], 0);
	assert_int_equal(counts[VERDICT_STABLE], 2);
	assert_near(trend_growth_bytes_per_s(watch->trend, &other, 1, &low, &high), 0, 0.5);
	assert_near(trend_growth_bytes_per_s(watch->trend, &own, 1, &low, &high), 60 * 64, 0.5);
	assert_near(trend_growth_bytes_per_s(watch->trend, NULL, 0, &low, &high), 60 * 64, 0.5);
	assert_true(low > 50 * 64 && low < 60 * 64 && high > 60 * 64 && high < 70 * 64);
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
	for (i = 0; i < ARRAY_SIZE(sites); i++) {
		sites[i].key = (struct lb_site_key){ .tgid = 1, .stack = i };
		sites[i].live_count = (i * 7919) % 13;
		sites[i].live_bytes = sites[i].live_count * (1 + i % 5);
		sites[i].proof = i % 7 == 0 ? "never" : NULL;
	}
	for (poll = 0; poll < 3; poll++) {
		snapshot.time_ns += NSEC_PER_SEC;
		assert_int_equal(trend_push(trend, &snapshot), 0);
	}
	assert_int_equal(trend_judge(trend, SIZE_MAX, &all, &nr_all), 0);
	assert_int_equal(nr_all, ARRAY_SIZE(sites));
	assert_int_equal(all[0].verdict, VERDICT_LEAKING);
	for (max = 0; max <= nr_all; max++) {
		assert_int_equal(trend_judge(trend, max, &some, &nr), 0);
		assert_int_equal(nr, max);
		assert_memory_equal(some, all, nr * sizeof(*all));
		free(some);
	}
	free(all);
	trend_free(trend);
}

/* --- sums --- */

/* Sites that open one after the other, the last ones larger objects: none grows alone. */
static void poll_in_turns(struct watch *watch, size_t nr_sites, int nr_polls)
{
	size_t turn = 0;
	int poll;

	for (poll = 0; poll < nr_polls; poll++) {
		turn = (size_t)poll * nr_sites / (size_t)nr_polls;
		watch_open(watch, watch->sites[turn], 20, 1ULL << turn);
		watch->sites[turn]->count.opened_count += 100;
		watch->sites[turn]->count.closed_count += 100;
		watch_poll(watch);
	}
}

static void a_group_is_told_once(void **state)
{
	struct watch *watch = *state;
	struct finding finding;
	size_t counts[VERDICT_LEAKING + 1], i;

	for (i = 0; i < 6; i++)
		watch_site(watch, i + 1)->count.group = 77;
	poll_in_turns(watch, 6, 15);
	trend_count(watch->trend, counts);
	assert_int_equal(counts[VERDICT_LEAKING], 1);
	assert_int_equal(counts[VERDICT_GROWING], 0);
	assert_int_equal(counts[VERDICT_LEAKING] + counts[VERDICT_GROWING] +
				 counts[VERDICT_SUSPECT] + counts[VERDICT_STABLE],
			 6);
	finding = watch_finding(watch, 6); /* the largest */
	assert_int_equal(finding.verdict, VERDICT_LEAKING);
	assert_int_equal(finding.nr_stacks, 6);
	assert_int_equal(finding.site.live_count, 2 * 20); /* its own */
	assert_near(finding.growth_count_per_s, 20.0 / POLL_S, 0.1);
}

static void a_total_is_at_most_growing(void **state)
{
	struct watch *watch = *state;
	struct finding finding;
	size_t counts[VERDICT_LEAKING + 1], i;

	for (i = 0; i < 6; i++)
		watch_site(watch, i + 1);
	watch->sites[5]->count.key.stack = 10;
	poll_in_turns(watch, 6, 15);
	trend_count(watch->trend, counts);
	assert_int_equal(counts[VERDICT_LEAKING], 0);
	assert_int_equal(counts[VERDICT_GROWING], 1);
	finding = watch_finding(watch, 10);
	assert_int_equal(finding.verdict, VERDICT_GROWING);
	assert_int_equal(finding.nr_stacks, 6);
}

/* The site that grows is told, not the group and not the process. */
static void members_go_first(void **state)
{
	struct watch *watch = *state;
	struct watch_site *first = watch_site(watch, 1), *second = watch_site(watch, 2);
	size_t counts[VERDICT_LEAKING + 1];
	int poll;

	first->count.group = second->count.group = 5;
	watch_site(watch, 3);
	for (poll = 0; poll < 12; poll++) {
		watch_open(watch, first, 100, 64);
		watch_open(watch, second, 1, 64);
		watch_poll(watch);
	}
	trend_count(watch->trend, counts);
	assert_int_equal(counts[VERDICT_GROWING] + counts[VERDICT_LEAKING], 2);
	assert_int_equal(watch_finding(watch, 1).nr_stacks, 1);
	assert_int_equal(watch->trend->groups.sums.nr, 1);
	assert_int_equal(watch->trend->totals.sums.nr, 1);
	assert_false(aggregate_is_told(&watch->trend->groups, 0));
	assert_false(aggregate_is_told(&watch->trend->totals, 0));
}

/* Processes, kinds and groups are not mixed; a sum of one is none. */
static void sums_are_kept_apart(void **state)
{
	struct watch *watch = *state;
	size_t i;

	for (i = 0; i < 6; i++) {
		struct watch_site *site = watch_site(watch, i);

		site->count.key.tgid = i < 3 ? 1 : 2;
		site->count.key.kind = i == 5 ? LB_KIND_MMAP : LB_KIND_HEAP;
		site->count.group = i % 2 ? 9 : 0;
		site->count.oldest_ns = i + 1;
		site->count.longest_ns = 10 - i;
		watch_open(watch, site, 10, 10);
	}
	watch_poll(watch);
	assert_int_equal(watch->trend->groups.sums.nr, 0);
	assert_int_equal(watch->trend->totals.sums.nr, 2);
	assert_int_equal(watch->trend->totals.members[0].nr, 3);
	assert_int_equal(watch->trend->totals.members[1].nr, 2);
	assert_int_equal(watch->trend->totals.sums.items[0].site.live_count, 30);
	assert_int_equal(watch->trend->totals.sums.items[1].site.oldest_ns, 4);
	assert_int_equal(watch->trend->totals.sums.items[1].site.longest_ns, 7);
}

/* --- snapshots made for another watch --- */

/* Epochs of a recording are taken as they are. */
static void foreign_epochs(void **state)
{
	struct trend *trend;
	struct watch *watch = *state;
	struct watch_site *site = watch_site(watch, 1);
	struct snapshot snapshot = { .sites = &site->count, .nr_sites = 1 };
	uint64_t start_ns = watch->now_ns;
	int poll;

	trend = trend_new(&(struct trend_options){ .min_objects = 5, .interval_ns = 1 });
	assert_non_null(trend);
	for (poll = 0; poll < 15; poll++) {
		watch_open(watch, site, 100, 64);
		snapshot.time_ns = watch->now_ns;
		snapshot.epochs = (struct epochs){ .start_ns = start_ns,
						   .length_ns = POLL_S * NSEC_PER_SEC,
						   .nr = (unsigned int)poll };
		watch_walk(site, &snapshot.epochs, 0);
		site->count.cohorts = poll > 0 ? site->cohorts : NULL;
		assert_int_equal(trend_push(trend, &snapshot), 0);
		watch->now_ns += POLL_S * NSEC_PER_SEC;
		assert_true(epochs_equal(&snapshot.epochs, &trend->epochs) || poll == 0);
	}
	trend_free(trend);
}

/* What is nonsense is not used, and does no harm. */
static void senseless_epochs(void **state)
{
	static const struct epochs senseless[] = {
		{ .start_ns = 0, .length_ns = 0, .nr = 3 },
		{ .start_ns = 0, .length_ns = 1, .nr = LB_MAX_EPOCHS + 1 },
		{ .start_ns = 0, .length_ns = 1, .nr = LB_MAX_EPOCHS },
		{ .start_ns = UINT64_MAX, .length_ns = 1, .nr = 1 },
		{ .start_ns = 0, .length_ns = UINT64_MAX, .nr = 15 },
		{ .start_ns = 900, .length_ns = UINT64_MAX / 64, .nr = 15 },
		{ .start_ns = 3, .length_ns = 1, .nr = 15 },
		{ .start_ns = 4, .length_ns = 3, .nr = 1 },
	};
	uint32_t cohorts[LB_MAX_EPOCHS] = { 5, 6, 7 };
	struct site_count site = { .live_count = 100, .opened_count = 100, .cohorts = cohorts };
	struct snapshot snapshot = { .sites = &site, .nr_sites = 1 };
	struct watch *watch = *state;
	size_t round, i;

	for (round = 0; round < 50; round++) {
		for (i = 0; i < ARRAY_SIZE(senseless); i++) {
			snapshot.time_ns = 1000 + round * round * round * NSEC_PER_SEC + i;
			snapshot.epochs = senseless[i];
			site.cohorts = cohorts;
			assert_int_equal(trend_push(watch->trend, &snapshot), 0);
			assert_true(watch->trend->epochs.nr < TREND_EPOCHS);
			assert_true(watch->trend->epochs.length_ns > 0);
		}
	}
}

/* --- bounds --- */

/* The memory of 100,000 sites, whatever the length of the watch. */
static void memory_is_bounded(void **state)
{
	static const struct trend_options options = { .min_objects = 5 };
	struct trend *trend = trend_new(&options);
	uint32_t cohorts[LB_MAX_EPOCHS];
	size_t nr = 100000, i;
	struct site_count *sites = calloc(nr, sizeof(*sites));
	struct snapshot snapshot = { .sites = sites, .nr_sites = nr };
	int poll;

	(void)state;
	assert_non_null(trend);
	assert_non_null(sites);
	for (i = 0; i < LB_MAX_EPOCHS; i++)
		cohorts[i] = 10;
	for (poll = 0; poll < 30; poll++) {
		snapshot.time_ns += NSEC_PER_SEC;
		snapshot.epochs = trend_epochs(trend, snapshot.time_ns);
		for (i = 0; i < nr; i++) {
			sites[i].key.tgid = 1;
			sites[i].key.stack = i;
			sites[i].cohorts = snapshot.epochs.nr > 0 ? cohorts : NULL;
			sites[i].live_count = sites[i].opened_count += 10;
			sites[i].live_bytes = sites[i].opened_bytes += 2000;
		}
		assert_int_equal(trend_push(trend, &snapshot), 0);
	}
	assert_int_equal(trend->sites.capacity, nr);
	assert_true(nr * (sizeof(struct series) + sizeof(struct history)) <= 40000000);
	assert_int_equal(series_verdict(&trend->sites.items[nr - 1]), VERDICT_GROWING);
	free(sites);
	trend_free(trend);
}

/* What is freed when the process ends does not change what was found. */
static void the_end_frees_nothing(void **state)
{
	struct watch *watch = *state;
	struct watch_site *sites[] = { watch_site(watch, 1), watch_site(watch, 2) };
	struct finding finding;
	int poll;

	for (poll = 0; poll < 12; poll++) {
		watch_open(watch, sites[0], 100, 64);
		watch_open(watch, sites[1], 1, 64);
		watch_poll(watch);
	}
	assert_int_equal(verdict_of(watch, 1), VERDICT_GROWING);
	watch_close_oldest(sites[0], 1190);
	watch_open(watch, sites[1], 7, 64); /* opened after the last poll */
	sites[0]->count.ended = sites[1]->count.ended = true;
	for (poll = 0; poll < 5; poll++)
		watch_poll(watch);
	finding = watch_finding(watch, 1);
	assert_int_equal(finding.verdict, VERDICT_GROWING);
	assert_int_equal(finding.site.live_count, 1200);
	assert_int_equal(finding.site.closed_count, 0);
	assert_int_equal(watch_finding(watch, 2).site.live_count, 19);
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
		WATCH_TEST(a_group_is_told_once),
		WATCH_TEST(a_total_is_at_most_growing),
		WATCH_TEST(members_go_first),
		WATCH_TEST(sums_are_kept_apart),
		WATCH_TEST(foreign_epochs),
		WATCH_TEST(senseless_epochs),
		cmocka_unit_test(memory_is_bounded),
		WATCH_TEST(the_end_frees_nothing),
		cmocka_unit_test(verdict_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
