/* SPDX-License-Identifier: GPL-2.0-only */
/* leakbpf goroutines: every goroutine of a Go process, read from outside. */
#include "cmd/goroutines.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/options.h"
#include "cmd/output.h"
#include "proc/proc.h"

#define MAX_FILTERS 32

enum { OPT_ALL = 0x100, OPT_WITH, OPT_WITHOUT, OPT_GROUP, OPT_SYSTEM };

struct goroutine_options {
	pid_t pid;
	bool all;    /* one by one */
	bool system; /* also those of the runtime itself */
	enum goroutine_axis group;
	enum report_format format;
	const char *output; /* NULL: standard output */
	size_t top;         /* 0: all */
	struct goroutine_filter filters[MAX_FILTERS];
	size_t nr_filters;
};

static const struct argp_option goroutine_options[] = {
	{ "pid", 'p', "PID", 0, "The Go process", 0 },
	{ "all", OPT_ALL, NULL, 0, "One by one instead of in groups", 0 },
	{ "with", OPT_WITH, "WHAT=TEXT", 0,
	  "Only those with TEXT in their state, func, file, created-by or label", 0 },
	{ "without", OPT_WITHOUT, "WHAT=TEXT", 0, "Only those without", 0 },
	{ "group", OPT_GROUP, "WHAT", 0,
	  "Group by stack (the default), state, func, file, created-by or label", 0 },
	{ "system", OPT_SYSTEM, NULL, 0, "Also those of the Go runtime itself", 0 },
	{ "format", 'f', "FORMAT", 0, "text, json, folded, pprof or svg", 0 },
	{ "output", 'o', "FILE", 0, "Write to FILE instead of standard output", 0 },
	{ "top", 'n', "N", 0, "Show at most N", 0 },
	{ 0 },
};

static const char goroutines_doc[] =
	"Show every goroutine of a running Go process: state, stack, creator and what it waits "
	"for; and the timers that wait, by what they call. "
	"The process is not stopped, and needs nothing built in; it may be stripped."
	"\v"
	"Examples:\n"
	"  leakbpf goroutines -p 1234                           grouped by stack\n"
	"  leakbpf goroutines -p 1234 --group state             how many do what\n"
	"  leakbpf goroutines -p 1234 --all --with state=chan   one by one\n"
	"  leakbpf goroutines -p 1234 --without func=net/http -f json\n"
	"  leakbpf goroutines -p 1234 -f pprof -o goroutine.pb.gz\n"
	"\n"
	"Exit status: 0 done, 2 wrong usage, 3 could not run.\n";

static int parse_pid(const char *text, pid_t *ret_pid, struct error *error)
{
	uint64_t number;
	int err = parse_number(text, 1, INT32_MAX, &number, error);

	if (!err)
		*ret_pid = (pid_t)number;
	return err;
}

static int add_filter(struct goroutine_options *options, const char *text, bool without,
		      struct error *error)
{
	if (options->nr_filters == MAX_FILTERS)
		return error_set(error, -EINVAL, "at most %d filters can be given", MAX_FILTERS);
	return goroutine_filter_parse(text, without, &options->filters[options->nr_filters++],
				      error);
}

static int parse_output_format(const char *text, enum report_format *ret_format,
			       struct error *error)
{
	enum report_format format;
	int err = parse_format(text, &format, error);

	if (err)
		return err;
	if (format == REPORT_HTML)
		return error_set(error, -EINVAL,
				 "goroutines can be shown as text, json, folded, pprof or svg");
	*ret_format = format;
	return 0;
}

/* The options with a value. -ENOENT: none of them. */
static int parse_value(int key, const char *arg, struct goroutine_options *options,
		       struct error *error)
{
	uint64_t top;
	int err;

	switch (key) {
	case 'p':
		return parse_pid(arg, &options->pid, error);
	case OPT_WITH:
	case OPT_WITHOUT:
		return add_filter(options, arg, key == OPT_WITHOUT, error);
	case OPT_GROUP:
		return axis_parse(arg, &options->group, error);
	case 'f':
		return parse_output_format(arg, &options->format, error);
	case 'o':
		options->output = arg;
		return 0;
	case 'n':
		err = parse_number(arg, 1, UINT32_MAX, &top, error);
		options->top = err ? 0 : top;
		return err;
	default:
		return -ENOENT;
	}
}

/* What can be said about the options only when all are known. */
static int check_options(const struct goroutine_options *options, struct error *error)
{
	bool is_profile = report_is_profile(options->format);

	if (is_profile && (options->all || options->group != AXIS_STACK))
		return error_set(error, -EINVAL,
				 "a profile has goroutines grouped by stack: --all and --group are "
				 "for text and json");
	if (report_is_binary(options->format) && !options->output && isatty(STDOUT_FILENO))
		return error_set(error, -EINVAL,
				 "that format is not for a terminal; give a file with -o");
	return 0;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct goroutine_options *options = state->input;
	struct error error = { 0 };
	int err;

	switch (key) {
	case OPT_ALL:
		options->all = true;
		return 0;
	case OPT_SYSTEM:
		options->system = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is not expected here; a process is given with -p", arg);
		return EINVAL;
	case ARGP_KEY_END:
		if (!options->pid)
			argp_error(state, "say of which process: -p PID");
		else if (check_options(options, &error))
			argp_error(state, "%s", error.text);
		return 0;
	default:
		err = parse_value(key, arg, options, &error);
		if (err == -ENOENT)
			return ARGP_ERR_UNKNOWN;
		if (err)
			argp_error(state, "%s", error.text);
		return -err;
	}
}

