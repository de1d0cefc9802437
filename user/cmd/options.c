/* SPDX-License-Identifier: GPL-2.0-only */
#include "cmd/options.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/cmd.h"

#define DEFAULT_INTERVAL_S  5
#define MIN_INTERVAL_S      0.1
#define DEFAULT_MIN_OBJECTS 5
#define MIN_HORIZON_S       60

/* Long options without a short one. */
enum {
	OPT_FOLLOW = 0x100,
	OPT_ALL_SITES,
	OPT_ATTACH,
	OPT_MAX_LIVE,
	OPT_MIN_OBJECTS,
	OPT_HORIZON,
	OPT_UNWIND,
	OPT_RECORD,
	OPT_FORCE,
	OPT_NO_CONFIRM,
	OPT_SUPPRESS,
	OPT_BASELINE,
};

static const struct argp_option which_options[] = {
	{ "pid", 'p', "PID[,PID...]", 0, "Watch these processes", 0 },
	{ "follow", OPT_FOLLOW, NULL, 0, "Watch the children they make from now on, too", 0 },
	{ 0 },
};

static const struct argp_option what_options[] = {
	{ "duration", 'd', "SEC", 0, "Stop after SEC seconds (default: at Ctrl-C)", 0 },
	{ "interval", 'i', "SEC", 0, "Seconds from poll to poll (default 5)", 0 },
	{ "kinds", 'k', "KIND[,KIND...]", 0,
	  "What to watch: heap, mmap, goroutine, thread, timer (the default); newproc and gopark "
	  "also, which slow Go programs down",
	  0 },
	{ "min-objects", OPT_MIN_OBJECTS, "N", 0,
	  "A site with fewer live objects is never suspected (default 5)", 0 },
	{ "horizon", OPT_HORIZON, "SEC", 0,
	  "Judge by the last SEC seconds of a long watch (default 14400)", 0 },
	{ "no-confirm", OPT_NO_CONFIRM, NULL, 0,
	  "Do not read the memory of the processes to see whether a pointer to a growing site's "
	  "blocks is left",
	  0 },
	{ "record", OPT_RECORD, "FILE", 0, "Keep all snapshots in FILE, for 'leakbpf report'", 0 },
	{ "force", OPT_FORCE, NULL, 0, "Overwrite the FILE of a recording", 0 },
	{ 0 },
};

static const struct argp_option output_options[] = {
	{ "format", 'f', "FORMAT", 0,
	  "Format of the report: text, json, folded, pprof, svg or html", 0 },
	{ "output", 'o', "FILE", 0, "Write the report to FILE instead of standard output", 0 },
	{ "all-sites", OPT_ALL_SITES, NULL, 0, "Report also the sites that do not grow", 0 },
	{ "top", 'n', "N", 0, "Report at most N sites", 0 },
	{ "suppress", OPT_SUPPRESS, "FILE", 0,
	  "Do not report what the rules in FILE match (may be given again)", 0 },
	{ "baseline", OPT_BASELINE, "FILE", 0,
	  "Do not report the stacks that are in FILE, a JSON report or a recording", 0 },
	{ "quiet", 'q', NULL, 0, "Nothing but the report", 0 },
	{ "verbose", 'v', NULL, 0, "All counters, and what goes on (-vv: more)", 0 },
	{ 0 },
};

static const struct argp_option probe_options[] = {
	{ "attach", OPT_ATTACH, "HOW", 0,
	  "Force a way to attach: session, multi or perf (default auto: the best that works)", 0 },
	{ "unwind", OPT_UNWIND, "HOW", 0,
	  "How to find the callers: tables (exact; the default) or fp (frame pointers)", 0 },
	{ "max-live", OPT_MAX_LIVE, "N", 0,
	  "Follow at most N outstanding objects, sampling beyond (default 1048576)", 0 },
	{ 0 },
};

/* Ends the program with the sentence unless the value was good. */
static error_t parsed(const struct argp_state *state, int result, const struct error *error)
{
	if (result == 0)
		return 0;
	argp_error(state, "%s", error->text);
	return -result;
}

