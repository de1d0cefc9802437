/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Makes a child that lives on and can be told to leak, and children that come and go.
 * Phases: fork (prints "CHILD pid"), child (the child leaks), parent (the parent leaks),
 * storm NUMBER (that many children that leak and end), reap (the child ends), daemon (as fork, but
 * makes a grandchild that is nobody's child; it ends with the program).
 */
#include <sys/wait.h>

#include "workload.h"

static pid_t child;
static int orders[2], answers[2];

SITE static void leak_in_child(void)
{
	keep(malloc(90));
}

SITE static void leak_in_parent(void)
{
	keep(malloc(110));
}

/* Leaks once for each order; ends when there are no more. */
static void child_main(void)
{
	char c;

	close(orders[1]);
	while (read(orders[0], &c, 1) == 1) {
		for (unsigned int i = 0; i < LEAKS; i++)
			leak_in_child();
		if (write(answers[1], &c, 1) != 1)
			_exit(1);
	}
	_exit(0);
}

static void phase_fork(long number)
{
	(void)number;
	if (pipe(orders) < 0 || pipe(answers) < 0)
		workload_die("pipe");
	child = fork();
	if (child < 0)
		workload_die("fork");
	if (child == 0)
		child_main();
	close(orders[0]);
	workload_say("CHILD %d", (int)child);
}

static void phase_child(long number)
{
	static size_t nr_leaked;
	char c = 'x';

	(void)number;
	if (write(orders[1], &c, 1) != 1 || read(answers[0], &c, 1) != 1)
		workload_die("child");
	nr_leaked += LEAKS;
	expect("heap", "leak_in_child", nr_leaked, nr_leaked * 90);
}

static void phase_parent(long number)
{
	static size_t nr_leaked;

	(void)number;
	for (unsigned int i = 0; i < LEAKS; i++)
		leak_in_parent();
	nr_leaked += LEAKS;
	expect("heap", "leak_in_parent", nr_leaked, nr_leaked * 110);
}

static void phase_storm(long number)
{
	int status;

	for (long i = 0; i < number; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			leak_in_child();
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
			workload_die("storm");
	}
}

static void phase_reap(long number)
{
	int status;

	(void)number;
	close(orders[1]);
	if (waitpid(child, &status, 0) != child || status != 0)
		workload_die("waitpid");
}

/* As daemon(3) does: the child ends as soon as it has a child of its own. */
static void phase_daemon(long number)
{
	pid_t between, pid;
	int status;

	(void)number;
	if (pipe(orders) < 0 || pipe(answers) < 0)
		workload_die("pipe");
	between = fork();
	if (between == 0) {
		pid = fork();
		if (pid == 0) {
			setsid();
			child_main();
		}
		_exit(write(answers[1], &pid, sizeof(pid)) != sizeof(pid));
	}
	close(orders[0]);
	if (between < 0 || waitpid(between, &status, 0) != between || status != 0 ||
	    read(answers[0], &pid, sizeof(pid)) != sizeof(pid))
		workload_die("daemon");
	workload_say("CHILD %d", (int)pid);
}

static const struct workload_phase phases[] = {
	{ "fork", phase_fork },   { "child", phase_child }, { "parent", phase_parent },
	{ "storm", phase_storm }, { "reap", phase_reap },   { "daemon", phase_daemon },
};

int main(void)
{
	return WORKLOAD_SERVE(phases);
}
