/* SPDX-License-Identifier: GPL-2.0-only */
/* leakbpf ps: processes worth watching, with what can be told of each from outside. */
#include <argp.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/goroutines.h"
#include "cmd/options.h"
#include "probe/probe.h"
#include "proc/proc.h"
#include "report/report.h"

#define MAX_STATUS    65536
#define MAX_FDS       1000000 /* counted at most */
#define BYTES_PER_K   1024
#define BYTES_PER_MIB (1024.0 * 1024.0)

/* What is shown of one process. */
struct process_row {
	struct target target; /* owned */
	char *path;           /* of a Go program's main package; NULL: unknown; owned */
	char *allocators;     /* names, separated by commas; NULL: none found; owned */
	uint64_t rss_bytes;
	long nr_threads;
	long nr_fds;        /* -1: unknown */
	long nr_goroutines; /* -1: not Go, or unknown */
};

struct process_rows {
	struct process_row *rows;
	size_t nr, capacity;
	size_t nr_unreadable;
	char *reason; /* why one could not be read; owned */
};

struct ps_options {
	enum report_format format;
	bool go_only;
};

static const struct argp_option ps_options[] = {
	{ "format", 'f', "FORMAT", 0, "text or json", 0 },
	{ "go", 'g', NULL, 0, "Only Go processes", 0 },
	{ 0 },
};

static const char ps_doc[] =
	"Show the processes that can be watched, those with the most memory first: what made "
	"them, their allocator, memory, threads, goroutines and open files."
	"\v"
	"Nothing is changed in any process, and no probe is placed.\n"
	"\n"
	"Exit status: 0 done, 2 wrong usage, 3 could not run.\n";

/* --- one process --- */

/* The number behind "@name:" in the text of /proc/PID/status; 0: not there. */
static uint64_t status_number(const char *text, const char *name)
{
	const char *line = strstr(text, name);

	return line ? strtoull(line + strlen(name), NULL, 10) : 0;
}

/* Memory and threads. -ENOENT: it has no memory, a kernel thread or a zombie. */
static int read_status(pid_t pid, struct process_row *row)
{
	char *text __cleanup_string = NULL;
	char path[64];
	size_t len;
	int err;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	err = io_read_file(path, MAX_STATUS, &text, &len);
	if (err)
		return err;
	if (!strstr(text, "\nVmRSS:"))
		return -ENOENT;
	row->rss_bytes = status_number(text, "\nVmRSS:") * BYTES_PER_K;
	row->nr_threads = (long)status_number(text, "\nThreads:");
	return 0;
}

/* How many descriptors are open; -1: no right to know. */
static long count_fds(pid_t pid)
{
	char path[64];
	DIR *folder;
	long nr = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	folder = opendir(path);
	if (!folder)
		return -1;
	for (struct dirent *entry; nr < MAX_FDS && (entry = readdir(folder));)
		nr += entry->d_name[0] != '.';
	closedir(folder);
	return nr;
}

DEFINE_CLEANUP(maps, struct maps, maps_done(value))
DEFINE_CLEANUP(plan, struct plan, plan_done(value))
DEFINE_CLEANUP(golang, struct golang *, golang_free(*value))

static void find_allocators(struct process_row *row, struct plan_cache *cache)
{
	struct maps maps __cleanup_of(maps) = { 0 };
	struct plan plan __cleanup_of(plan) = { 0 };
	struct buf names __cleanup_buf = { 0 };
	struct error error = { 0 };

	if (maps_read(row->target.pid, &maps) ||
	    plan_build(cache, row->target.pid, &maps, 1U << LB_KIND_HEAP, &plan, &error))
		return;
	for (size_t i = 0; i < plan.nr_allocators; i++)
		buf_printf(&names, "%s%s", i ? ", " : "", plan.allocators[i]);
	row->allocators = take(names.data);
}

static void find_goroutines(struct process_row *row)
{
	struct golang *golang __cleanup_of(golang) = NULL;
	struct error error = { 0 };
	struct image *image;
	char path[64];
	size_t nr;

	if (row->target.runtime != RUNTIME_GO)
		return;
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)row->target.pid);
	if (!image_open(path, &image)) {
		row->path = image_go_path(image);
		image_free(image);
	}
	if (golang_open(&row->target, &golang, &error) || golang_count(golang, &nr, &error))
		log_write(LOG_VERBOSE, "%s", error.text);
	else
		row->nr_goroutines = (long)nr;
}

