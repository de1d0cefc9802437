/* SPDX-License-Identifier: GPL-2.0-only */
/* leakbpf diff: what is outstanding at one moment and was not at another, stack by stack. */
#include <argp.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/options.h"
#include "cmd/output.h"
#include "cmd/replay.h"

enum { OPT_ALL_SITES = 0x400, OPT_PAIRS };

struct diff_command {
	const char *moments[2];
	size_t nr_moments;
	const char *output;
	struct difference_options look;
	bool quiet;
};

/* A difference and how it is to look. */
struct document {
	struct difference difference;
	const struct difference_options *options;
};

DEFINE_CLEANUP(replay, struct replay, replay_done(value))
DEFINE_CLEANUP(difference, struct record_difference, record_difference_done(value))

/* Reads FILE or FILE@POINT up to there. A file whose name has an @ is found first. */
static int read_moment(const char *text, struct replay *ret_replay, struct error *error)
{
	char *path __cleanup_string = strdup(text);
	char *at = path ? strrchr(path, '@') : NULL;
	struct point point = POINT_END;
	int code = 0;

	if (!path)
		return error_set(error, -ENOMEM, "out of memory");
	if (at && access(path, F_OK) != 0) {
		*at = '\0';
		code = parse_point(at + 1, &point, error);
	}
	if (!code)
		code = replay_open(path, &point, ret_replay, error);
	if (code)
		return code;
	while ((code = replay_next(ret_replay, error)) == 1)
		;
	return code ? code : replay_end(ret_replay, error);
}

static struct moment moment_of(const struct replay *replay)
{
	return (struct moment){
		.file = replay->path,
		.seconds = replay_seconds(replay),
		.poll = record_state(replay->reader)->nr_polls,
		.time_ns = replay_time_ns(replay),
	};
}

static int write_document(FILE *out, const void *what)
{
	const struct document *document = what;

	return difference_write(out, &document->difference, document->options);
}

static int write_difference(const struct diff_command *command, struct error *error)
{
	struct replay before __cleanup_of(replay) = { 0 };
	struct replay after __cleanup_of(replay) = { 0 };
	struct record_difference difference __cleanup_of(difference) = { 0 };
	struct document document = { .options = &command->look };
	int code = read_moment(command->moments[0], &before, error);

	if (!code)
		code = read_moment(command->moments[1], &after, error);
	if (code)
		return code;
	code = record_compare(before.reader, after.reader, &difference);
	if (code)
		return error_set(error, code, "out of memory");
	document.difference = (struct difference){
		.before = moment_of(&before),
		.after = moment_of(&after),
		.changes = difference.changes,
		.nr_changes = difference.nr_changes,
	};
	return output_write_by(command->output, write_document, &document, error);
}

static int parse_difference_format(const char *text, enum difference_format *ret_format,
				   struct error *error)
{
	static const char *const names[] = {
		[DIFFERENCE_TEXT] = "text",     [DIFFERENCE_JSON] = "json",
		[DIFFERENCE_FOLDED] = "folded", [DIFFERENCE_PPROF] = "pprof",
		[DIFFERENCE_SVG] = "svg",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(names[i], text) == 0) {
			*ret_format = (enum difference_format)i;
			return 0;
		}
	}
	return error_set(error, -EINVAL,
			 "'%s' is not a format of differences; the formats are text, json, folded, "
			 "pprof and svg",
			 text);
}

static const struct argp_option diff_options[] = {
	{ "format", 'f', "FORMAT", 0, "Format: text, json, folded (only what grew), pprof or svg",
	  0 },
	{ "folded-diff", OPT_PAIRS, NULL, 0,
	  "Folded stacks with two weights, before and after, as difffolded.pl makes them", 0 },
	{ "output", 'o', "FILE", 0, "Write to FILE instead of standard output", 0 },
	{ "all-sites", OPT_ALL_SITES, NULL, 0, "Also the stacks that did not change", 0 },
	{ "top", 'n', "N", 0, "At most N stacks", 0 },
	{ "quiet", 'q', NULL, 0, "Nothing but the difference", 0 },
	{ 0 },
};

static int set_option(struct diff_command *command, int key, const char *arg, struct error *error)
{
	uint64_t top;
	int code;

	switch (key) {
	case 'f':
		return parse_difference_format(arg, &command->look.format, error);
	case 'n':
		code = parse_number(arg, 1, UINT32_MAX, &top, error);
		if (!code)
			command->look.top = top;
		return code;
	case 'o':
		command->output = arg;
		return 0;
	case 'q':
		command->quiet = true;
		return 0;
	case OPT_ALL_SITES:
		command->look.all_sites = true;
		return 0;
	case OPT_PAIRS:
		command->look.format = DIFFERENCE_PAIRS;
		return 0;
	default:
		return -ENOENT;
	}
}

static error_t parse_diff(int key, char *arg, struct argp_state *state)
{
	struct diff_command *command = state->input;
	struct error error = { 0 };
	int code;

	switch (key) {
	case ARGP_KEY_ARG:
		if (command->nr_moments == 2)
			argp_error(state, "two moments are compared: '%s' is too much", arg);
		command->moments[command->nr_moments++] = arg;
		return 0;
	case ARGP_KEY_END:
		if (command->nr_moments < 2)
			argp_error(state, "say what to compare: two of FILE or FILE@SECONDS");
		if (!command->output && command->look.format == DIFFERENCE_PPROF &&
		    isatty(STDOUT_FILENO))
			argp_error(state, "this format is not for a terminal: give -o FILE");
		return 0;
	default:
		code = set_option(command, key, arg, &error);
		if (code == -ENOENT)
			return ARGP_ERR_UNKNOWN;
		if (code)
			argp_error(state, "%s", error.text);
		return 0;
	}
}

static const char diff_doc[] =
	"Compare what is outstanding at two moments, stack by stack."
	"\v"
	"A moment is the end of a recording (FILE), or the last poll at a point of it: seconds "
	"since "
	"its start (FILE@60), or a poll (FILE@poll12). Stacks are the same when they lead through "
	"the same places of the same files, wherever those are mapped; in another build of a file "
	"the names of its functions count.\n"
	"\n"
	"Examples:\n"
	"  leakbpf diff day.lbr@3600 day.lbr@7200      what the second hour added\n"
	"  leakbpf diff old.lbr new.lbr -f svg -o diff.svg\n"
	"  leakbpf diff old.lbr new.lbr --folded-diff | flamegraph.pl > diff.svg\n"
	"\n"
	"Exit status: 0 done, 2 wrong usage, 3 nothing could be read.\n";

int cmd_diff(int argc, char **argv)
{
	const struct argp argp = {
		.options = diff_options,
		.parser = parse_diff,
		.args_doc = "BEFORE AFTER",
		.doc = diff_doc,
	};
	struct diff_command command = { .look = { .format = DIFFERENCE_TEXT } };
	struct error error = { 0 };
	int code;

	if (argp_parse(&argp, argc, argv, 0, NULL, &command))
		return EXIT_USAGE;
	if (command.quiet)
		log_set_level(LOG_QUIET);
	code = write_difference(&command, &error);
	if (!code || code == -EPIPE)
		return EXIT_DONE;
	fprintf(stderr, "leakbpf: %s\n", error.text);
	return EXIT_FAILED;
}
