/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "model.h"

/* A new temporary file with @len bytes of @data; @path gets its name. Returns its descriptor. */
static int make_file(char path[32], const char *data, size_t len)
{
	int fd;

	strcpy(path, "/tmp/test_base.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	return fd;
}

/* --- cleanup --- */

static void close_fd_keeps_errno(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int number = fd;

	(void)state;
	assert_true(fd >= 0);
	errno = EDOM;
	base_close_fd(&fd);
	assert_int_equal(errno, EDOM);
	assert_int_equal(fd, -1);
	assert_int_equal(fcntl(number, F_GETFD), -1);
	errno = EDOM;
	base_close_fd(&fd);
	assert_int_equal(errno, EDOM);
}

static void scope_closes_file(void **state)
{
	int number;

	(void)state;
	{
		FILE *file __cleanup_file = fopen("/dev/null", "re");

		assert_non_null(file);
		number = fileno(file);
	}
	assert_int_equal(fcntl(number, F_GETFD), -1);
}

static void take_hands_over(void **state)
{
	char *kept;

	(void)state;
	{
		char *string __cleanup_string = strdup("kept");

		kept = take(string);
		assert_null(string);
	}
	assert_string_equal(kept, "kept");
	free(kept);
}

/* --- vec --- */

static void vec_grows_and_keeps(void **state)
{
	size_t capacity = 0, moves = 0;
	uint32_t *items = NULL;

	(void)state;
	for (uint32_t i = 0; i < 10000; i++) {
		size_t before = capacity;

		assert_int_equal(vec_reserve((void **)&items, &capacity, i + 1, sizeof(*items)), 0);
		assert_true(capacity > i);
		moves += capacity != before;
		items[i] = i;
	}
	for (uint32_t i = 0; i < 10000; i++)
		assert_int_equal(items[i], i);
	assert_true(moves < 20);
	free(items);
}

static void vec_refuses_overflow(void **state)
{
	size_t capacity = 0;
	void *items = NULL;

	(void)state;
	assert_int_equal(vec_reserve(&items, &capacity, 3, 8), 0);
	void *kept = items;
	size_t kept_capacity = capacity;

	assert_int_equal(vec_reserve(&items, &capacity, SIZE_MAX / 4, 8), -ENOMEM);
	assert_ptr_equal(items, kept);
	assert_int_equal(capacity, kept_capacity);
	free(items);
}

/* --- buf --- */

static void buf_collects(void **state)
{
	struct buf buf __cleanup_buf = { 0 };

	(void)state;
	buf_puts(&buf, "one");
	buf_add(&buf, ", twofold", 5);
	buf_printf(&buf, " %d%%", 42);
	assert_string_equal(buf.data, "one, two 42%");
	assert_int_equal(buf.len, 12);
	assert_int_equal(buf.error, 0);
	buf_reset(&buf);
	assert_int_equal(buf.len, 0);
	assert_string_equal(buf.data, "");
	for (int i = 0; i < 3000; i++)
		buf_printf(&buf, "%04d", i);
	assert_int_equal(buf.len, 12000);
	assert_memory_equal(buf.data + 11996, "2999", 5);
}

static void buf_remembers_failure(void **state)
{
	struct buf buf __cleanup_buf = { 0 };

	(void)state;
	buf_puts(&buf, "kept");
	buf_add(&buf, "x", SIZE_MAX);
	assert_int_equal(buf.error, -ENOMEM);
	buf_puts(&buf, "dropped");
	buf_printf(&buf, "%d", 1);
	assert_string_equal(buf.data, "kept");
	buf_reset(&buf);
	buf_puts(&buf, "again");
	assert_string_equal(buf.data, "again");
}

static void buf_empty_text_is_a_string(void **state)
{
	struct buf buf __cleanup_buf = { 0 };

	(void)state;
	buf_puts(&buf, "");
	assert_string_equal(buf.data, "");
	buf_done(&buf);
	assert_null(buf.data);
}

/* --- strings --- */

static void strings_share_copies(void **state)
{
	struct strings *pool = strings_new();
	char text[] = "main";
	const char *first;

	(void)state;
	assert_non_null(pool);
	first = strings_intern(pool, text);
	assert_ptr_equal(strings_intern(pool, "main"), first);
	text[0] = 'p';
	assert_string_equal(first, "main");
	assert_ptr_not_equal(strings_intern(pool, text), first);
	assert_null(strings_intern(pool, NULL));
	assert_string_equal(strings_intern(pool, ""), "");
	assert_null(strings_free(pool));
	assert_null(strings_free(NULL));
}

static void strings_survive_growth(void **state)
{
	struct strings *pool = strings_new();
	const char *copies[5000];
	char text[32];

	(void)state;
	assert_non_null(pool);
	for (int i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text), "function_%d", i);
		copies[i] = strings_intern(pool, text);
	}
	for (int i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text), "function_%d", i);
		assert_string_equal(copies[i], text);
		assert_ptr_equal(strings_intern(pool, text), copies[i]);
	}
	strings_free(pool);
}

