/* SPDX-License-Identifier: GPL-2.0-only */
/* Which places in files are in a function that releases blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cmd/session.h"

#define DEVICE 0x801
#define LIBC   11
#define PLUGIN 22

/* A plan of one file with these releasing functions; all of it is taken over or freed here. */
static void learn(struct shelter *shelter, uint64_t inode, const struct code_range *ranges,
		  size_t nr)
{
	struct object_plan object = { .dev = DEVICE, .inode = inode, .nr_releases = nr };
	struct plan plan = { .objects = &object, .nr_objects = 1 };

	if (nr > 0) {
		object.releases = calloc(nr, sizeof(*ranges));
		assert_non_null(object.releases);
		memcpy(object.releases, ranges, nr * sizeof(*ranges));
	}
	assert_int_equal(shelter_learn(shelter, &plan), 0);
	free(object.releases);
}

static bool releases(const struct shelter *shelter, uint64_t dev, uint64_t inode, uint64_t offset)
{
	const struct code_place place = { .dev = dev, .inode = inode, .offset = offset };

	return shelter_releases(shelter, &place);
}

static void test_ranges(void **state)
{
	const struct code_range libc[] = { { 0x1000, 0x20 }, { 0x3000, 1 }, { 0x4000, 0 } };
	const struct code_range plugin[] = { { 0x5000, 0x10 } };
	struct shelter *shelter = shelter_new();

	(void)state;
	assert_non_null(shelter);
	assert_false(releases(shelter, DEVICE, LIBC, 0x1000));
	learn(shelter, LIBC, libc, ARRAY_SIZE(libc));
	learn(shelter, PLUGIN, plugin, ARRAY_SIZE(plugin));
	assert_false(releases(shelter, DEVICE, LIBC, 0xfff));
	assert_true(releases(shelter, DEVICE, LIBC, 0x1000));
	assert_true(releases(shelter, DEVICE, LIBC, 0x101f));
	assert_false(releases(shelter, DEVICE, LIBC, 0x1020));
	assert_true(releases(shelter, DEVICE, LIBC, 0x3000));
	assert_false(releases(shelter, DEVICE, LIBC, 0x3001));
	assert_false(releases(shelter, DEVICE, LIBC, 0x4000));
	assert_true(releases(shelter, DEVICE, PLUGIN, 0x500f));
	assert_false(releases(shelter, DEVICE, PLUGIN, 0x1000));
	assert_false(releases(shelter, DEVICE + 1, LIBC, 0x1000));
	assert_false(releases(shelter, 0, 0, 0x1000));
	shelter_free(shelter);
}

/* The number of a file that is gone may be another's; one that nothing more is planned for stays. */
static void test_learned_again(void **state)
{
	const struct code_range old = { 0x1000, 0x20 }, new = { 0x2000, 0x20 };
	struct shelter *shelter = shelter_new();

	(void)state;
	assert_non_null(shelter);
	learn(shelter, LIBC, &old, 1);
	learn(shelter, LIBC, &old, 1);
	assert_true(releases(shelter, DEVICE, LIBC, 0x1000));
	learn(shelter, LIBC, &new, 1);
	assert_false(releases(shelter, DEVICE, LIBC, 0x1000));
	assert_true(releases(shelter, DEVICE, LIBC, 0x2000));
	shelter_free(shelter);
}

static void test_many_files(void **state)
{
	struct shelter *shelter = shelter_new();

	(void)state;
	assert_non_null(shelter);
	for (uint64_t inode = 1; inode <= 100; inode++)
		learn(shelter, inode, &(const struct code_range){ inode * 16, 16 }, inode % 2);
	for (uint64_t inode = 1; inode <= 100; inode++)
		assert_int_equal(releases(shelter, DEVICE, inode, inode * 16 + 15), inode % 2);
	shelter_free(shelter);
	assert_null(shelter_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_learned_again),
		cmocka_unit_test(test_many_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
