/* SPDX-License-Identifier: GPL-2.0-only */
/* What sites add to the conservation law, whoever they belong to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ledger/private.h"

static const struct lb_site site = {
	.key = { .tgid = 7, .kind = LB_KIND_MMAP, .stack = 1 },
	.opened = 10,
	.untracked = 3,
	.closed = 4,
};

static void test_own(void **state)
{
	struct snapshot snapshot = { .stats.count[LB_KIND_MMAP][LB_COUNT_NESTED] = 100 };
	struct totals totals = { 0 };

	(void)state;
	totals_add(&totals, &site, OWNER_PROGRAM);
	totals_add(&totals, &site, OWNER_UNSETTLED);
	totals_tell(&totals, &snapshot);
	assert_int_equal(snapshot.opened[LB_KIND_MMAP], 14);
	assert_int_equal(snapshot.closed[LB_KIND_MMAP], 8);
	assert_int_equal(snapshot.stats.count[LB_KIND_MMAP][LB_COUNT_NESTED], 100);
	assert_int_equal(snapshot.opened[LB_KIND_HEAP], 0);
}

/* Both sides of the law stay what they are: hits = opened + nested + ... and closes = closed +
 * unmatched + ...; what was not followed has been counted as a loss. */
static void test_of_an_allocator(void **state)
{
	struct snapshot snapshot = {
		.stats.count[LB_KIND_MMAP] = { [LB_COUNT_NESTED] = 100, [LB_COUNT_UNMATCHED] = 50 },
	};
	struct totals totals = { 0 };

	(void)state;
	totals_add(&totals, &site, OWNER_ALLOCATOR);
	totals_add(&totals, &site, OWNER_PROGRAM);
	totals_tell(&totals, &snapshot);
	assert_int_equal(snapshot.opened[LB_KIND_MMAP], 7);
	assert_int_equal(snapshot.closed[LB_KIND_MMAP], 4);
	assert_int_equal(snapshot.stats.count[LB_KIND_MMAP][LB_COUNT_NESTED], 107);
	assert_int_equal(snapshot.stats.count[LB_KIND_MMAP][LB_COUNT_UNMATCHED], 54);
}

/* A site that is just being counted up; one of no kind. */
static void test_odd(void **state)
{
	struct lb_site odd = { .opened = 2, .untracked = 3, .key.kind = LB_KIND_MMAP };
	struct totals totals = { 0 }, none = { 0 };

	(void)state;
	totals_add(&totals, &odd, OWNER_ALLOCATOR);
	totals_add(&totals, &odd, OWNER_PROGRAM);
	odd.key.kind = LB_KIND_MAX;
	totals_add(&totals, &odd, OWNER_PROGRAM);
	assert_memory_equal(&totals, &none, sizeof(none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_of_an_allocator),
		cmocka_unit_test(test_odd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
