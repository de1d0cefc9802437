/* SPDX-License-Identifier: GPL-2.0-only */
/* leakbpf record: a watch whose snapshots are kept, to be judged later. */
#include <argp.h>
#include <errno.h>

#include "cmd/cmd.h"
#include "cmd/options.h"

static error_t parse_record(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		for (size_t i = 0; i < NR_SHARED_OPTIONS; i++)
			state->child_inputs[i] = options;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is not expected here; a process is given with -p", arg);
		return EINVAL;
	case ARGP_KEY_END:
		if (options->nr_pids == 0)
			argp_error(state, "say which process to watch: -p PID");
		if (!options->output)
			argp_error(state, "say which file to record to: -o FILE");
		if (options->record)
			argp_error(state, "-o names the file here; --record is for a watch that "
					  "also reports");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const char record_doc[] =
	"Keep all snapshots of running processes in a file; 'leakbpf report' judges them."
	"\v"
	"Each poll is in the file when the next one begins, so that little is lost when the "
	"recording is killed. The names of functions are in the file, too: it can be reported "
	"elsewhere, and when the processes are gone. -o names the file.\n"
	"\n"
	"Examples:\n"
	"  leakbpf record -p 1234 -o day.lbr -i 60     until Ctrl-C\n"
	"  leakbpf report day.lbr\n"
	"  leakbpf diff day.lbr@3600 day.lbr@7200      what the second hour added\n"
	"\n"
	"Exit status: 0 done, 2 wrong usage, 3 could not run.\n";

int cmd_record(int argc, char **argv)
{
	const struct argp argp = {
		.parser = parse_record,
		.doc = record_doc,
		.children = shared_options,
	};
	struct options options;
	int status = EXIT_USAGE;

	options_init(&options);
	if (!argp_parse(&argp, argc, argv, 0, NULL, &options)) {
		options.record = options.output;
		options.output = NULL;
		options.record_only = true;
		status = watch_run(&options);
	}
	options_done(&options);
	return status;
}
