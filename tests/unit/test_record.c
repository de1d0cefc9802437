/* SPDX-License-Identifier: GPL-2.0-only */
/* Recordings: what is written is what is read; what is broken is noticed, and all before it is read. */
#include "record_world.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

/* Records @nr_polls polls of a world. Returns the bytes, owned by the caller. */
static char *record_world(uint32_t seed, unsigned int nr_polls, bool finish, size_t *ret_len)
{
	struct world world;
	int fd __cleanup_fd = new_file();
	struct record_writer *writer = begin(fd);
	char *bytes;

	world_begin(&world, seed);
	for (unsigned int poll = 1; poll <= nr_polls; poll++) {
		world_step(&world, poll);
		append(writer, &world);
	}
	if (finish)
		assert_int_equal(record_finish(writer), 0);
	*ret_len = record_bytes(writer);
	record_writer_free(writer);
	bytes = malloc(*ret_len + 1);
	assert_non_null(bytes);
	assert_int_equal(pread(fd, bytes, *ret_len, 0), *ret_len);
	return bytes;
}

static struct record_reader *open_bytes(const void *bytes, size_t len, FILE **ret_in)
{
	struct record_reader *reader;

	*ret_in = fmemopen((void *)bytes, len, "r");
	assert_non_null(*ret_in);
	assert_int_equal(record_open(*ret_in, &reader), 0);
	return reader;
}

static void check_text(const char *found, const char *wanted)
{
	if (wanted)
		assert_string_equal(found, wanted);
	else
		assert_null(found);
}

static void check_site(const struct site_count *found, const struct site_count *wanted,
		       unsigned int nr_epochs)
{
	struct site_count copy = *found;

	check_text(found->state, wanted->state);
	check_text(found->proof, wanted->proof);
	assert_int_equal(!found->cohorts, !wanted->cohorts);
	if (wanted->cohorts)
		assert_memory_equal(found->cohorts, wanted->cohorts, nr_epochs * sizeof(uint32_t));
	copy.state = wanted->state;
	copy.proof = wanted->proof;
	copy.cohorts = wanted->cohorts;
	assert_memory_equal(&copy, wanted, sizeof(copy));
}

static void check_stack(const struct record_reader *reader, const struct world *world,
			const struct lb_site_key *key)
{
	const struct stack *found = record_stack(reader, key);
	struct frame frames[2];
	struct stack wanted = stack_of(world, key->stack, frames);

	assert_non_null(found);
	assert_int_equal(found->flags, wanted.flags);
	assert_int_equal(found->nr_frames, 2);
	check_text(found->frames[0].function, frames[0].function);
	assert_string_equal(found->frames[0].file, "server.c");
	assert_string_equal(found->frames[0].module, "/bin/server");
	assert_string_equal(found->frames[0].mapping->build_id, "c0ffee");
	assert_int_equal(found->frames[0].mapping->end, world->mapping.end);
	assert_int_equal(found->frames[0].address, frames[0].address);
	assert_int_equal(found->frames[0].offset, frames[0].offset);
	assert_int_equal(found->frames[0].line, frames[0].line);
	assert_int_equal(found->frames[0].inlined, frames[0].inlined);
	assert_null(found->frames[1].module);
	assert_int_equal(found->frames[1].address, key->stack);
	assert_int_equal(found->frames[1].offset, 0);
}

static void check_poll(const struct record_reader *reader, const struct record_poll *poll,
		       const struct world *world)
{
	const struct snapshot *found = poll->snapshot, *wanted = &world->snapshot;

	assert_int_equal(found->time_ns, wanted->time_ns);
	assert_int_equal(found->nr_sites, wanted->nr_sites);
	assert_memory_equal(&found->stats, &wanted->stats, sizeof(found->stats));
	assert_memory_equal(&found->epochs, &wanted->epochs, sizeof(found->epochs));
	assert_memory_equal(found->opened, wanted->opened, sizeof(found->opened));
	assert_int_equal(found->sample_shift, wanted->sample_shift);
	assert_int_equal(found->nr_live, wanted->nr_live);
	for (size_t i = 0; i < wanted->nr_sites; i++) {
		check_site(&found->sites[i], &wanted->sites[i], wanted->epochs.nr);
		check_stack(reader, world, &wanted->sites[i].key);
	}
	assert_int_equal(poll->nr_targets, 2);
	assert_int_equal(poll->nr_missed_children, 3);
	assert_string_equal(poll->targets[0].exe, "/bin/server");
	assert_string_equal(poll->targets[0].allocators[0], "libc.so.6");
	assert_string_equal(poll->targets[1].go_version, "go1.23");
	assert_null(poll->targets[1].exe);
	assert_int_equal(poll->targets[1].exited, world->targets[1].exited);
}

