/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc/proc.h"
#include "proc/stat.h"

static void own_process_is_described(void **state)
{
	struct target target = { 0 };
	struct error error = { 0 };
	char self[4096] = "";

	(void)state;
	prctl(PR_SET_NAME, "odd ) (name");
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	assert_int_equal(target_open(getpid(), &target, &error), 0);
	assert_int_equal(target.pid, getpid());
	assert_string_equal(target.comm, "odd ) (name");
	assert_string_equal(target.exe, self);
	assert_int_equal(target.runtime, RUNTIME_NATIVE);
	assert_null(target.go_version);
	assert_true(target.start_ticks > 0);
	assert_true(target_is_alive(&target));
	target.start_ticks++;
	assert_false(target_is_alive(&target));
	target_done(&target);
	assert_null(target.exe);
}

static void long_names_are_whole(void **state)
{
	char folder[] = "/tmp/leakbpf-target-XXXXXX", path[96], copy[160];
	char *argv[] = { path, (char[]){ "60" }, NULL };
	struct target target = { 0 };
	struct error error = { 0 };
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/name_of_more_than_15", folder);
	snprintf(copy, sizeof(copy), "cp /bin/sleep %s", path);
	assert_int_equal(system(copy), 0); /* NOLINT(cert-env33-c) */
	assert_int_equal(posix_spawn(&pid, path, NULL, NULL, argv, NULL), 0);
	assert_int_equal(target_open(pid, &target, &error), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(path);
	rmdir(folder);
	assert_string_equal(target.comm, "name_of_more_than_15");
	target_done(&target);
}

static void missing_processes_are_named(void **state)
{
	struct target target = { 0 };
	struct error error = { 0 };

	(void)state;
	assert_int_equal(target_open(0x3fffffff, &target, &error), -ESRCH);
	assert_string_equal(error.text, "no process with PID 1073741823");
	error.text[0] = '\0';
	assert_int_equal(target_open(0, &target, &error), -ESRCH);
	assert_string_equal(error.text, "0 is not the PID of a process");
	error.text[0] = '\0';
	assert_int_equal(target_open(-5, &target, &error), -ESRCH);
	assert_int_equal(target.pid, 0);
}

/* The PID of some kernel thread; 0: none to be seen (in a PID namespace). */
static pid_t kernel_thread(void)
{
	for (pid_t pid = 2; pid < 100; pid++) {
		struct process_stat stat;

		if (!process_stat_read(pid, &stat) && stat.kernel_thread)
			return pid;
	}
	return 0;
}

static void kernel_threads_are_refused(void **state)
{
	struct target target = { 0 };
	struct error error = { 0 };
	pid_t pid = kernel_thread();

	(void)state;
	if (!pid)
		skip();
	assert_int_equal(target_open(pid, &target, &error), -EINVAL);
	assert_non_null(strstr(error.text, "is a kernel thread"));
}

static void zombies_are_refused(void **state)
{
	struct target target = { 0 };
	struct error error = { 0 };
	siginfo_t info;
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(target_open(pid, &target, &error), -EINVAL);
	assert_non_null(strstr(error.text, "has ended: it is a zombie"));
	waitpid(pid, NULL, 0);
	error.text[0] = '\0';
	assert_int_equal(target_open(pid, &target, &error), -ESRCH);
}

static void ended_processes_are_not_alive(void **state)
{
	struct target target = { 0 };
	struct error error = { 0 };
	siginfo_t info;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		pause();
		_exit(0);
	}
	assert_int_equal(target_open(pid, &target, &error), 0);
	assert_true(target_is_alive(&target));
	kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_false(target_is_alive(&target)); /* a zombie */
	waitpid(pid, NULL, 0);
	assert_false(target_is_alive(&target));
	target_done(&target);
}

static void *report_thread(void *context)
{
	int *pipe_fds = context;
	pid_t tid = (pid_t)syscall(SYS_gettid);
	char byte;

	if (write(pipe_fds[1], &tid, sizeof(tid)) == sizeof(tid))
		while (read(pipe_fds[2], &byte, 1) < 0)
			continue;
	return NULL;
}

