/* SPDX-License-Identifier: GPL-2.0-only */
/* leakbpf report: judges a recording as the watch that made it would have. */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/options.h"
#include "cmd/output.h"
#include "cmd/replay.h"
#include "cmd/screen.h"
#include "trend/trend.h"

#define FINAL_FINDINGS 1000 /* in a report without --all-sites, as in a watch */
#define NS_PER_MS      1e6

enum { OPT_AT = 0x400 };

struct report_command {
	struct options options;
	const char *path;
	struct point at;
};

/* What is made of a recording. */
struct judged {
	struct trend *trend;
	struct finding *findings;
	size_t nr_findings;
	size_t nr_suppressed[VERDICT_LEAKING + 1];
};

static int judge_polls(struct replay *replay, struct trend *trend, struct error *error)
{
	int code;

	while ((code = replay_next(replay, error)) == 1) {
		code = trend_push(trend, replay->poll.snapshot);
		if (code)
			return error_set(error, code, "cannot judge '%s': %s", replay->path,
					 strerror(-code));
	}
	return code ? code : replay_end(replay, error);
}

static void judged_done(struct judged *judged)
{
	trend_free(judged->trend);
	free(judged->findings);
}

DEFINE_CLEANUP(judged, struct judged, judged_done(value))
DEFINE_CLEANUP(replay, struct replay, replay_done(value))

static int judge(struct replay *replay, size_t max, struct judged *judged, struct error *error)
{
	const struct record_header *header = record_header(replay->reader);
	const struct trend_options options = {
		.min_objects = header->min_objects,
		.interval_ns = header->interval_ns,
		.horizon_ns = header->horizon_ns,
		.min_bytes_per_day = header->min_bytes_per_day,
	};
	int code;

	judged->trend = trend_new(&options);
	if (!judged->trend)
		return error_set(error, -ENOMEM, "out of memory");
	code = judge_polls(replay, judged->trend, error);
	if (code)
		return code;
	if (trend_judge(judged->trend, max, &judged->findings, &judged->nr_findings))
		return error_set(error, -ENOMEM, "out of memory");
	for (size_t i = 0; i < judged->nr_findings; i++)
		judged->findings[i].stack =
			record_stack(replay->reader, &judged->findings[i].site.key);
	return 0;
}

static struct unwind_cost unwind_cost(const struct record_poll *poll)
{
	return (struct unwind_cost){
		.nr_tables = poll->nr_tables,
		.nr_rows = poll->nr_rows,
		.bytes = poll->table_bytes,
		.parse_ms = (double)poll->parse_ns / NS_PER_MS,
	};
}

static struct report report_of(const struct replay *replay, const struct judged *judged)
{
	const struct record_poll *poll = &replay->poll;
	struct report report = {
		.duration_s = replay_seconds(replay),
		.wall_s = (time_t)(replay_time_ns(replay) / NSEC_PER_SEC),
		.nr_polls = (unsigned int)record_state(replay->reader)->nr_polls,
		.judged = trend_can_judge(judged->trend),
		.polls_needed = TREND_MIN_POLLS,
		.targets = poll->targets,
		.nr_targets = poll->nr_targets,
		.findings = judged->findings,
		.nr_findings = judged->nr_findings,
		.nr_missed_children = poll->nr_missed_children,
		.nr_sites = poll->snapshot->nr_sites,
		.snapshot = poll->snapshot,
		.attach_mode = record_header(replay->reader)->attach_mode,
		.poll_ms = (double)poll->poll_ns / NS_PER_MS,
		.walk_ms = (double)poll->walk_ns / NS_PER_MS,
		.unwind = unwind_cost(poll),
	};

	for (size_t i = 0; i < report.nr_sites; i++) {
		report.live_count += poll->snapshot->sites[i].live_count;
		if (kind_has_bytes((enum lb_kind)poll->snapshot->sites[i].key.kind))
			report.live_bytes += poll->snapshot->sites[i].live_bytes;
	}
	report.outlook.growth = trend_growth_bytes_per_s(
		judged->trend, NULL, 0, &report.outlook.growth_low, &report.outlook.growth_high);
	trend_count(judged->trend, report.verdicts);
	for (size_t i = 0; i <= VERDICT_LEAKING; i++) {
		report.verdicts[i] -= judged->nr_suppressed[i];
		report.nr_suppressed += judged->nr_suppressed[i];
	}
	return report;
}

static int report_file(const struct report_command *command, struct error *error)
{
	const struct options *options = &command->options;
	bool all = options->all_sites || options->filter || report_is_profile(options->format);
	struct report_options look = screen_report_options(options);
	struct replay replay __cleanup_of(replay) = { 0 };
	struct judged judged __cleanup_of(judged) = { 0 };
	struct report report;
	int code = replay_open(command->path, &command->at, &replay, error);

	if (!code)
		code = judge(&replay, all ? SIZE_MAX : FINAL_FINDINGS, &judged, error);
	if (code)
		return code;
	if (options->filter)
		judged.nr_findings = findings_suppress(options->filter, judged.findings,
						       judged.nr_findings, judged.nr_suppressed);
	report = report_of(&replay, &judged);
	if (options->filter)
		report.nr_suppressors = filter_used(options->filter);
	return output_write(options->output, &report, &look, error);
}

static const struct argp_option report_options[] = {
	{ "at", OPT_AT, "POINT", 0,
	  "Judge as of then: seconds since the start (60), or a poll (poll12)", 0 },
	{ 0 },
};

static error_t parse_report(int key, char *arg, struct argp_state *state)
{
	struct report_command *command = state->input;
	struct error error = { 0 };

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &command->options;
		return 0;
	case OPT_AT:
		if (parse_point(arg, &command->at, &error))
			argp_error(state, "%s", error.text);
		return 0;
	case ARGP_KEY_ARG:
		if (command->path)
			argp_error(state, "one recording at a time: '%s' is too much", arg);
		command->path = arg;
		return 0;
	case ARGP_KEY_END:
		if (!command->path)
			argp_error(state, "say which recording to report on");
		if (!command->options.output && report_is_binary(command->options.format) &&
		    isatty(STDOUT_FILENO))
			argp_error(state, "this format is not for a terminal: give -o FILE");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const char report_doc[] =
	"Judge a recording, now or as of an earlier point."
	"\v"
	"Examples:\n"
	"  leakbpf report day.lbr\n"
	"  leakbpf report day.lbr --at 3600       as of the first hour\n"
	"  leakbpf report day.lbr -f json -o leaks.json\n"
	"\n"
	"Of a recording that is torn or damaged all before the damage is read, and one sentence "
	"says so.\n"
	"Exit status: 0 done, 2 wrong usage, 3 nothing could be read.\n";

int cmd_report(int argc, char **argv)
{
	const struct argp_child children[] = { { &output_argp, 0, "Report:", 1 }, { 0 } };
	const struct argp argp = {
		.options = report_options,
		.parser = parse_report,
		.args_doc = "FILE",
		.doc = report_doc,
		.children = children,
	};
	struct report_command command = { .at = POINT_END };
	struct error error = { 0 };
	int code;

	options_init(&command.options);
	if (argp_parse(&argp, argc, argv, 0, NULL, &command))
		return EXIT_USAGE;
	if (command.options.quiet)
		log_set_level(LOG_QUIET);
	code = report_file(&command, &error);
	options_done(&command.options);
	if (!code || code == -EPIPE)
		return EXIT_DONE;
	fprintf(stderr, "leakbpf: %s\n", error.text);
	return EXIT_FAILED;
}
