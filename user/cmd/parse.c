/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/options.h"

#define MAX_SECONDS 31536000.0 /* a year */

static int add_pid(struct options *options, pid_t pid, struct error *error)
{
	void *items = options->pids;
	size_t i;

	for (i = 0; i < options->nr_pids; i++) {
		if (options->pids[i] == pid)
			return 0;
	}
	if (vec_reserve(&items, &options->capacity, options->nr_pids + 1, sizeof(pid_t)))
		return error_set(error, -ENOMEM, "out of memory");
	options->pids = items;
	options->pids[options->nr_pids++] = pid;
	return 0;
}

int parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *ret_number,
		 struct error *error)
{
	unsigned long long number;
	char *end;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno || end == text || *end || text[0] < '0' || text[0] > '9' || number < least ||
	    number > most)
		return error_set(error, -EINVAL, "'%s' is not a number from %ju to %ju", text,
				 (uintmax_t)least, (uintmax_t)most);
	*ret_number = number;
	return 0;
}

DEFINE_CLEANUP(text, char *, free(*value))

int parse_pids(const char *text, struct options *options, struct error *error)
{
	char *copy __cleanup_of(text) = strdup(text), *rest = copy, *item;

	if (!copy)
		return error_set(error, -ENOMEM, "out of memory");
	while ((item = strsep(&rest, ","))) {
		struct error ignored = { 0 };
		uint64_t pid = 0;

		if (parse_number(item, 1, INT_MAX, &pid, &ignored))
			return error_set(error, -EINVAL, "'%s' is not a PID", item);
		if (add_pid(options, (pid_t)pid, error))
			return -ENOMEM;
	}
	return 0;
}

int parse_kinds(const char *text, unsigned int *ret_kinds, struct error *error)
{
	char *copy __cleanup_of(text) = strdup(text), *rest = copy, *item;
	unsigned int kinds = 0;

	if (!copy)
		return error_set(error, -ENOMEM, "out of memory");
	while ((item = strsep(&rest, ","))) {
		enum lb_kind kind;

		if (kind_parse(item, &kind))
			return error_set(error, -EINVAL,
					 "'%s' is not a kind; the kinds are heap, mmap, goroutine, "
					 "thread, timer, newproc and gopark",
					 item);
		kinds |= 1U << kind;
	}
	*ret_kinds = kinds;
	return 0;
}

int parse_seconds(const char *text, double least, double *ret_seconds, struct error *error)
{
	double seconds;
	char *end;

	seconds = strtod(text, &end);
	if (end != text && end[0] == 's' && !end[1])
		end++;
	if (end == text || *end || !isfinite(seconds) || seconds < least || seconds > MAX_SECONDS)
		return error_set(error, -EINVAL, "'%s' is not a number of seconds (at least %g)",
				 text, least);
	*ret_seconds = seconds;
	return 0;
}

/* The index of @text in @names; -EINVAL: not one of them. */
static int parse_name(const char *text, const char *const *names, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		if (strcmp(names[i], text) == 0)
			return (int)i;
	}
	return -EINVAL;
}

/* "text, json and folded" */
static void join_names(struct buf *buf, const char *const *names, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		buf_printf(buf, "%s%s", i == 0 ? "" : i + 1 < nr ? ", " : " and ", names[i]);
}

int parse_format(const char *text, enum report_format *ret_format, struct error *error)
{
	static const char *const names[] = {
		[REPORT_TEXT] = "text",   [REPORT_JSON] = "json", [REPORT_FOLDED] = "folded",
		[REPORT_PPROF] = "pprof", [REPORT_SVG] = "svg",   [REPORT_HTML] = "html",
	};
	struct buf known __cleanup_buf = { 0 };
	int found = parse_name(text, names, ARRAY_SIZE(names));

	if (found < 0) {
		join_names(&known, names, ARRAY_SIZE(names));
		return error_set(error, found, "'%s' is not a format; the formats are %s", text,
				 known.data ? known.data : "?");
	}
	*ret_format = (enum report_format)found;
	return 0;
}

int parse_attach(const char *text, enum attach_mode *ret_mode, struct error *error)
{
	static const char *const names[] = {
		[ATTACH_AUTO] = "auto",
		[ATTACH_SESSION] = "session",
		[ATTACH_MULTI] = "multi",
		[ATTACH_PERF] = "perf",
	};
	int found = parse_name(text, names, ARRAY_SIZE(names));

	if (found < 0)
		return error_set(
			error, found,
			"'%s' is no way to attach; there are auto, session, multi and perf", text);
	*ret_mode = (enum attach_mode)found;
	return 0;
}

int parse_unwind(const char *text, bool *ret_frame_pointers_only, struct error *error)
{
	static const char *const names[] = { "tables", "fp" };
	int found = parse_name(text, names, ARRAY_SIZE(names));

	if (found < 0)
		return error_set(error, found,
				 "'%s' is no way to find callers; there are tables and fp", text);
	*ret_frame_pointers_only = found == 1;
	return 0;
}
