/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A directory of its own for a test, and small programs compiled into it.
 */
#ifndef TESTS_UNIT_FIXTURE_H
#define TESTS_UNIT_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

struct fixture {
	char directory[64];
};

/* Group set-up and tear-down for cmocka. */
static inline int fixture_begin(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	strcpy(fixture->directory, "/tmp/leakbpf-test-XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	*state = fixture;
	return 0;
}

/* Runs a shell command in the directory; it must succeed. */
static inline void __attribute__((format(printf, 2, 3))) fixture_run(const struct fixture *fixture,
								     const char *format, ...)
{
	struct buf command __cleanup_buf = { 0 };
	char text[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	buf_printf(&command, "cd %s && unset LD_PRELOAD && %s", fixture->directory, text);
	/* The tests are given their own commands only. */
	if (system(command.data)) /* NOLINT(cert-env33-c) */
		fail_msg("failed: %s", text);
}

static inline int fixture_end(void **state)
{
	struct fixture *fixture = *state;

	fixture_run(fixture, "rm -rf %s", fixture->directory);
	free(fixture);
	return 0;
}

/* The path of @name in the directory; in a buffer of the caller's. */
static inline const char *fixture_path(const struct fixture *fixture, const char *name, char *path,
				       size_t size)
{
	snprintf(path, size, "%s/%s", fixture->directory, name);
	return path;
}

static inline void fixture_write(const struct fixture *fixture, const char *name, const void *bytes,
				 size_t len)
{
	char path[256];
	FILE *file = fopen(fixture_path(fixture, name, path, sizeof(path)), "we");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

/* All bytes of a file; owned by the caller. */
static inline char *fixture_read(const struct fixture *fixture, const char *name, size_t *ret_len)
{
	char path[256], *bytes = NULL;

	fixture_path(fixture, name, path, sizeof(path));
	assert_int_equal(io_read_file(path, 1UL << 26, &bytes, ret_len), 0);
	return bytes;
}

#endif