/* --- io --- */

static void read_file_at_the_limit(void **state)
{
	char path[32], *data = NULL;
	size_t len = 0;
	int fd __cleanup_fd = make_file(path, "12345678", 8);

	(void)state;
	assert_int_equal(io_read_file(path, 8, &data, &len), 0);
	assert_int_equal(len, 8);
	assert_string_equal(data, "12345678");
	free(take(data));
	len = 77;
	assert_int_equal(io_read_file(path, 7, &data, &len), -EFBIG);
	assert_null(data);
	assert_int_equal(len, 77);
	unlink(path);
	assert_int_equal(io_read_file(path, 8, &data, &len), -ENOENT);
	assert_int_equal(io_read_file("/tmp", 8, &data, &len), -EISDIR);
}

static void read_file_without_size(void **state)
{
	char *data __cleanup_string = NULL;
	size_t len = 0;

	(void)state;
	assert_int_equal(io_read_file("/proc/self/status", 1 << 20, &data, &len), 0);
	assert_int_equal(len, strlen(data));
	assert_memory_equal(data, "Name:\ttest_base\n", 16);
}

static void read_file_larger_than_first_buffer(void **state)
{
	char path[32], *data __cleanup_string = NULL;
	char *zeros __cleanup_string = calloc(1, 100000);
	size_t len = 0;
	int fd __cleanup_fd = -1;

	(void)state;
	assert_non_null(zeros);
	memset(zeros, 'z', 100000);
	fd = make_file(path, zeros, 100000);
	assert_int_equal(io_read_file(path, 100000, &data, &len), 0);
	assert_int_equal(len, 100000);
	assert_memory_equal(data, zeros, 100000);
	unlink(path);
}

static void read_empty_file(void **state)
{
	char *data __cleanup_string = NULL;
	size_t len = 1;

	(void)state;
	assert_int_equal(io_read_file("/dev/null", 0, &data, &len), 0);
	assert_int_equal(len, 0);
	assert_string_equal(data, "");
}

static void pread_full_ends(void **state)
{
	char path[32], bytes[4] = "";
	int fd __cleanup_fd = make_file(path, "abcdefgh", 8);

	(void)state;
	unlink(path);
	assert_int_equal(io_pread_full(fd, bytes, 4, 4), 0);
	assert_memory_equal(bytes, "efgh", 4);
	assert_int_equal(io_pread_full(fd, bytes, 4, 5), -EIO);
	assert_int_equal(io_pread_full(fd, bytes, 0, 100), 0);
	assert_int_equal(io_pread_full(fd, bytes, 4, UINT64_MAX - 1), -EINVAL);
	assert_int_equal(io_pread_full(-1, bytes, 4, 0), -EBADF);
}

/* --- clock, log, error, model --- */