static error_t parse_which(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	struct error error = { 0 };

	switch (key) {
	case 'p':
		return parsed(state, parse_pids(arg, options, &error), &error);
	case OPT_FOLLOW:
		options->follow = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_what(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	struct error error = { 0 };

	switch (key) {
	case 'd':
		return parsed(state,
			      parse_seconds(arg, MIN_INTERVAL_S, &options->duration_s, &error),
			      &error);
	case 'i':
		return parsed(state,
			      parse_seconds(arg, MIN_INTERVAL_S, &options->interval_s, &error),
			      &error);
	case 'k':
		return parsed(state, parse_kinds(arg, &options->kinds, &error), &error);
	case OPT_NO_CONFIRM:
		options->no_confirm = true;
		return 0;
	case OPT_RECORD:
		options->record = arg;
		return 0;
	case OPT_FORCE:
		options->force = true;
		return 0;
	case OPT_HORIZON:
		return parsed(state, parse_seconds(arg, MIN_HORIZON_S, &options->horizon_s, &error),
			      &error);
	case OPT_MIN_OBJECTS:
		return parsed(state,
			      parse_number(arg, 1, UINT32_MAX, &options->min_objects, &error),
			      &error);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_output(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	struct error error = { 0 };
	uint64_t top;

	switch (key) {
	case 'f':
		return parsed(state, parse_format(arg, &options->format, &error), &error);
	case 'o':
		options->output = arg;
		return 0;
	case OPT_ALL_SITES:
		options->all_sites = true;
		return 0;
	case 'n':
		if (parse_number(arg, 1, UINT32_MAX, &top, &error))
			return parsed(state, -EINVAL, &error);
		options->top = top;
		return 0;
	case OPT_SUPPRESS:
		return parsed(state, options_suppress(options, arg, &error), &error);
	case OPT_BASELINE:
		return parsed(state, options_baseline(options, arg, &error), &error);
	case 'q':
		options->quiet = true;
		return 0;
	case 'v':
		options->verbose++;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_probe(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	struct error error = { 0 };
	uint64_t number;

	switch (key) {
	case OPT_ATTACH:
		return parsed(state, parse_attach(arg, &options->attach, &error), &error);
	case OPT_UNWIND:
		return parsed(state, parse_unwind(arg, &options->frame_pointers_only, &error),
			      &error);
	case OPT_MAX_LIVE:
		if (parse_number(arg, 1024, 1U << 30, &number, &error))
			return parsed(state, -EINVAL, &error);
		options->max_live = (uint32_t)number;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp which_argp = { .options = which_options, .parser = parse_which };
static const struct argp what_argp = { .options = what_options, .parser = parse_what };
const struct argp output_argp = { .options = output_options, .parser = parse_output };
static const struct argp probe_argp = { .options = probe_options, .parser = parse_probe };

const struct argp_child shared_options[] = {
	{ &which_argp, 0, "Which processes:", 1 },
	{ &what_argp, 0, "What and how long:", 2 },
	{ &output_argp, 0, "Report:", 3 },
	{ &probe_argp, 0, "Probes:", 4 },
	{ 0 },
};

static error_t parse_watch(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	size_t i;

	switch (key) {
	case ARGP_KEY_INIT:
		for (i = 0; i + 1 < ARRAY_SIZE(shared_options); i++)
			state->child_inputs[i] = options;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is not expected here; a process is given with -p", arg);
		return EINVAL;
	case ARGP_KEY_END:
		if (options->nr_pids == 0)
			argp_error(state, "say which process to watch: -p PID");
		else if (!options->output && report_is_binary(options->format) &&
			 isatty(STDOUT_FILENO))
			argp_error(state, "this format is not for a terminal: give -o FILE");
		else
			return 0;
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const char watch_doc[] =
	"Tell what keeps growing in running processes, and which line of code makes it grow."
	"\v"
	"The history of each stack that allocates decides: leaking, growing, suspect or stable. "
	"A verdict needs 10 polls.\n"
	"\n"
	"Examples:\n"
	"  leakbpf -p 1234                      watch until Ctrl-C, then report\n"
	"  leakbpf -p 1234 -d 60                for a minute\n"
	"  leakbpf -p 1234 -d 60 -f json -o leaks.json\n"
	"  leakbpf -p 12,34 --follow -i 1       two processes and their children\n"
	"  leakbpf -p 1234 -d 60 -f folded | flamegraph.pl > heap.svg\n"
	"  leakbpf -p 1234 -d 60 -f pprof -o heap.pb.gz    for 'go tool pprof'\n"
	"  leakbpf -p 1234 -d 60 -f html -o leaks.html\n"
	"\n"
	"Exit status: 0 done, 2 wrong usage, 3 could not run.\n"
	"SIGUSR1 asks for a report at once.\n";

static const struct argp watch_argp = {
	.parser = parse_watch,
	.doc = watch_doc,
	.children = shared_options,
	.help_filter = cmd_help_filter,
};

void options_init(struct options *options)
{
	*options = (struct options){
		.interval_s = DEFAULT_INTERVAL_S,
		.kinds = OPTIONS_DEFAULT_KINDS,
		.min_objects = DEFAULT_MIN_OBJECTS,
	};
}

void options_done(struct options *options)
{
	options->filter = filter_free(options->filter);
	free(options->pids);
	options->pids = NULL;
	options->nr_pids = options->capacity = 0;
}

int options_parse(int argc, char **argv, unsigned int flags, struct options *ret_options)
{
	struct options options;
	error_t error;

	options_init(&options);
	error = argp_parse(&watch_argp, argc, argv, flags, NULL, &options);
	if (error)
		options_done(&options);
	else
		*ret_options = options;
	return error;
}
