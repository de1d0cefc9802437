/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The command line. Only this module prints sentences and decides exit statuses.
 */
#ifndef CMD_CMD_H
#define CMD_CMD_H

enum exit_status {
	EXIT_DONE = 0,
	EXIT_LEAKS = 1, /* only of check */
	EXIT_USAGE = 2,
	EXIT_FAILED = 3, /* could not run */
};

/* A subcommand. Adding one is one file and one row of the table in cmd.c. */
struct command {
	const char *name;
	const char *summary;
	/* Runs with argv[0] being what to call the command in messages; returns the exit status. */
	int (*run)(int argc, char **argv);
};

/* Chooses the command of @argv and runs it; watch when none is named. */
int cmd_main(int argc, char **argv);

int cmd_watch(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_record(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_goroutines(int argc, char **argv);
int cmd_ps(int argc, char **argv);

/* Appends the list of commands to the help text that argp prints last (a help_filter). */
char *cmd_help_filter(int key, const char *text, void *input);

#endif
