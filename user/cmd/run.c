/* SPDX-License-Identifier: GPL-2.0-only */
/* leakbpf run and leakbpf check. */
#include <argp.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/options.h"
#include "trend/trend.h"

#define CHECK_INTERVAL_S 1

enum { OPT_FAIL_ON = 0x500, OPT_MIN_CONFIDENCE, OPT_FAIL_ON_SHORT };

static const struct argp_option check_options[] = {
	{ "fail-on", OPT_FAIL_ON, "VERDICT", 0, "Fail on leaking (the default), or on growing, too",
	  0 },
	{ "min-confidence", OPT_MIN_CONFIDENCE, "X", 0, "Fail only from this confidence on, 0 to 1",
	  0 },
	{ "fail-on-short", OPT_FAIL_ON_SHORT, NULL, 0,
	  "Fail when the watch was too short for a verdict", 0 },
	{ 0 },
};

static void parse_fail_on(const char *text, struct options *options, struct argp_state *state)
{
	if (strcmp(text, "leaking") == 0)
		options->fail_on = VERDICT_LEAKING;
	else if (strcmp(text, "growing") == 0)
		options->fail_on = VERDICT_GROWING;
	else
		argp_error(state, "'%s' is not leaking or growing", text);
}

static void parse_confidence(const char *text, struct options *options, struct argp_state *state)
{
	struct error error = { 0 };

	if (parse_seconds(text, 0, &options->min_confidence, &error) || options->min_confidence > 1)
		argp_error(state, "'%s' is not a confidence from 0 to 1", text);
}

static void parse_end(const struct options *options, struct argp_state *state)
{
	if (options->command && options->nr_pids)
		argp_error(state, "give either -p PID or a program to start, not both");
	else if (!options->command && !options->check)
		argp_error(state, "say which program to start: leakbpf run -- CMD");
	else if (!options->command && !options->nr_pids)
		argp_error(state, "say what to watch: -p PID, or -- CMD");
	else if (!options->output && report_is_binary(options->format) && isatty(STDOUT_FILENO))
		argp_error(state, "this format is not for a terminal: give -o FILE");
}

static error_t parse_command(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	size_t i;

	switch (key) {
	case ARGP_KEY_INIT:
		for (i = 0; i < NR_SHARED_OPTIONS - (size_t)!options->check; i++)
			state->child_inputs[i] = options;
		return 0;
	case OPT_FAIL_ON:
		parse_fail_on(arg, options, state);
		return 0;
	case OPT_MIN_CONFIDENCE:
		parse_confidence(arg, options, state);
		return 0;
	case OPT_FAIL_ON_SHORT:
		options->fail_on_short = true;
		return 0;
	case ARGP_KEY_ARG: /* the rest belongs to the program */
		options->command = state->argv + state->next - 1;
		options->follow = true;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_END:
		parse_end(options, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const char run_doc[] =
	"Start a program and watch it, and its children, from its first instruction."
	"\v"
	"The program has the terminal, standard input and signals as if started without leakbpf. "
	"It "
	"is ended with the watch (-d, Ctrl-C). What it did at its end is said on standard error.\n"
	"\n"
	"Examples:\n"
	"  leakbpf run -- ./server --port 80\n"
	"  leakbpf run -i 1 -d 60 -f json -o leaks.json -- ./server\n"
	"  leakbpf run --all-sites -- ./short       all that is outstanding at its end\n"
	"\n"
	"Exit status: 0 done, whatever the program's was; 2 wrong usage, 3 could not run.\n";

static const char check_doc[] =
	"Watch processes, or a program that is started, and fail when something leaks."
	"\v"
	"A verdict needs 10 polls, one a second unless -i says otherwise. After fewer there is a "
	"warning, and no failure without --fail-on-short.\n"
	"\n"
	"Examples:\n"
	"  leakbpf check -d 60 -p 1234\n"
	"  leakbpf check -i 0.5 --suppress leaks.supp -- ./tests\n"
	"  leakbpf check --baseline before.json --fail-on growing -- ./tests\n"
	"\n"
	"Exit status: 0 nothing leaks, 1 something does, 2 wrong usage, 3 could not run.\n";

static int start(int argc, char **argv, const struct argp *argp, struct options *options)
{
	/* what follows the program's name is its own */
	int status = argp_parse(argp, argc, argv, ARGP_IN_ORDER, NULL, options)
			     ? (int)EXIT_USAGE
			     : watch_run(options);

	options_done(options);
	return status;
}

int cmd_run(int argc, char **argv)
{
	const struct argp argp = {
		.parser = parse_command,
		.args_doc = "-- CMD [ARG...]",
		.doc = run_doc,
		.children = shared_options + 1, /* the first says which processes */
	};
	struct options options;

	options_init(&options);
	return start(argc, argv, &argp, &options);
}

int cmd_check(int argc, char **argv)
{
	const struct argp argp = {
		.options = check_options,
		.parser = parse_command,
		.args_doc = "[-- CMD [ARG...]]",
		.doc = check_doc,
		.children = shared_options,
	};
	struct options options;

	options_init(&options);
	options.check = true;
	options.fail_on = VERDICT_LEAKING;
	options.interval_s = CHECK_INTERVAL_S;
	return start(argc, argv, &argp, &options);
}