/* Reads what it can; every poll must be what was recorded. Returns how many there were. */
static uint64_t replay(const void *bytes, size_t len, uint32_t seed, struct record_state *ret_state)
{
	FILE *in __cleanup_file = NULL;
	struct record_reader *reader = open_bytes(bytes, len, &in);
	struct record_poll poll;
	struct world world;
	uint64_t nr = 0;
	int code;

	world_begin(&world, seed);
	while ((code = record_next(reader, &poll)) == 1) {
		world_step(&world, (unsigned int)++nr);
		check_poll(reader, &poll, &world);
	}
	assert_int_equal(code, 0);
	*ret_state = *record_state(reader);
	assert_int_equal(ret_state->nr_polls, nr);
	record_reader_free(reader);
	return nr;
}

static void test_what_is_written_is_read(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed < 6; seed++) {
		struct record_state end;
		size_t len;
		char *bytes = record_world(seed, 40, true, &len);

		assert_int_equal(replay(bytes, len, seed, &end), 40);
		assert_int_equal(end.end, RECORD_DONE);
		free(bytes);
	}
}

static void test_header(void **state)
{
	FILE *in __cleanup_file = NULL;
	struct record_header wanted = header_of();
	struct record_reader *reader;
	size_t len;
	char *bytes = record_world(1, 1, true, &len);

	(void)state;
	reader = open_bytes(bytes, len, &in);
	assert_memory_equal(record_header(reader), &wanted, sizeof(wanted));
	record_reader_free(reader);
	free(bytes);
}

/* Cut anywhere: all polls that are whole are read, and one of them is missed at most. */
static void test_torn_anywhere(void **state)
{
	struct record_state end;
	size_t len, header_len, first;
	char *bytes = record_world(2, 6, true, &len),
	     *none = record_world(2, 0, false, &header_len);
	uint64_t nr = 0, before = 0;

	(void)state;
	first = header_len;
	for (size_t cut = first; cut <= len; cut++) {
		nr = replay(bytes, cut, 2, &end);
		assert_true(nr == before || nr == before + 1);
		assert_true(end.offset <= cut);
		if (end.end == RECORD_TORN)
			assert_int_equal(end.nr_lost, 1);
		else
			assert_int_equal(end.end, cut == len ? RECORD_DONE : RECORD_OPEN);
		before = nr;
	}
	assert_int_equal(nr, 6);
	free(bytes);
	free(none);
}

/* A flipped bit anywhere: noticed, unless it is in the last piece, and all before it is right. */
static void test_flipped_anywhere(void **state)
{
	struct record_state end;
	size_t len, header_len;
	char *bytes = record_world(3, 4, true, &len),
	     *none = record_world(3, 0, false, &header_len);

	(void)state;
	for (size_t at = header_len; at < len; at++) {
		bytes[at] ^= (char)(1 << at % 8);
		replay(bytes, len, 3, &end);
		assert_true(end.end == RECORD_DAMAGED || end.end == RECORD_TORN);
		assert_true(end.offset <= at);
		assert_true(end.nr_lost >= 1);
		bytes[at] ^= (char)(1 << at % 8);
	}
	free(bytes);
	free(none);
}

static int open_error(const void *bytes, size_t len)
{
	FILE *in __cleanup_file = fmemopen((void *)bytes, len, "r");
	struct record_reader *reader = NULL;
	int error;

	assert_non_null(in);
	error = record_open(in, &reader);
	record_reader_free(reader);
	return error;
}

static void test_no_recording(void **state)
{
	size_t len;
	char *bytes = record_world(1, 0, false, &len);

	(void)state;
	assert_int_equal(open_error("x", 1), -ENOEXEC);
	assert_int_equal(open_error("leakbpf record 7\n", 17), -EPROTONOSUPPORT);
	assert_int_equal(open_error(bytes, 17), -EBADMSG);
	assert_int_equal(open_error(bytes, len - 1), -EBADMSG);
	bytes[len - 3] ^= 1;
	assert_int_equal(open_error(bytes, len), -EBADMSG);
	free(bytes);
}

