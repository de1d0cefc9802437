/* SPDX-License-Identifier: GPL-2.0-only */
/* A Go program with 100,000 goroutines: how long a poll takes, and how many system calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "golang/golang.h"
#include "proc/proc.h"

#define PROGRAMS   LEAKBPF_BUILD_DIR "/workloads/crowd_*_plain"
#define CROWD      100000
#define NR_POLLS   10
#define MAX_POLLS  100 /* when others keep the machine busy */
#define BUSY_US    500000
#define MAX_POLL_S 0.05

struct child {
	pid_t pid;
	int to_child, from_child;
};

/* Starts the program with its standard input and output as pipes. */
static struct child program_start(const char *path)
{
	struct child child = { 0 };
	int in[2], out[2];

	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	child.pid = fork();
	if (!child.pid) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		close(in[1]);
		close(out[0]);
		execl(path, path, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	child.to_child = in[1];
	child.from_child = out[0];
	return child;
}

static void program_line(const struct child *child, const char *wanted)
{
	char line[256] = "";
	size_t len = 0;

	while (len + 1 < sizeof(line) && read(child->from_child, line + len, 1) == 1 &&
	       line[len] != '\n')
		len++;
	line[len] = '\0';
	assert_int_equal(strncmp(line, wanted, strlen(wanted)), 0);
}

static double poll_s(struct golang *golang, struct goroutine_list *list)
{
	uint64_t start_ns = clock_monotonic_ns();
	struct error error = { 0 };

	if (golang_scan(golang, list, &error))
		fail_msg("%s", error.text);
	return (double)(clock_monotonic_ns() - start_ns) / (double)NSEC_PER_SEC;
}

static size_t nr_parked(const struct goroutine_list *list)
{
	size_t nr = 0;

	for (size_t i = 0; i < list->nr_goroutines; i++) {
		const struct goroutine *goroutine = &list->goroutines[i];

		nr += goroutine->stack && goroutine->stack->nr_frames == 1 &&
		      !strcmp(goroutine->stack->frames[0].function, "main.parked");
	}
	return nr;
}

/* The program as the newest Go built it; NULL: none did. In @ret_found, to be freed. */
static const char *program_newest(glob_t *ret_found)
{
	const char *newest = NULL;

	if (glob(PROGRAMS, 0, NULL, ret_found))
		return NULL;
	for (size_t i = 0; i < ret_found->gl_pathc; i++)
		if (!newest || strverscmp(ret_found->gl_pathv[i], newest) > 0)
			newest = ret_found->gl_pathv[i];
	return newest;
}

static void crowds_are_polled_fast(void **state)
{
	glob_t found = { 0 };
	const char *path = program_newest(&found);
	struct goroutine_list list = { 0 };
	struct golang *golang = NULL;
	struct target target = { 0 };
	struct child child;
	struct error error = { 0 };
	double first_s, best_s = 1000;

	(void)state;
	if (!path) {
		print_message("skipped: no " PROGRAMS " was built\n");
		globfree(&found);
		skip();
		return;
	}
	print_message("%s\n", path);
	child = program_start(path);
	globfree(&found);
	program_line(&child, "ready ");
	assert_int_equal(write(child.to_child, "park 100000\n", 12), 12);
	program_line(&child, "done park");
	assert_int_equal(target_open(child.pid, &target, &error), 0);
	if (golang_open(&target, &golang, &error))
		fail_msg("%s", error.text);
	do
		first_s = poll_s(golang, &list);
	while (nr_parked(&list) < CROWD);
	for (int i = 0; i < NR_POLLS || (best_s > MAX_POLL_S && i < MAX_POLLS); i++) {
		double this_s;

		if (i >= NR_POLLS)
			usleep(BUSY_US);
		this_s = poll_s(golang, &list);
		assert_int_equal(nr_parked(&list), CROWD);
		assert_in_range(list.table_calls, 1, 10);
		best_s = MIN(best_s, this_s);
	}
	print_message("%d goroutines: %.0f ms at first, then %.0f ms, %ju + %ju system calls\n",
		      CROWD, first_s * 1000, best_s * 1000, (uintmax_t)list.table_calls,
		      (uintmax_t)list.stack_calls);
	assert_true(best_s <= MAX_POLL_S);
	golang_free(golang);
	target_done(&target);
	close(child.to_child);
	close(child.from_child);
	assert_int_equal(waitpid(child.pid, NULL, 0), child.pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crowds_are_polled_fast),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
