/* SPDX-License-Identifier: GPL-2.0-only */
/* Estimates of what is live against a simulation that knows, over several thinnings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/base.h"
#include "ledger/estimate.h"

#define MAX_OBJECTS 200000

/* One site; objects are closed in the order of birth. */
struct simulation {
	uint64_t hashes[MAX_OBJECTS]; /* those with @shift leading zeros are followed */
	size_t born, dead;
	uint32_t shift;
	uint64_t random;
	struct mark now, since;
};

static bool is_followed(const struct simulation *simulation, uint64_t hash)
{
	return !simulation->shift || !(hash >> (64 - simulation->shift));
}

static void give_birth(struct simulation *simulation, size_t nr)
{
	while (nr--) {
		uint64_t *x = &simulation->random;

		*x ^= *x << 13;
		*x ^= *x >> 7;
		*x ^= *x << 17;
		simulation->hashes[simulation->born++] = *x;
		simulation->now.opened++;
		simulation->now.untracked += !is_followed(simulation, *x);
	}
}

static void bury(struct simulation *simulation, size_t nr)
{
	while (nr--)
		if (is_followed(simulation, simulation->hashes[simulation->dead++]))
			simulation->now.closed++;
}

static void thin(struct simulation *simulation)
{
	struct mark before = simulation->now;

	before.live = mark_estimate(&simulation->now, &simulation->since);
	for (size_t i = simulation->dead; i < simulation->born; i++)
		simulation->now.untracked += is_followed(simulation, simulation->hashes[i]);
	simulation->shift++;
	for (size_t i = simulation->dead; i < simulation->born; i++)
		simulation->now.untracked -= is_followed(simulation, simulation->hashes[i]);
	simulation->since = simulation->now;
	simulation->since.live = mark_after_thinning(&before, &simulation->now, simulation->shift);
}

static void check_within(const struct simulation *simulation, double part)
{
	double live = (double)(simulation->born - simulation->dead);
	double estimate = (double)mark_estimate(&simulation->now, &simulation->since);

	assert_true(estimate <= (double)simulation->born);
	assert_true(estimate >= live * (1 - part) - 0.5);
	assert_true(estimate <= live * (1 + part) + 0.5);
}

static int setup(void **state)
{
	struct simulation *simulation = calloc(1, sizeof(*simulation));

	*state = simulation;
	if (!simulation)
		return -1;
	simulation->random = 88172645463325252ULL;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static void exact_without_sampling(void **state)
{
	struct simulation *simulation = *state;

	give_birth(simulation, 1000);
	bury(simulation, 400);
	check_within(simulation, 0);
}

/* What only leaks is known exactly however little of it is followed. */
static void leaks_stay_exact(void **state)
{
	struct simulation *simulation = *state;

	for (int round = 0; round < 6; round++) {
		give_birth(simulation, 5000);
		check_within(simulation, 0);
		thin(simulation);
		check_within(simulation, 0);
	}
}

static void freed_is_zero(void **state)
{
	struct simulation *simulation = *state;

	give_birth(simulation, 5000);
	thin(simulation);
	thin(simulation);
	give_birth(simulation, 5000);
	bury(simulation, 10000);
	check_within(simulation, 0);
}

/* Most was closed before the sampling was raised, all of it followed: it says nothing about how
 * many of the live ones are followed. */
static void churn_before_thinning_does_not_count(void **state)
{
	struct simulation *simulation = *state;

	give_birth(simulation, 100000);
	bury(simulation, 90000);
	for (int round = 0; round < 4; round++) {
		thin(simulation);
		check_within(simulation, 0);
	}
	give_birth(simulation, 50000);
	bury(simulation, 20000);
	check_within(simulation, 0.05);
	thin(simulation);
	bury(simulation, 20000);
	check_within(simulation, 0.1);
}

/* Objects that could not be followed for want of room. */
static void losses_are_scaled(void **state)
{
	const struct mark now = { .opened = 1000, .untracked = 500, .closed = 100 };
	const struct mark since = { 0 };

	(void)state;
	assert_int_equal(mark_estimate(&now, &since), 800);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(exact_without_sampling, setup, teardown),
		cmocka_unit_test_setup_teardown(leaks_stay_exact, setup, teardown),
		cmocka_unit_test_setup_teardown(freed_is_zero, setup, teardown),
		cmocka_unit_test_setup_teardown(churn_before_thinning_does_not_count, setup,
						teardown),
		cmocka_unit_test(losses_are_scaled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
