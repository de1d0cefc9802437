/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A process to watch: who it is and what it runs.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proc/proc.h"
#include "proc/stat.h"

#define KERNEL_COMM_CHARS 15 /* kernel include/linux/sched.h: TASK_COMM_LEN - 1 */
#define MAX_THREADS       4096
#define ENVIRONMENT_MAX   (4U << 20)

static int check_thread(pid_t pid, struct error *error)
{
	pid_t process, inner;
	int err = process_ids_read(pid, &process, &inner);

	if (err)
		return error_set(error, err, "no process with PID %d", pid);
	if (process != pid)
		return error_set(error, -EINVAL,
				 "PID %d is a thread of process %d: watch the process with -p %d",
				 pid, process, process);
	return 0;
}

static int check_state(pid_t pid, const struct process_stat *stat, struct error *error)
{
	if (stat->kernel_thread)
		return error_set(
			error, -EINVAL,
			"PID %d (%s) is a kernel thread: it has no memory of its own to watch", pid,
			stat->comm);
	if (stat->state == 'Z' || stat->state == 'X')
		return error_set(error, -EINVAL,
				 "PID %d (%s) has ended: it is a zombie that its parent has not "
				 "yet collected",
				 pid, stat->comm);
	return 0;
}

/* May we read its mappings? Everything later needs that. */
static int check_access(pid_t pid, const struct process_stat *stat, struct error *error)
{
	int fd __cleanup_fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		return 0;
	if (errno == ENOENT || errno == ESRCH)
		return error_set(error, -ESRCH, "PID %d (%s) has just ended", pid, stat->comm);
	return error_set(error, -EACCES, "no right to look into PID %d (%s): %s; %s", pid,
			 stat->comm, strerror(errno),
			 geteuid() ? "run leakbpf as root (sudo)"
				   : "CAP_SYS_PTRACE is missing, or a security module forbids it");
}

/* The path of its executable as it sees it; NULL: unknown. */
static char *read_exe(pid_t pid)
{
	static const char deleted[] = " (deleted)";
	char link[64], path[PATH_MAX];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/%d/exe", pid);
	len = readlink(link, path, sizeof(path) - 1);
	if (len < 0)
		return NULL;
	path[len] = '\0';
	if ((size_t)len >= sizeof(deleted) && !strcmp(path + len - (sizeof(deleted) - 1), deleted))
		path[(size_t)len - (sizeof(deleted) - 1)] = '\0';
	return strdup(path);
}

/* What made the executable; one that can not be read counts as native. */
static void read_runtime(struct target *target)
{
	struct image *image;
	char path[64];
	int err;

	snprintf(path, sizeof(path), "/proc/%d/exe", target->pid);
	err = image_open(path, &image);
	if (err) {
		log_write(LOG_VERBOSE, "executable of PID %d: %s", target->pid, strerror(-err));
		return;
	}
	if (image_is_go(image)) {
		target->runtime = RUNTIME_GO;
		target->go_version = image_go_version(image);
	}
	image_free(image);
}

/* The kernel keeps 15 characters of a name; that of the executable may have the rest. */
static void name_target(struct target *target, const char *comm)
{
	const char *name = target->exe ? strrchr(target->exe, '/') : NULL;

	if (!name || strlen(comm) != KERNEL_COMM_CHARS ||
	    strncmp(name + 1, comm, KERNEL_COMM_CHARS) != 0)
		name = comm;
	else
		name++;
	snprintf(target->comm, sizeof(target->comm), "%s", name);
}

int target_open(pid_t pid, struct target *ret_target, struct error *error)
{
	struct target target = { .pid = pid };
	struct process_stat stat;
	int err;

	if (pid <= 0)
		return error_set(error, -ESRCH, "%d is not the PID of a process", pid);
	err = process_stat_read(pid, &stat);
	if (err)
		return error_set(error, err, "no process with PID %d", pid);
	err = check_thread(pid, error);
	if (!err)
		err = check_state(pid, &stat, error);
	if (!err)
		err = check_access(pid, &stat, error);
	if (err)
		return err;
	target.start_ticks = stat.start_ticks;
	target.exe = read_exe(pid);
	name_target(&target, stat.comm);
	read_runtime(&target);
	*ret_target = target;
	return 0;
}

bool target_is_alive(const struct target *target)
{
	struct process_stat stat;

	return !process_stat_read(target->pid, &stat) && !process_stat_is_dead(&stat) &&
	       stat.start_ticks == target->start_ticks;
}

static void free_strings(char **strings, size_t nr_strings)
{
	for (size_t i = 0; i < nr_strings; i++)
		free(strings[i]);
	free(strings);
}

void target_done(struct target *target)
{
	free(target->exe);
	free(target->go_version);
	free_strings(target->allocators, target->nr_allocators);
	free_strings(target->blind_spots, target->nr_blind_spots);
	*target = (struct target){ 0 };
}

int target_has_variable(pid_t pid, const char *start)
{
	char *text __cleanup_string = NULL;
	const char *end, *variable;
	char path[64];
	size_t len;
	int err;

	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	err = io_read_file(path, ENVIRONMENT_MAX, &text, &len);
	if (err)
		return err;
	end = text + len;
	for (variable = text; variable < end; variable += strnlen(variable, end - variable) + 1)
		if ((size_t)(end - variable) >= strlen(start) &&
		    !memcmp(variable, start, strlen(start)))
			return 1;
	return 0;
}

void target_for_each_thread(pid_t pid, thread_visitor visit, void *context)
{
	struct dirent *task;
	char path[64];
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	for (size_t i = 0; tasks && i < MAX_THREADS && (task = readdir(tasks)); i++) {
		pid_t tid = (pid_t)strtol(task->d_name, NULL, 10);

		if (tid > 0 && !visit(tid, context))
			break;
	}
	if (tasks)
		closedir(tasks);
}