static void clock_counts_nanoseconds(void **state)
{
	uint64_t before = clock_monotonic_ns();

	(void)state;
	usleep(2000);
	assert_in_range(clock_monotonic_ns() - before, 2000000, 60 * NSEC_PER_SEC);
}

/* What log_write() of a message at @level prints to stderr while the level is @threshold. */
static void captured_log(enum log_level threshold, enum log_level level, bool newline, char *text,
			 size_t size)
{
	char path[32];
	int fd __cleanup_fd = make_file(path, "", 0);
	int saved = dup(STDERR_FILENO);
	ssize_t len;

	dup2(fd, STDERR_FILENO);
	log_set_level(threshold);
	log_write(level, newline ? "mapping %d of %s\n" : "mapping %d of %s", 3, "libc");
	dup2(saved, STDERR_FILENO);
	close(saved);
	unlink(path);
	log_set_level(LOG_NORMAL);
	len = pread(fd, text, size - 1, 0);
	assert_true(len >= 0);
	text[len] = '\0';
}

static void log_obeys_level(void **state)
{
	char text[128];

	(void)state;
	assert_int_equal(log_get_level(), LOG_NORMAL);
	captured_log(LOG_VERBOSE, LOG_VERBOSE, false, text, sizeof(text));
	assert_string_equal(text, "leakbpf: mapping 3 of libc\n");
	captured_log(LOG_NORMAL, LOG_NORMAL, true, text, sizeof(text));
	assert_string_equal(text, "leakbpf: mapping 3 of libc\n");
	captured_log(LOG_NORMAL, LOG_VERBOSE, false, text, sizeof(text));
	assert_string_equal(text, "");
	captured_log(LOG_QUIET, LOG_NORMAL, false, text, sizeof(text));
	assert_string_equal(text, "");
}

static void error_keeps_the_first(void **state)
{
	struct error error = { 0 };
	char long_name[1000];

	(void)state;
	assert_int_equal(error_set(&error, -EPERM, "no access to %d", 7), -EPERM);
	assert_int_equal(error_set(&error, -EIO, "outer"), -EIO);
	assert_string_equal(error.text, "no access to 7");
	assert_int_equal(error_set(NULL, -EIO, "nobody listens"), -EIO);

	memset(long_name, 'n', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	error.text[0] = '\0';
	error_set(&error, -EIO, "%s", long_name);
	assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
}

static void site_keys_have_an_order(void **state)
{
	/* each is less than the next; the last differs in the upper half of the stack id only */
	static const struct lb_site_key keys[] = {
		{ .tgid = 1, .kind = 1, .stack = 9 },
		{ .tgid = 2, .kind = 0, .stack = 9 },
		{ .tgid = 2, .kind = 1, .stack = 1 },
		{ .tgid = 2, .kind = 1, .stack = 1ULL << 63 },
		{ .tgid = 0xffffffff, .kind = 0, .stack = 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(keys); j++) {
			int order = site_key_compare(&keys[i], &keys[j]);

			assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(close_fd_keeps_errno),
		cmocka_unit_test(scope_closes_file),
		cmocka_unit_test(take_hands_over),
		cmocka_unit_test(vec_grows_and_keeps),
		cmocka_unit_test(vec_refuses_overflow),
		cmocka_unit_test(buf_collects),
		cmocka_unit_test(buf_remembers_failure),
		cmocka_unit_test(buf_empty_text_is_a_string),
		cmocka_unit_test(strings_share_copies),
		cmocka_unit_test(strings_survive_growth),
		cmocka_unit_test(read_file_at_the_limit),
		cmocka_unit_test(read_file_without_size),
		cmocka_unit_test(read_file_larger_than_first_buffer),
		cmocka_unit_test(read_empty_file),
		cmocka_unit_test(pread_full_ends),
		cmocka_unit_test(clock_counts_nanoseconds),
		cmocka_unit_test(log_obeys_level),
		cmocka_unit_test(error_keeps_the_first),
		cmocka_unit_test(site_keys_have_an_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
