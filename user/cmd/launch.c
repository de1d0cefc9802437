/* SPDX-License-Identifier: GPL-2.0-only */
#include "cmd/launch.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GRACE_MS     5000 /* between SIGTERM and SIGKILL */
#define WAIT_MS      10
#define MAX_AUXV     (64 * 1024)
#define SYSCALL_STOP (SIGTRAP | 0x80) /* with PTRACE_O_TRACESYSGOOD */

static int cannot_start(struct error *error, int code, const char *name)
{
	return error_set(error, code, "cannot start '%s': %s", name, strerror(-code));
}

/* In the child. Tells the reason through @fd when it fails. */
static void __attribute__((noreturn)) become(char *const *argv, int fd)
{
	int code;

	signal(SIGPIPE, SIG_DFL);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0) {
		raise(SIGSTOP);
		execvp(argv[0], argv);
	}
	code = errno;
	while (write(fd, &code, sizeof(code)) < 0 && errno == EINTR)
		;
	_exit(127);
}

static int wait_stop(struct launch *launch)
{
	int status;

	while (waitpid(launch->pid, &status, __WALL) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	if (WIFSTOPPED(status))
		return status;
	launch->status = status;
	launch->ended = true;
	launch->held = false;
	return 0;
}

/* From the stop before the exec to the one after it. 0: it has ended. */
static int wait_exec(struct launch *launch)
{
	long flags = PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
	int status = wait_stop(launch);

	if (status <= 0)
		return status;
	launch->held = true;
	if (ptrace(PTRACE_SETOPTIONS, launch->pid, NULL, (void *)flags))
		return -errno;
	do {
		int signal_number = WSTOPSIG(status) == SIGSTOP ? 0 : WSTOPSIG(status);

		if (ptrace(PTRACE_CONT, launch->pid, NULL, (void *)(long)signal_number))
			return -errno;
		status = wait_stop(launch);
	} while (status > 0 && status >> 8 != (SIGTRAP | PTRACE_EVENT_EXEC << 8));
	return status;
}

#ifdef __x86_64__
#define DEBUG_REGISTER(nr) ((void *)offsetof(struct user, u_debugreg[nr]))

/* A stop before the instruction at @address; 0: none. The code is left as it is. */
static int set_breakpoint(pid_t pid, uint64_t address)
{
	if (ptrace(PTRACE_POKEUSER, pid, DEBUG_REGISTER(7), NULL) ||
	    ptrace(PTRACE_POKEUSER, pid, DEBUG_REGISTER(0), (void *)address) ||
	    (address && ptrace(PTRACE_POKEUSER, pid, DEBUG_REGISTER(7), (void *)1L)))
		return -errno;
	return 0;
}

/* Is that its next instruction? */
static bool is_at(pid_t pid, uint64_t address)
{
	struct user_regs_struct registers;

	return ptrace(PTRACE_GETREGS, pid, NULL, &registers) == 0 && registers.rip == address;
}

/* Did the system call that just returned map code? */
static bool has_mapped(pid_t pid)
{
	struct user_regs_struct registers;

	return ptrace(PTRACE_GETREGS, pid, NULL, &registers) == 0 &&
	       registers.orig_rax == SYS_mmap && (registers.rdx & 4 /* PROT_EXEC */) &&
	       (long)registers.r8 >= 0;
}
#else
static int set_breakpoint(pid_t pid, uint64_t address)
{
	(void)pid;
	(void)address;
	return -EOPNOTSUPP;
}

static bool is_at(pid_t pid, uint64_t address)
{
	(void)pid;
	(void)address;
	return false;
}

static bool has_mapped(pid_t pid)
{
	(void)pid;
	return false;
}
#endif

/* AT_ENTRY of the process; 0: not known. */
static uint64_t entry_point(pid_t pid)
{
	char *data __cleanup_string = NULL;
	char path[64];
	size_t len, at;
	Elf64_auxv_t entry;

	snprintf(path, sizeof(path), "/proc/%d/auxv", (int)pid);
	if (io_read_file(path, MAX_AUXV, &data, &len))
		return 0;
	for (at = 0; at + sizeof(entry) <= len; at += sizeof(entry)) {
		memcpy(&entry, data + at, sizeof(entry));
		if (entry.a_type == AT_ENTRY)
			return entry.a_un.a_val;
	}
	return 0;
}

static int let_go(struct launch *launch)
{
	launch->held = false;
	set_breakpoint(launch->pid, 0);
	return ptrace(PTRACE_DETACH, launch->pid, NULL, NULL) ? -errno : 0;
}

int launch_start(char *const *argv, struct launch *ret_launch, struct error *error)
{
	struct launch launch = { 0 };
	int fds[2], code = 0, failure = 0;

	if (pipe2(fds, O_CLOEXEC))
		return cannot_start(error, -errno, argv[0]);
	signal(SIGCHLD, SIG_DFL); /* ignored, the kernel would keep its status from us */
	launch.pid = fork();
	if (launch.pid == 0)
		become(argv, fds[1]);
	close(fds[1]);
	code = launch.pid < 0 ? -errno : wait_exec(&launch);
	if (code == 0 && read(fds[0], &failure, sizeof(failure)) != (ssize_t)sizeof(failure))
		failure = ECHILD;
	close(fds[0]);
	if (code > 0)
		code = set_breakpoint(launch.pid, entry_point(launch.pid));
	else if (code == 0)
		code = -failure;
	if (code) {
		launch_end(&launch);
		return cannot_start(error, code, argv[0]);
	}
	launch.in_call = true; /* its exec has not returned yet */
	*ret_launch = launch;
	return 0;
}

int launch_next(struct launch *launch, struct error *error)
{
	uint64_t entry = entry_point(launch->pid);
	long signal_number = 0;

	while (launch->held) {
		int status;

		if (ptrace(PTRACE_SYSCALL, launch->pid, NULL, (void *)signal_number))
			return error_set(error, -errno, "cannot resume PID %d: %s",
					 (int)launch->pid, strerror(errno));
		status = wait_stop(launch);
		if (status <= 0)
			return status;
		signal_number = 0;
		if (WSTOPSIG(status) == SYSCALL_STOP) {
			launch->in_call = !launch->in_call;
			if (!launch->in_call && has_mapped(launch->pid))
				return 1;
		} else if (WSTOPSIG(status) == SIGTRAP && is_at(launch->pid, entry)) {
			return let_go(launch);
		} else {
			signal_number = WSTOPSIG(status);
		}
	}
	return 0;
}

static bool has_ended(struct launch *launch)
{
	pid_t pid = launch->ended ? 0 : waitpid(launch->pid, &launch->status, WNOHANG);

	if (pid == launch->pid || (pid < 0 && errno == ECHILD))
		launch->ended = true;
	return launch->ended;
}

void launch_end(struct launch *launch)
{
	const struct timespec pause = { .tv_nsec = WAIT_MS * 1000000L };
	int waited_ms;

	if (launch->pid <= 0 || has_ended(launch))
		return;
	kill(launch->pid, launch->held ? SIGKILL : SIGTERM);
	for (waited_ms = 0; !has_ended(launch) && waited_ms < GRACE_MS; waited_ms += WAIT_MS)
		nanosleep(&pause, NULL);
	if (launch->ended)
		return;
	kill(launch->pid, SIGKILL);
	while (waitpid(launch->pid, &launch->status, 0) < 0 && errno == EINTR)
		;
	launch->ended = true;
}

void launch_describe(struct buf *text, const struct launch *launch)
{
	if (WIFSIGNALED(launch->status))
		buf_printf(text, "was killed by signal %d (%s)", WTERMSIG(launch->status),
			   strsignal(WTERMSIG(launch->status)));
	else
		buf_printf(text, "exited with status %d", WEXITSTATUS(launch->status));
}
