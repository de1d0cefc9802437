/* SPDX-License-Identifier: GPL-2.0-only */
#include "cmd/replay.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/options.h"

int parse_point(const char *text, struct point *ret_point, struct error *error)
{
	struct point point = POINT_END;
	struct error ignored = { 0 };
	int code = strncmp(text, "poll", 4) == 0
			   ? parse_number(text + 4, 1, UINT64_MAX, &point.poll, &ignored)
			   : parse_seconds(text, 0, &point.seconds, &ignored);

	if (code)
		return error_set(error, code,
				 "'%s' is no point of a recording: give seconds (60) or a poll "
				 "(poll12)",
				 text);
	*ret_point = point;
	return 0;
}

static int cannot_open(const char *path, int code, struct error *error)
{
	switch (code) {
	case -ENOEXEC:
		return error_set(error, code, "'%s' is no recording of leakbpf", path);
	case -EPROTONOSUPPORT:
		return error_set(error, code,
				 "'%s' was recorded by another version of leakbpf: this one can "
				 "not read it",
				 path);
	case -EBADMSG:
		return error_set(error, code,
				 "'%s' is damaged at its very beginning: nothing could be read",
				 path);
	default:
		return error_set(error, code, "cannot read '%s': %s", path, strerror(-code));
	}
}

static void set_limit(struct record_reader *reader, const struct point *point)
{
	uint64_t until_ns = UINT64_MAX;

	if (point->seconds >= 0)
		until_ns = record_header(reader)->start_ns +
			   (uint64_t)(point->seconds * (double)NSEC_PER_SEC);
	record_limit(reader, until_ns, point->poll ? point->poll : UINT64_MAX);
}

void replay_done(struct replay *replay)
{
	record_reader_free(replay->reader);
	base_close_file(&replay->in);
	free(replay->path);
	*replay = (struct replay){ 0 };
}

DEFINE_CLEANUP(replay, struct replay, replay_done(value))

int replay_open(const char *path, const struct point *point, struct replay *ret_replay,
		struct error *error)
{
	struct replay replay __cleanup_of(replay) = { .path = strdup(path) };
	int code;

	if (!replay.path)
		return error_set(error, -ENOMEM, "out of memory");
	replay.in = fopen(path, "re");
	if (!replay.in)
		return cannot_open(path, -errno, error);
	code = record_open(replay.in, &replay.reader);
	if (code)
		return cannot_open(path, code, error);
	set_limit(replay.reader, point);
	*ret_replay = replay;
	replay = (struct replay){ 0 };
	return 0;
}

int replay_next(struct replay *replay, struct error *error)
{
	int code = record_next(replay->reader, &replay->poll);

	return code < 0 ? cannot_open(replay->path, code, error) : code;
}

double replay_seconds(const struct replay *replay)
{
	uint64_t start_ns = record_header(replay->reader)->start_ns;

	return (double)(replay->poll.snapshot->time_ns - start_ns) / (double)NSEC_PER_SEC;
}

uint64_t replay_time_ns(const struct replay *replay)
{
	const struct record_header *header = record_header(replay->reader);

	return header->start_wall_ns + (replay->poll.snapshot->time_ns - header->start_ns);
}

/* Appends what of the recording could not be read, and why. */
static void describe_end(struct buf *text, const struct replay *replay)
{
	const struct record_state *state = record_state(replay->reader);

	buf_printf(text, "'%s' ", replay->path);
	if (state->end == RECORD_TORN)
		buf_printf(text, "ends in a torn record at byte %ju", (uintmax_t)state->offset);
	else if (state->end == RECORD_DAMAGED)
		buf_printf(text, "is damaged at byte %ju", (uintmax_t)state->offset);
	else
		buf_puts(text, "was not ended in order: it is still being recorded, or was killed");
	if (state->nr_lost)
		buf_printf(text, ": %ju of about %ju snapshots could be read",
			   (uintmax_t)state->nr_polls,
			   (uintmax_t)(state->nr_polls + state->nr_lost));
	else
		buf_printf(text, "; all its %ju snapshots could be read",
			   (uintmax_t)state->nr_polls);
}

int replay_end(const struct replay *replay, struct error *error)
{
	const struct record_state *state = record_state(replay->reader);
	struct buf text __cleanup_buf = { 0 };

	if (state->nr_polls == 0 && state->end == RECORD_LIMIT)
		return error_set(error, -ENODATA, "'%s' has no snapshot that early", replay->path);
	if (state->nr_polls == 0 && !state->nr_lost)
		return error_set(error, -ENODATA, "'%s' has no snapshot", replay->path);
	if (state->end == RECORD_DONE || state->end == RECORD_LIMIT)
		return 0;
	describe_end(&text, replay);
	if (text.error)
		return error_set(error, -ENOMEM, "out of memory");
	if (state->nr_polls == 0)
		return error_set(error, -ENODATA, "%s", text.data);
	if (log_get_level() != LOG_QUIET)
		fprintf(stderr, "leakbpf: %s\n", text.data);
	return 0;
}
