/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/options.h"
#include "cmd/output.h"

#define MAX_ARGS 32

/* Parses "leakbpf" and these words. */
static int parse(struct options *options, const char *words)
{
	char *copy = strdup(words), *rest = copy, *word;
	char *argv[MAX_ARGS + 2] = { (char *)"leakbpf" };
	int argc = 1, result;

	assert_non_null(copy);
	while ((word = strsep(&rest, " ")) && argc <= MAX_ARGS)
		argv[argc++] = word;
	result = options_parse(argc, argv, ARGP_NO_EXIT | ARGP_NO_ERRS, options);
	free(copy);
	return result;
}

static void defaults(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(parse(&options, "-p 7"), 0);
	assert_int_equal(options.nr_pids, 1);
	assert_int_equal(options.pids[0], 7);
	assert_true(options.interval_s == 5);
	assert_true(options.duration_s == 0);
	assert_int_equal(options.kinds, 0x1f); /* not those of the scheduler of Go */
	assert_int_equal(options.format, REPORT_TEXT);
	assert_int_equal(options.attach, ATTACH_AUTO);
	assert_int_equal(options.min_objects, 5);
	assert_true(options.horizon_s == 0);
	assert_null(options.output);
	assert_false(options.all_sites || options.quiet || options.follow);
	options_done(&options);
}

static void every_option(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(parse(&options,
			       "-p 1,2 --pid=3,2 -d 90s -i 0.5 -k mmap -f json -n 20 "
			       "--all-sites --follow --attach=perf --max-live=4096 --horizon=600 "
			       "-vv -q"),
			 0);
	assert_int_equal(options.nr_pids, 3);
	assert_int_equal(options.pids[2], 3);
	assert_true(options.duration_s == 90);
	assert_true(options.interval_s == 0.5);
	assert_int_equal(options.kinds, 1U << LB_KIND_MMAP);
	assert_int_equal(options.format, REPORT_JSON);
	assert_int_equal(options.top, 20);
	assert_int_equal(options.attach, ATTACH_PERF);
	assert_int_equal(options.max_live, 4096);
	assert_true(options.horizon_s == 600);
	assert_int_equal(options.verbose, 2);
	assert_true(options.all_sites && options.quiet && options.follow);
	options_done(&options);
}

static void wrong_usage_is_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"-p",
		"-p 0",
		"-p -1",
		"-p 1,",
		"-p ,",
		"-p abc",
		"-p 99999999999999999999",
		"-p 0x10",
		"-p 1 -d 0",
		"-p 1 -d -5",
		"-p 1 -d nan",
		"-p 1 -d inf",
		"-p 1 -d 1e99",
		"-p 1 -d 5x",
		"-p 1 -i 0.01",
		"-p 1 -k stack",
		"-p 1 -k heap,,",
		"-p 1 -f xml",
		"-p 1 -n 0",
		"-p 1 -n 1x",
		"-p 1 --attach x",
		"-p 1 --max-live 5",
		"-p 1 --horizon 5",
		"-p 1 --unheard",
		"-p 1 -Z",
		"-p 1 stray",
	};
	struct options options;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		if (parse(&options, wrong[i]) == 0)
			fail_msg("'%s' was accepted", wrong[i]);
	}
}

static void sentences_name_the_culprit(void **state)
{
	struct error error = { 0 };
	enum report_format format;
	enum attach_mode mode;
	uint64_t number;
	double seconds;
	unsigned int kinds;

	(void)state;
	assert_int_equal(parse_format("yaml", &format, &error), -EINVAL);
	assert_non_null(strstr(error.text, "'yaml'"));
	error.text[0] = '\0';
	assert_int_equal(parse_attach("how", &mode, &error), -EINVAL);
	assert_non_null(strstr(error.text, "session"));
	error.text[0] = '\0';
	assert_int_equal(parse_kinds("heap,fish", &kinds, &error), -EINVAL);
	assert_non_null(strstr(error.text, "'fish'"));
	error.text[0] = '\0';
	assert_int_equal(parse_seconds("soon", 1, &seconds, &error), -EINVAL);
	assert_non_null(strstr(error.text, "'soon'"));
	error.text[0] = '\0';
	assert_int_equal(parse_number("11", 1, 10, &number, &error), -EINVAL);
	assert_non_null(strstr(error.text, "from 1 to 10"));
}