static void test_limits(void **state)
{
	FILE *in __cleanup_file = NULL;
	struct record_reader *reader;
	struct record_poll poll;
	size_t len;
	char *bytes = record_world(1, 10, true, &len);
	unsigned int nr = 0;

	(void)state;
	reader = open_bytes(bytes, len, &in);
	record_limit(reader, START_NS + 4 * POLL_NS + POLL_NS / 2, UINT64_MAX);
	while (record_next(reader, &poll) == 1)
		nr++;
	assert_int_equal(nr, 4);
	assert_int_equal(record_state(reader)->end, RECORD_LIMIT);
	assert_int_equal(poll.snapshot->time_ns, START_NS + 4 * POLL_NS);
	record_reader_free(reader);
	fclose(in);
	reader = open_bytes(bytes, len, &in);
	record_limit(reader, UINT64_MAX, 7);
	for (nr = 0; record_next(reader, &poll) == 1;)
		nr++;
	assert_int_equal(nr, 7);
	record_reader_free(reader);
	free(bytes);
}

/* Polls in which nothing happens are small, however many sites there are. */
static void test_quiet_sites_cost_nothing(void **state)
{
	struct world world;
	int fd __cleanup_fd = new_file();
	struct record_writer *writer = begin(fd);
	uint64_t before;

	(void)state;
	world_begin(&world, 1);
	world_step(&world, 5);
	append(writer, &world);
	before = record_bytes(writer);
	for (int i = 0; i < 10; i++) {
		world.snapshot.time_ns += POLL_NS;
		append(writer, &world);
	}
	assert_true(record_bytes(writer) - before < 10 * 100);
	record_writer_free(writer);
}

/* Twice as long generations: what each holds now is expected, and costs nothing either. */
static void test_quiet_cohorts_cost_nothing(void **state)
{
	struct world world;
	int fd __cleanup_fd = new_file();
	struct record_writer *writer = begin(fd);
	uint64_t before;

	(void)state;
	world_begin(&world, 1);
	world_step(&world, 15); /* 16 generations */
	append(writer, &world);
	before = record_bytes(writer);
	world.snapshot.time_ns += POLL_NS;
	world.snapshot.epochs.length_ns *= 2;
	world.snapshot.epochs.nr /= 2;
	for (size_t i = 0; i < world.nr_sites; i++) {
		for (size_t k = 0; k < LB_MAX_EPOCHS / 2; k++)
			world.cohorts[i][k] = world.cohorts[i][2 * k] + world.cohorts[i][2 * k + 1];
		memset(&world.cohorts[i][LB_MAX_EPOCHS / 2], 0, sizeof(world.cohorts[i]) / 2);
	}
	append(writer, &world);
	assert_true(record_bytes(writer) - before < 120);
	record_writer_free(writer);
}

/* A stack that is not to be had is asked for a few times only. */
static void test_unknown_stack(void **state)
{
	struct world world;
	int fd __cleanup_fd = new_file();
	struct record_writer *writer = begin(fd);
	struct record_poll poll;
	unsigned int asked = 0;

	(void)state;
	world_begin(&world, 1);
	world_step(&world, 1);
	world.nr_sites = world.snapshot.nr_sites = 1;
	poll = poll_of(&world);
	for (int i = 0; i < 10; i++) {
		world.snapshot.time_ns += POLL_NS;
		asked += record_wants_stack(writer, &world.sites[0].key);
		assert_int_equal(record_append(writer, &poll), 0);
	}
	assert_true(asked > 1 && asked < 6);
	record_writer_free(writer);
}

/* When the disk is full the recording ends with the poll before. */
static void test_full_disk(void **state)
{
	const struct rlimit old = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit small = { 4000, RLIM_INFINITY };
	int fd __cleanup_fd = new_file();
	struct record_writer *writer = begin(fd);
	struct record_state end;
	struct world world;
	unsigned int nr = 0;
	char bytes[4000];
	int error;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	world_begin(&world, 4);
	do {
		struct record_poll poll = poll_of(&world);

		world_step(&world, nr + 1);
		add_stacks(writer, &world);
		error = record_append(writer, &poll);
		nr += !error;
	} while (!error);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(error, -EFBIG);
	assert_true(nr > 0 && record_polls(writer) == nr);
	assert_int_equal(lseek(fd, 0, SEEK_END), record_bytes(writer));
	assert_int_equal(pread(fd, bytes, record_bytes(writer), 0), record_bytes(writer));
	assert_int_equal(replay(bytes, record_bytes(writer), 4, &end), nr);
	assert_int_equal(end.end, RECORD_OPEN);
	record_writer_free(writer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written_is_read),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_torn_anywhere),
		cmocka_unit_test(test_flipped_anywhere),
		cmocka_unit_test(test_no_recording),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_quiet_sites_cost_nothing),
		cmocka_unit_test(test_quiet_cohorts_cost_nothing),
		cmocka_unit_test(test_unknown_stack),
		cmocka_unit_test(test_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