static void threads_are_refused_and_lead_to_their_process(void **state)
{
	int fds[4];
	pid_t tid = 0;
	pthread_t thread;
	struct target target = { 0 };
	struct error error = { 0 };
	char wanted[200];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pipe(fds + 2), 0);
	assert_int_equal(pthread_create(&thread, NULL, report_thread, fds), 0);
	assert_int_equal(read(fds[0], &tid, sizeof(tid)), sizeof(tid));
	assert_int_equal(target_open(tid, &target, &error), -EINVAL);
	snprintf(wanted, sizeof(wanted),
		 "PID %d is a thread of process %d: watch the process with -p %d", tid, getpid(),
		 getpid());
	assert_string_equal(error.text, wanted);
	close(fds[3]);
	pthread_join(thread, NULL);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

/* The main thread may end while the others go on: that is no zombie. */
static void *outlive_main(void *context)
{
	(void)context;
	pause();
	return NULL;
}

static void process_outlives_its_main_thread(void **state)
{
	struct target target = { 0 };
	struct error error = { 0 };
	struct process_stat stat = { 0 };
	int order[2];
	char c = 'x';
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(order), 0);
	pid = fork();
	if (!pid) {
		pthread_t thread;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pthread_create(&thread, NULL, outlive_main, NULL);
		if (read(order[0], &c, 1) == 1)
			syscall(SYS_exit, 0); /* this thread only */
		_exit(1);
	}
	assert_int_equal(target_open(pid, &target, &error), 0);
	assert_int_equal(write(order[1], &c, 1), 1);
	close(order[0]);
	close(order[1]);
	for (int i = 0; i < 500 && stat.state != 'Z'; i++) {
		usleep(10000);
		assert_int_equal(process_stat_read(pid, &stat), 0);
	}
	assert_int_equal(stat.state, 'Z');
	assert_true(target_is_alive(&target));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	target_done(&target);
}

/* In a child that has given up its rights: what belongs to root can not be looked into. */
static int open_parent_as_nobody(pid_t parent)
{
	struct target target = { 0 };
	struct error error = { 0 };

	if (setgid(65534) || setuid(65534))
		return 1;
	if (target_open(parent, &target, &error) != -EACCES)
		return 2;
	return strstr(error.text, "no right to look into PID") && strstr(error.text, "as root") ? 0
												: 3;
}

static void missing_rights_are_told(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	pid = fork();
	if (!pid)
		_exit(open_parent_as_nobody(getppid()));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void variables_are_found_at_their_start(void **state)
{
	char *argv[] = { (char[]){ "sleep" }, (char[]){ "60" }, NULL };
	char *environment[] = { (char[]){ "FIRST=1" }, (char[]){ "OTHER=NAME=2" },
				(char[]){ "LAST=three" }, NULL };
	pid_t pid;

	(void)state;
	assert_int_equal(posix_spawn(&pid, "/bin/sleep", NULL, NULL, argv, environment), 0);
	for (int i = 0; i < 5000 && target_has_variable(pid, "FIRST=") != 1; i++)
		usleep(1000); /* the kernel sets it last */
	assert_int_equal(target_has_variable(pid, "FIRST=1"), 1);
	assert_int_equal(target_has_variable(pid, "FIRST=2"), 0);
	assert_int_equal(target_has_variable(pid, "NAME="), 0);
	assert_int_equal(target_has_variable(pid, "LAST=thr"), 1);
	assert_int_equal(target_has_variable(pid, "LAST=three and more"), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(target_has_variable(pid, "FIRST="), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_process_is_described),
		cmocka_unit_test(long_names_are_whole),
		cmocka_unit_test(missing_processes_are_named),
		cmocka_unit_test(kernel_threads_are_refused),
		cmocka_unit_test(zombies_are_refused),
		cmocka_unit_test(ended_processes_are_not_alive),
		cmocka_unit_test(threads_are_refused_and_lead_to_their_process),
		cmocka_unit_test(process_outlives_its_main_thread),
		cmocka_unit_test(missing_rights_are_told),
		cmocka_unit_test(variables_are_found_at_their_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
