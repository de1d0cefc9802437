/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What /proc/PID/stat and /proc/PID/status tell. Not for other modules.
 */
#ifndef PROC_STAT_H
#define PROC_STAT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct process_stat {
	char comm[64];
	char state; /* R, S, D, Z ... */
	bool kernel_thread;
	long nr_threads;
	uint64_t start_ticks; /* since boot */
};

/* -ESRCH: no such process or thread; -EINVAL: unreadable text. */
int process_stat_read(pid_t pid, struct process_stat *ret_stat);
/* Has it ended? A main thread that has ended while others go on is still a process. */
bool process_stat_is_dead(const struct process_stat *stat);
/* The process that thread or process @pid belongs to, and its PID in its own (innermost) PID
 * namespace. 0 or -errno. */
int process_ids_read(pid_t pid, pid_t *ret_process, pid_t *ret_inner);

#endif