static void row_done(struct process_row *row)
{
	target_done(&row->target);
	free(row->path);
	free(row->allocators);
	*row = (struct process_row){ 0 };
}

/* All that can be told of process @pid. -ENOENT: nothing to watch there, or it has ended. */
static int row_read(pid_t pid, struct plan_cache *cache, struct process_row *ret_row,
		    struct error *error)
{
	struct process_row row = { .nr_goroutines = -1 };

	if (read_status(pid, &row))
		return -ENOENT;
	if (target_open(pid, &row.target, error))
		return -EACCES;
	row.nr_fds = count_fds(pid);
	find_allocators(&row, cache);
	find_goroutines(&row);
	*ret_row = row;
	return 0;
}

/* --- all of them --- */

static int add_process(struct process_rows *rows, pid_t pid, struct plan_cache *cache)
{
	struct process_row row;
	struct error error = { 0 };
	void *items = rows->rows;
	int err = row_read(pid, cache, &row, &error);

	if (err == -EACCES) {
		rows->nr_unreadable++;
		if (!rows->reason)
			rows->reason = strdup(error.text);
	}
	if (err)
		return 0;
	err = vec_reserve(&items, &rows->capacity, rows->nr + 1, sizeof(row));
	rows->rows = items;
	if (err)
		row_done(&row);
	else
		rows->rows[rows->nr++] = row;
	return err;
}

static int compare_rows(const void *left, const void *right)
{
	const struct process_row *a = left, *b = right;

	if (a->rss_bytes != b->rss_bytes)
		return a->rss_bytes < b->rss_bytes ? 1 : -1;
	return (a->target.pid > b->target.pid) - (a->target.pid < b->target.pid);
}

DEFINE_CLEANUP(folder, DIR *, if (*value) closedir(*value))
DEFINE_CLEANUP(cache, struct plan_cache *, plan_cache_free(*value))

static int read_all(struct process_rows *rows, struct error *error)
{
	struct plan_cache *cache __cleanup_of(cache) = plan_cache_new();
	DIR *folder __cleanup_of(folder) = opendir("/proc");
	int err = cache ? 0 : -ENOMEM;

	if (!folder)
		return error_set(error, -errno, "cannot read /proc: %s", strerror(errno));
	for (struct dirent *entry; !err && (entry = readdir(folder));) {
		long pid = isdigit((unsigned char)entry->d_name[0])
				   ? strtol(entry->d_name, NULL, 10)
				   : 0;

		if (pid > 0 && pid != getpid())
			err = add_process(rows, (pid_t)pid, cache);
	}
	if (err)
		return error_set(error, err, "out of memory");
	if (rows->nr)
		qsort(rows->rows, rows->nr, sizeof(*rows->rows), compare_rows);
	return 0;
}

static void rows_done(struct process_rows *rows)
{
	for (size_t i = 0; i < rows->nr; i++)
		row_done(&rows->rows[i]);
	free(rows->rows);
	free(rows->reason);
}

/* --- text --- */

/* "1234", or "-" when it is not known. */
static void add_number(struct buf *text, int width, long number)
{
	if (number < 0)
		buf_printf(text, "%*s ", width, "-");
	else
		buf_printf(text, "%*ld ", width, number);
}

static void add_row(struct buf *text, const struct process_row *row)
{
	const struct target *target = &row->target;
	struct buf runtime __cleanup_buf = { 0 };

	text_clean(&runtime, target->go_version              ? target->go_version
			     : target->runtime == RUNTIME_GO ? "go"
							     : "native");
	buf_printf(text, "%8d %8.1f MiB ", (int)target->pid,
		   (double)row->rss_bytes / BYTES_PER_MIB);
	add_number(text, 7, row->nr_threads);
	add_number(text, 6, row->nr_fds);
	add_number(text, 10, row->nr_goroutines);
	buf_printf(text, " %-10s %-16s ", runtime.data ? runtime.data : "?",
		   row->allocators ? row->allocators : "-");
	text_clean(text, target->exe ? target->exe : target->comm);
	if (row->path) {
		buf_puts(text, " (");
		text_clean(text, row->path);
		buf_puts(text, ")");
	}
	buf_puts(text, "\n");
}