static const struct argp goroutines_argp = {
	.options = goroutine_options,
	.parser = parse_option,
	.doc = goroutines_doc,
};

static size_t choose(const struct goroutine_list *list, const struct goroutine_options *options,
		     const struct goroutine **chosen)
{
	size_t nr = 0;

	for (size_t i = 0; i < list->nr_goroutines; i++) {
		const struct goroutine *goroutine = &list->goroutines[i];

		if ((options->system || !goroutine_is_hidden(goroutine)) &&
		    goroutine_matches(goroutine, options->filters, options->nr_filters))
			chosen[nr++] = goroutine;
	}
	return nr;
}

static int compare_ids(const void *left, const void *right)
{
	const struct goroutine *a = *(const struct goroutine *const *)left;
	const struct goroutine *b = *(const struct goroutine *const *)right;

	return (a->id > b->id) - (a->id < b->id);
}

/* A view and the format it is to have. */
struct document {
	const struct goroutine_view *view;
	enum report_format format;
};

static int write_document(FILE *out, const void *what)
{
	const struct document *document = what;

	if (report_is_profile(document->format))
		return goroutines_print_profile(out, document->view, document->format);
	if (document->format == REPORT_JSON)
		goroutines_print_json(out, document->view);
	else
		goroutines_print_text(out, document->view);
	return fflush(out) != 0 || ferror(out) ? -errno : 0;
}

static int write_view(const struct goroutine_view *view, const struct goroutine_options *options,
		      struct error *error)
{
	const struct document document = { .view = view, .format = options->format };

	return output_write_by(options->output, write_document, &document, error);
}

static int show(struct goroutine_view *view, const struct goroutine_options *options,
		struct error *error)
{
	struct goroutine_group *groups = NULL;
	size_t nr = view->nr_chosen;
	int err = 0;

	if (options->all) {
		qsort(view->chosen, nr, sizeof(view->chosen[0]), compare_ids);
	} else {
		err = goroutines_group(view->chosen, view->nr_chosen, options->group, &groups,
				       &view->nr_groups);
		if (err)
			return error_set(error, err, "out of memory");
		view->groups = groups;
		nr = view->nr_groups;
	}
	view->nr_shown = options->top ? MIN(options->top, nr) : nr;
	if (view->timers)
		view->nr_timer_groups_shown = options->top
						      ? MIN(options->top, view->timers->nr_groups)
						      : view->timers->nr_groups;
	err = write_view(view, options, error);
	free(groups);
	return err;
}

DEFINE_CLEANUP(golang, struct golang *, golang_free(*value))
DEFINE_CLEANUP(target, struct target, target_done(value))
DEFINE_CLEANUP(chosen, const struct goroutine **, free(*value))
DEFINE_CLEANUP(timers, struct timer_list, timer_list_done(value))

/* Reads the timers as well, when the format shows them: what they call is named until the next scan
 * only. When they can not be read the goroutines are shown all the same. */
static void add_timers(struct goroutine_view *view, struct golang *golang,
		       enum report_format format, struct timer_list *timers, struct error *error)
{
	if (report_is_profile(format))
		return;
	if (golang_timers(golang, timers, error))
		view->timers_unknown = error->text;
	else
		view->timers = timers;
}

static int run(const struct goroutine_options *options, struct error *error)
{
	struct target target __cleanup_of(target) = { 0 };
	struct golang *golang __cleanup_of(golang) = NULL;
	const struct goroutine **chosen __cleanup_of(chosen) = NULL;
	struct timer_list timers __cleanup_of(timers) = { 0 };
	struct error no_timers = { 0 };
	struct goroutine_list list;
	struct goroutine_view view = { .target = &target, .list = &list };
	int err = target_open(options->pid, &target, error);

	if (!err)
		err = golang_open(&target, &golang, error);
	if (!err)
		err = golang_scan(golang, &list, error);
	if (err)
		return err;
	chosen = calloc(list.nr_goroutines + 1, sizeof(chosen[0]));
	if (!chosen)
		return error_set(error, -ENOMEM, "out of memory");
	view.go_version = golang_version(golang);
	golang_releases(golang, &view.first_minor, &view.last_minor);
	view.chosen = chosen;
	view.nr_chosen = choose(&list, options, chosen);
	add_timers(&view, golang, options->format, &timers, &no_timers);
	return show(&view, options, error);
}

int cmd_goroutines(int argc, char **argv)
{
	struct goroutine_options options = { .group = AXIS_STACK };
	struct error error = { 0 };
	int code;

	if (argp_parse(&goroutines_argp, argc, argv, 0, NULL, &options))
		return EXIT_USAGE;
	code = run(&options, &error);
	if (!code || code == -EPIPE)
		return EXIT_DONE;
	fprintf(stderr, "leakbpf: %s\n", error.text);
	return EXIT_FAILED;
}
