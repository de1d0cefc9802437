/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Parsing of /proc/PID/stat and /proc/PID/status (Linux Documentation/filesystems/proc.rst).
 */
#include "proc/stat.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

#define MAX_TEXT   65536
#define PF_KTHREAD 0x00200000 /* Linux 6.18 include/linux/sched.h */

/* Reads /proc/@pid/@name as text. */
static int read_text(pid_t pid, const char *name, char **ret_text)
{
	char path[64];
	size_t len;
	int err;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	err = io_read_file(path, MAX_TEXT, ret_text, &len);
	return err == -ENOENT ? -ESRCH : err;
}

/* The name is in parentheses and may contain any byte, so the last one closes it. */
static int parse_stat(const char *text, struct process_stat *stat)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	unsigned long long start;
	unsigned int flags;

	if (!open || !close || close < open)
		return -EINVAL;
	if (sscanf(close + 1,
		   " %c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld %*d "
		   "%llu",
		   &stat->state, &flags, &stat->nr_threads, &start) != 4)
		return -EINVAL;
	stat->start_ticks = start;
	stat->kernel_thread = flags & PF_KTHREAD;
	snprintf(stat->comm, sizeof(stat->comm), "%.*s", (int)(close - open - 1), open + 1);
	return 0;
}

int process_stat_read(pid_t pid, struct process_stat *ret_stat)
{
	char *text __cleanup_string = NULL;
	struct process_stat stat = { 0 };
	int err = read_text(pid, "stat", &text);

	if (!err)
		err = parse_stat(text, &stat);
	if (!err)
		*ret_stat = stat;
	return err;
}

bool process_stat_is_dead(const struct process_stat *stat)
{
	return stat->state == 'X' || (stat->state == 'Z' && stat->nr_threads <= 1);
}

/* Finds the line "@key:" and returns what follows the colon. */
static const char *find_value(const char *text, const char *key)
{
	size_t len = strlen(key);

	while (text) {
		if (!strncmp(text, key, len) && text[len] == ':')
			return text + len + 1;
		text = strchr(text, '\n');
		if (text)
			text++;
	}
	return NULL;
}

int process_ids_read(pid_t pid, pid_t *ret_process, pid_t *ret_inner)
{
	char *text __cleanup_string = NULL;
	const char *tgid, *inner;
	pid_t process, number;
	int err = read_text(pid, "status", &text), used;

	if (err)
		return err;
	tgid = find_value(text, "Tgid");
	inner = find_value(text, "NStgid");
	if (!tgid || sscanf(tgid, "%d", &process) != 1)
		return -EINVAL;
	number = process;
	while (inner && *inner != '\n' && sscanf(inner, "%d%n", &number, &used) == 1)
		inner += used;
	*ret_process = process;
	*ret_inner = number;
	return 0;
}
