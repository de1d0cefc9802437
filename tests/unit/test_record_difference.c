/* SPDX-License-Identifier: GPL-2.0-only */
/* Two recordings compared: across restarts, address randomisation and rebuilds. */
#include "record_world.h"

/* A recording of one poll of sites, each with so many live objects; the base is that of the seed. */
static struct record_reader *record_sites(struct world *world, FILE **ret_in)
{
	int fd __cleanup_fd = new_file();
	struct record_writer *writer = begin(fd);
	struct record_reader *reader;
	struct record_poll poll;

	world->snapshot.time_ns = START_NS;
	world->snapshot.sites = world->sites;
	world->snapshot.nr_sites = world->nr_sites;
	append(writer, world);
	record_writer_free(writer);
	*ret_in = fdopen(dup(fd), "r");
	assert_non_null(*ret_in);
	rewind(*ret_in);
	assert_int_equal(record_open(*ret_in, &reader), 0);
	assert_int_equal(record_next(reader, &poll), 1);
	return reader;
}

static void put_site(struct world *world, uint64_t stack, uint64_t live)
{
	world->sites[world->nr_sites++] = (struct site_count){
		.key = { .tgid = world->targets[0].pid, .kind = LB_KIND_HEAP, .stack = stack },
		.opened_count = live,
		.opened_bytes = 10 * live,
		.live_count = live,
		.live_bytes = 10 * live,
	};
	qsort(world->sites, world->nr_sites, sizeof(world->sites[0]), compare_sites);
}

static const struct record_change *find_change(const struct record_difference *difference,
					       const char *function)
{
	for (size_t i = 0; i < difference->nr_changes; i++) {
		const struct record_change *change = &difference->changes[i];

		if (change->stack && change->stack->frames[0].function &&
		    strcmp(change->stack->frames[0].function, function) == 0)
			return change;
	}
	fail_msg("nothing changed in %s", function);
	abort();
}

/* Frame 1 of stack_of() is no code: identity is by frame 0 alone. */
static void compare_worlds(struct world *before, struct world *after,
			   struct record_difference *ret_difference,
			   struct record_reader *readers[2], FILE *files[2])
{
	readers[0] = record_sites(before, &files[0]);
	readers[1] = record_sites(after, &files[1]);
	assert_int_equal(record_compare(readers[0], readers[1], ret_difference), 0);
}

static void compare_end(struct record_difference *difference, struct record_reader *readers[2],
			FILE *files[2])
{
	record_difference_done(difference);
	for (int i = 0; i < 2; i++) {
		record_reader_free(readers[i]);
		fclose(files[i]);
	}
}

/* The same program in other processes, mapped elsewhere: ids of stacks and addresses differ. */
static void test_compare_after_restart(void **state)
{
	struct record_difference difference;
	struct record_reader *readers[2];
	const struct record_change *change;
	struct world before, after;
	FILE *files[2];

	(void)state;
	world_begin(&before, 1);
	world_begin(&after, 2);
	after.targets[0].pid = 3;
	put_site(&before, 0x10000, 5); /* grow: 0 % 4, at 0x0000 */
	put_site(&before, 0x10001, 7);
	put_site(&after, 0x40000, 9);
	put_site(&after, 0x40001, 7);
	put_site(&after, 0x40002, 2);
	put_site(&after, 0x50002, 1); /* the same place as the one before */
	compare_worlds(&before, &after, &difference, readers, files);
	assert_int_equal(difference.nr_changes, 3);
	change = find_change(&difference, "grow");
	assert_ptr_equal(change, &difference.changes[0]);
	assert_int_equal(change->before_count, 5);
	assert_int_equal(change->after_count, 9);
	assert_int_equal(change->before_bytes, 50);
	assert_int_equal(change->after_bytes, 90);
	change = find_change(&difference, "cache_put");
	assert_int_equal(change->before_count, 7);
	assert_int_equal(change->after_count, 7);
	change = find_change(&difference, "handle<int>");
	assert_int_equal(change->before_count, 0);
	assert_int_equal(change->after_count, 3);
	compare_end(&difference, readers, files);
}

/* In one build two places of a function are two stacks; in another build its name is what there is. */
static void test_compare_builds(void **state)
{
	for (int rebuilt = 0; rebuilt < 2; rebuilt++) {
		struct record_difference difference;
		struct record_reader *readers[2];
		struct world before, after;
		FILE *files[2];

		(void)state;
		world_begin(&before, 1);
		world_begin(&after, 2);
		if (rebuilt)
			after.mapping.build_id = "decaf";
		put_site(&before, 0x10000, 5);
		put_site(&after, 0x10004, 6); /* grow, 4 bytes further on */
		compare_worlds(&before, &after, &difference, readers, files);
		assert_int_equal(difference.nr_changes, rebuilt ? 1 : 2);
		assert_int_equal(difference.changes[0].after_count, 6);
		assert_int_equal(difference.changes[0].before_count, rebuilt ? 5 : 0);
		compare_end(&difference, readers, files);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare_after_restart),
		cmocka_unit_test(test_compare_builds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