static void add_text(struct buf *text, const struct process_rows *rows,
		     const struct ps_options *options)
{
	buf_printf(text, "%8s %12s %7s %6s %10s  %-10s %-16s %s\n", "PID", "MEMORY", "THREADS",
		   "FILES", "GOROUTINES", "RUNTIME", "ALLOCATORS", "PROGRAM");
	for (size_t i = 0; i < rows->nr; i++)
		if (!options->go_only || rows->rows[i].target.runtime == RUNTIME_GO)
			add_row(text, &rows->rows[i]);
	if (rows->nr_unreadable)
		buf_printf(text, "%zu more can not be read, as here: %s\n", rows->nr_unreadable,
			   rows->reason ? rows->reason : "?");
}

/* --- JSON --- */

static void add_json_number(struct buf *text, const char *name, long number)
{
	if (number < 0)
		buf_printf(text, ",\"%s\":null", name);
	else
		buf_printf(text, ",\"%s\":%ld", name, number);
}

/* The names, which are those of the catalogue. */
static void add_json_allocators(struct buf *text, const char *names)
{
	buf_puts(text, ",\"allocators\":[");
	if (names)
		buf_puts(text, "\"");
	for (; names && *names; names++) {
		if (*names == ',')
			buf_puts(text, "\",\"");
		else if (*names != ' ')
			buf_add(text, names, 1);
	}
	buf_puts(text, names ? "\"]" : "]");
}

static void add_json_row(struct buf *text, const struct process_row *row)
{
	const struct target *target = &row->target;

	buf_printf(text, "{\"pid\":%d", (int)target->pid);
	json_add_string(text, "comm", target->comm);
	json_add_string(text, "exe", target->exe);
	json_add_string(text, "runtime", target->runtime == RUNTIME_GO ? "go" : "native");
	json_add_string(text, "go_version", target->go_version);
	json_add_string(text, "go_path", row->path);
	add_json_allocators(text, row->allocators);
	buf_printf(text, ",\"rss_bytes\":%" PRIu64, row->rss_bytes);
	add_json_number(text, "thread_count", row->nr_threads);
	add_json_number(text, "fd_count", row->nr_fds);
	add_json_number(text, "goroutine_count", row->nr_goroutines);
	buf_puts(text, "}");
}

static void add_json(struct buf *text, const struct process_rows *rows,
		     const struct ps_options *options)
{
	const char *separator = "";

	buf_puts(text, "{\"schema\":\"leakbpf/1\",\"processes\":[");
	for (size_t i = 0; i < rows->nr; i++) {
		if (options->go_only && rows->rows[i].target.runtime != RUNTIME_GO)
			continue;
		buf_puts(text, separator);
		add_json_row(text, &rows->rows[i]);
		separator = ",\n";
	}
	buf_printf(text, "],\"unreadable_count\":%zu}\n", rows->nr_unreadable);
}

/* --- the command --- */

DEFINE_CLEANUP(rows, struct process_rows, rows_done(value))

static int run(const struct ps_options *options, struct error *error)
{
	struct process_rows rows __cleanup_of(rows) = { 0 };
	struct buf text __cleanup_buf = { 0 };
	int err = read_all(&rows, error);

	if (err)
		return err;
	if (options->format == REPORT_JSON)
		add_json(&text, &rows, options);
	else
		add_text(&text, &rows, options);
	if (text.error)
		return error_set(error, text.error, "out of memory");
	if (fwrite(text.data, 1, text.len, stdout) != text.len || fflush(stdout) != 0)
		return error_set(error, -errno, "cannot write to standard output: %s",
				 strerror(errno));
	return 0;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct ps_options *options = state->input;
	struct error error = { 0 };

	switch (key) {
	case 'f':
		if (parse_format(arg, &options->format, &error))
			argp_error(state, "%s", error.text);
		else if (options->format != REPORT_TEXT && options->format != REPORT_JSON)
			argp_error(state, "processes can be shown as text or json");
		return 0;
	case 'g':
		options->go_only = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is not expected here", arg);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int cmd_ps(int argc, char **argv)
{
	static const struct argp argp = { .options = ps_options,
					  .parser = parse_option,
					  .doc = ps_doc };
	struct ps_options options = { .format = REPORT_TEXT };
	struct error error = { 0 };
	int code;

	if (argp_parse(&argp, argc, argv, 0, NULL, &options))
		return EXIT_USAGE;
	log_set_level(LOG_QUIET);
	code = run(&options, &error);
	if (!code || code == -EPIPE)
		return EXIT_DONE;
	fprintf(stderr, "leakbpf: %s\n", error.text);
	return EXIT_FAILED;
}
