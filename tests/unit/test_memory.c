/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc/proc.h"

#define LIMIT_BYTES (64ULL << 20)

static void write_text(const char *folder, const char *name, const char *text)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* This process's memory control group of version 1, or the whole version 2 hierarchy. NULL: none can
 * be written. */
static char *parent_group(bool *ret_is_v2)
{
	static char path[4096];

	*ret_is_v2 = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
	snprintf(path, sizeof(path), "%s", *ret_is_v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory");
	return access(path, W_OK) == 0 ? path : NULL;
}

static void without_a_limit_the_machine_counts(void **state)
{
	struct memory_left left = { 0 };

	(void)state;
	assert_int_equal(memory_left(getpid(), &left), 0);
	assert_true(left.bytes > 0);
	assert_true(left.bytes < 1ULL << 50);
}

static void a_process_that_is_gone_has_the_machine(void **state)
{
	struct memory_left left = { 0 };

	(void)state;
	assert_int_equal(memory_left(0x7ffffff0, &left), 0);
	assert_false(left.by_group);
}

/* A child in the group below the limited one: the limit above counts. */
static void measure_in_group(const char *folder, bool is_v2)
{
	struct memory_left left = { 0 };
	char inner[4128], text[32];
	int status;
	pid_t child;

	snprintf(text, sizeof(text), "%" PRIu64, (uint64_t)LIMIT_BYTES);
	write_text(folder, is_v2 ? "memory.max" : "memory.limit_in_bytes", text);
	snprintf(inner, sizeof(inner), "%s/inner", folder);
	assert_int_equal(mkdir(inner, 0755), 0);
	child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	snprintf(text, sizeof(text), "%d", child);
	write_text(inner, "cgroup.procs", text);
	assert_int_equal(memory_left(child, &left), 0);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	rmdir(inner);
	assert_true(left.by_group);
	assert_true(left.bytes <= LIMIT_BYTES);
	assert_true(left.bytes > LIMIT_BYTES / 2);
}

static void a_limit_above_counts(void **state)
{
	bool is_v2;
	const char *parent = parent_group(&is_v2);
	char folder[4112];

	(void)state;
	if (!parent) {
		print_message("no memory control group can be made here\n");
		skip();
		return;
	}
	snprintf(folder, sizeof(folder), "%s/leakbpf-test-%d", parent, getpid());
	assert_int_equal(mkdir(folder, 0755), 0);
	measure_in_group(folder, is_v2);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_limit_the_machine_counts),
		cmocka_unit_test(a_process_that_is_gone_has_the_machine),
		cmocka_unit_test(a_limit_above_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