/* Exit status of the whole command line, run in a child whose output goes nowhere. */
static int exit_status_of(int argc, char **argv)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		exit(cmd_main(argc, argv));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void exit_statuses(void **state)
{
	char *unknown_option[] = { (char *)"leakbpf", (char *)"--no-such-option", NULL };
	char *unknown_command[] = { (char *)"leakbpf", (char *)"dance", NULL };
	char *nothing[] = { (char *)"leakbpf", NULL };
	char *help[] = { (char *)"leakbpf", (char *)"--help", NULL };
	char *watch_help[] = { (char *)"leakbpf", (char *)"watch", (char *)"--help", NULL };
	char *doctor_stray[] = { (char *)"leakbpf", (char *)"doctor", (char *)"me", NULL };
	char *no_process[] = { (char *)"leakbpf", (char *)"-p", (char *)"2147483647", NULL };
	char *no_output[] = { (char *)"leakbpf",         (char *)"-p", (char *)"1", (char *)"-o",
			      (char *)"/nowhere/report", NULL };

	(void)state;
	assert_int_equal(exit_status_of(2, unknown_option), EXIT_USAGE);
	assert_int_equal(exit_status_of(2, unknown_command), EXIT_USAGE);
	assert_int_equal(exit_status_of(1, nothing), EXIT_USAGE);
	assert_int_equal(exit_status_of(2, help), EXIT_DONE);
	assert_int_equal(exit_status_of(3, watch_help), EXIT_DONE);
	assert_int_equal(exit_status_of(3, doctor_stray), EXIT_USAGE);
	assert_int_equal(exit_status_of(3, no_process), EXIT_FAILED);
	assert_int_equal(exit_status_of(5, no_output), EXIT_FAILED);
}

/* --- output --- */

static const struct snapshot no_snapshot;
static const struct report no_report = { .snapshot = &no_snapshot };
static const struct report_options json_options = { .format = REPORT_JSON };

static int make_directory(void **state)
{
	char *path = strdup("/tmp/test_options.XXXXXX");

	assert_non_null(path);
	assert_non_null(mkdtemp(path));
	*state = path;
	return chdir(path);
}

static int remove_directory(void **state)
{
	char *path = *state;

	unlink("report");
	unlink("link");
	unlink("victim");
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(path), 0); /* fails when anything was left behind */
	free(path);
	return 0;
}

static void output_is_written_whole(void **state)
{
	struct error error = { 0 };
	struct stat status;

	(void)state;
	assert_int_equal(output_check("report", &error), 0);
	assert_int_equal(access("report", F_OK), -1);
	assert_int_equal(output_write("report", &no_report, &json_options, &error), 0);
	assert_int_equal(stat("report", &status), 0);
	assert_true(status.st_size > 100);
	assert_int_equal(output_check("report", &error), 0);
	assert_int_equal(output_write("report", &no_report, &json_options, &error), 0);
	assert_int_equal(output_check("/dev/null", &error), 0);
	assert_int_equal(output_write("/dev/null", &no_report, &json_options, &error), 0);
}

static void output_follows_no_link(void **state)
{
	struct error error = { 0 };

	(void)state;
	assert_int_equal(symlink("victim", "link"), 0);
	assert_int_equal(output_check("link", &error), -ELOOP);
	assert_non_null(strstr(error.text, "symbolic link"));
	assert_int_equal(output_write("link", &no_report, &json_options, &error), -ELOOP);
	assert_int_equal(access("victim", F_OK), -1);
}

static void output_errors_are_told(void **state)
{
	struct error error = { 0 };

	(void)state;
	assert_int_equal(output_check("/nowhere/report", &error), -ENOENT);
	assert_non_null(strstr(error.text, "/nowhere/report"));
	error.text[0] = '\0';
	assert_int_equal(output_check("/tmp", &error), -EISDIR);
	error.text[0] = '\0';
	assert_int_equal(output_write("/dev/full", &no_report, &json_options, &error), -ENOSPC);
	assert_non_null(strstr(error.text, "No space"));
}

#define OUTPUT_TEST(function)                                                                      \
	cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(every_option),
		cmocka_unit_test(wrong_usage_is_refused),
		cmocka_unit_test(sentences_name_the_culprit),
		cmocka_unit_test(exit_statuses),
		OUTPUT_TEST(output_is_written_whole),
		OUTPUT_TEST(output_follows_no_link),
		OUTPUT_TEST(output_errors_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
