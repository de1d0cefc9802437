/* SPDX-License-Identifier: GPL-2.0-only */
#include "cmd/cmd.h"

#include <argp.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

static const struct command commands[] = {
	{ "watch", "watch processes until Ctrl-C (the default command)", cmd_watch },
	{ "run", "start a program and watch it from its first instruction", cmd_run },
	{ "check", "watch for scripts: exit status 1 when something leaks", cmd_check },
	{ "record", "keep the snapshots of a watch in a file", cmd_record },
	{ "report", "judge a recording", cmd_report },
	{ "diff", "compare two recordings, or two moments of one", cmd_diff },
	{ "goroutines", "every goroutine of a Go process, grouped", cmd_goroutines },
	{ "ps", "processes worth watching", cmd_ps },
	{ "doctor", "what this kernel and these privileges allow", cmd_doctor },
};

static const struct command *command_find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

char *cmd_help_filter(int key, const char *text, void *input)
{
	struct buf buf __cleanup_buf = { 0 };
	size_t i;

	(void)input;
	if (key != ARGP_KEY_HELP_PRE_DOC || !text)
		return (char *)text;
	buf_puts(&buf, text);
	buf_puts(&buf, "\n\nCommands:\n");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		buf_printf(&buf, "  %-10s %s\n", commands[i].name, commands[i].summary);
	buf_puts(&buf, "\n'leakbpf COMMAND --help' tells more of each. Options of watch:\n");
	return take(buf.data);
}

static int unknown_command(const char *name)
{
	size_t i;

	fprintf(stderr, "leakbpf: there is no command '%s'; the commands are", name);
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(stderr, "%s %s", i ? "," : "", commands[i].name);
	fputs(". Try 'leakbpf --help'.\n", stderr);
	return EXIT_USAGE;
}

/* Makes sure that no file that is opened later becomes standard input, output or error. */
static void open_standard_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int cmd_main(int argc, char **argv)
{
	char title[64] = "leakbpf";
	const struct command *command;

	argp_err_exit_status = EXIT_USAGE;
	open_standard_files();
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2 || argv[1][0] == '-') {
		command = &commands[0];
	} else {
		command = command_find(argv[1]);
		if (!command)
			return unknown_command(argv[1]);
		snprintf(title, sizeof(title), "leakbpf %s", command->name);
		argc--;
		argv++;
	}
	argv[0] = title;
	return command->run(argc, argv);
}
