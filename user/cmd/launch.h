/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A program started to be watched from its first instruction. It is held by ptrace from its exec
 * to its entry point, while the dynamic linker maps its libraries, and never again. Private to the
 * module.
 */
#ifndef CMD_LAUNCH_H
#define CMD_LAUNCH_H

#include "base/base.h"

struct launch {
	pid_t pid;    /* 0: nothing was started */
	int status;   /* of waitpid(); valid when ended */
	bool held;    /* by ptrace */
	bool in_call; /* the last stop was at the beginning of a system call */
	bool ended;
};

/* Starts @argv and stops it when its exec is done: nothing of it has run. */
int launch_start(char *const *argv, struct launch *ret_launch, struct error *error);
/* Lets it go on. 1: it has mapped something and is stopped, 0: it reached its entry point and was let
 * go, or has ended, or an error. */
int launch_next(struct launch *launch, struct error *error);
/* Ends it when it still runs, and takes its exit status. */
void launch_end(struct launch *launch);
/* Appends "exited with status 1" or "was killed by signal 9 (Killed)". */
void launch_describe(struct buf *text, const struct launch *launch);

#endif
