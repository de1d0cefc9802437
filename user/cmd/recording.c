/* SPDX-License-Identifier: GPL-2.0-only */
#include "cmd/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "cmd/session.h"
#include "record/record.h"

#define NS_PER_MS 1e6

struct recording {
	const char *path;
	int fd;       /* until the writer has it; -1: it has */
	bool created; /* there was no such file before */
	struct record_writer *writer;
};

static int cannot_record(struct error *error, int code, const char *path)
{
	if (code == -EEXIST)
		return error_set(error, code,
				 "'%s' exists; another name, or --force to overwrite it, would do",
				 path);
	if (code == -ELOOP)
		return error_set(
			error, code,
			"cannot record to '%s': it is a symbolic link, and those are not followed",
			path);
	return error_set(error, code, "cannot record to '%s': %s", path,
			 code == -EINVAL ? "it is no regular file" : strerror(-code));
}

/* A new file, or an old one, which is left as it is for now. */
static int open_file(const char *path, bool force, bool *ret_created)
{
	int flags = O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_APPEND | O_NONBLOCK;
	struct stat status;
	int fd = open(path, flags | O_CREAT | O_EXCL, 0644);

	*ret_created = fd >= 0;
	if (fd < 0 && errno == EEXIST && force)
		fd = open(path, flags);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) || !S_ISREG(status.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

int recording_open(struct session *session, struct error *error)
{
	const struct options *options = session->options;
	struct recording *recording;

	if (!options->record)
		return 0;
	recording = calloc(1, sizeof(*recording));
	if (!recording)
		return error_set(error, -ENOMEM, "out of memory");
	session->recording = recording;
	recording->path = options->record;
	recording->fd = open_file(options->record, options->force, &recording->created);
	return recording->fd < 0 ? cannot_record(error, recording->fd, options->record) : 0;
}

struct recording *recording_free(struct recording *recording)
{
	if (!recording)
		return NULL;
	if (recording->fd >= 0) {
		close(recording->fd);
		if (recording->created)
			unlink(recording->path);
	}
	record_writer_free(recording->writer);
	free(recording);
	return NULL;
}

static uint64_t wall_ns(void)
{
	struct timespec now = { 0 };

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

static void read_boot_id(char boot_id[37])
{
	char *text = NULL;
	size_t len;

	if (io_read_file("/proc/sys/kernel/random/boot_id", 64, &text, &len))
		return;
	snprintf(boot_id, 37, "%.36s", text);
	free(text);
}

static struct record_header header_of(const struct session *session)
{
	const struct trend_options *trend = &session->trend_options;
	uint64_t since_ns = clock_monotonic_ns() - session->start_ns;
	struct record_header header = {
		.program = "leakbpf " LEAKBPF_VERSION,
		.start_wall_ns = wall_ns() - since_ns,
		.start_ns = session->start_ns,
		.interval_ns = trend->interval_ns,
		.min_objects = trend->min_objects,
		.horizon_ns = trend->horizon_ns,
		.min_bytes_per_day = trend->min_bytes_per_day,
	};
	struct utsname name;

	if (uname(&name) == 0)
		snprintf(header.host, sizeof(header.host), "%s", name.nodename);
	read_boot_id(header.boot_id);
	snprintf(header.attach_mode, sizeof(header.attach_mode), "%s",
		 attach_mode_name(tracer_mode(session->tracer)));
	return header;
}

int recording_begin(struct session *session, struct error *error)
{
	struct recording *recording = session->recording;
	struct record_header header;
	int fd, code;

	if (!recording)
		return 0;
	header = header_of(session);
	fd = recording->fd;
	recording->fd = -1;
	code = ftruncate(fd, 0) ? -errno : record_create(fd, &header, &recording->writer);
	return code ? cannot_record(error, code, recording->path) : 0;
}

/* Names the stacks of the sites that are new. That may take a while, so the ledger is relieved. */
static int add_stacks(struct session *session, const struct snapshot *snapshot)
{
	struct record_writer *writer = session->recording->writer;

	for (size_t i = 0; i < snapshot->nr_sites; i++) {
		const struct lb_site_key *key = &snapshot->sites[i].key;
		const struct stack *stack;
		int code;

		if (!record_wants_stack(writer, key))
			continue;
		stack = session_stack(session, key);
		code = stack ? record_add_stack(writer, key, stack) : 0;
		if (code)
			return code;
		session_relieve(session);
	}
	return 0;
}

static struct record_poll poll_of(const struct session *session, const struct snapshot *snapshot)
{
	struct unwind_totals totals;

	tracer_unwind_totals(session->tracer, &totals);
	return (struct record_poll){
		.snapshot = snapshot,
		.targets = session->targets,
		.nr_targets = session->nr_targets,
		.nr_missed_children = session->nr_missed_children,
		.poll_ns = (uint64_t)(session->poll_ms * NS_PER_MS),
		.walk_ns = (uint64_t)(session->walk_ms * NS_PER_MS),
		.nr_tables = totals.nr_tables,
		.nr_rows = totals.nr_rows,
		.table_bytes = totals.row_bytes,
		.parse_ns = totals.parse_ns,
	};
}

/* A line for those who watch the recording grow. */
static void tell_poll(const struct session *session, const struct snapshot *snapshot)
{
	const struct record_writer *writer = session->recording->writer;

	if (!session->options->record_only || log_get_level() == LOG_QUIET ||
	    !isatty(STDERR_FILENO))
		return;
	fprintf(stderr,
		"\r\033[Kleakbpf: poll %ju at %.1f s: %zu sites, %ju objects of %ju bytes "
		"outstanding; %ju bytes recorded\n",
		(uintmax_t)record_polls(writer), session_seconds(session), snapshot->nr_sites,
		(uintmax_t)session->live_count, (uintmax_t)session->live_bytes,
		(uintmax_t)record_bytes(writer));
}

/* Who also reports goes on without the recording; recording_end() tells of it again. */
static int give_up(struct session *session, int code, struct error *error)
{
	struct recording *recording = session->recording;
	struct error lost = { 0 };

	if (session->options->record_only)
		return cannot_record(error, code, recording->path);
	cannot_record(&lost, code, recording->path);
	log_write(LOG_NORMAL, "%s; the watch goes on", lost.text);
	recording->writer = record_writer_free(recording->writer);
	return 0;
}

int recording_append(struct session *session, const struct snapshot *snapshot, struct error *error)
{
	struct record_poll poll;
	int code;

	if (!session->recording || !session->recording->writer)
		return 0;
	poll = poll_of(session, snapshot);
	code = add_stacks(session, snapshot);
	if (!code)
		code = record_append(session->recording->writer, &poll);
	if (code)
		return give_up(session, code, error);
	tell_poll(session, snapshot);
	return 0;
}

int recording_end(struct session *session, struct error *error)
{
	struct recording *recording = session->recording;
	int code;

	if (!recording)
		return 0;
	if (!recording->writer)
		return error_set(error, -EIO, "'%s' has not all of the watch", recording->path);
	code = record_finish(recording->writer);
	return code ? cannot_record(error, code, recording->path) : 0;
}

void recording_tell(const struct session *session)
{
	const struct recording *recording = session->recording;

	if (log_get_level() == LOG_QUIET)
		return;
	fprintf(stderr,
		"leakbpf: recorded %ju polls of %zu sites in '%s' (%ju bytes); to judge them: "
		"leakbpf report %s\n",
		(uintmax_t)record_polls(recording->writer), session->nr_sites, recording->path,
		(uintmax_t)record_bytes(recording->writer), recording->path);
}
