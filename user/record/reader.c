/* SPDX-License-Identifier: GPL-2.0-only */
/* A recording read back. Whatever it says is checked; after the first fault nothing is believed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "record/format.h"
#include "record/reader.h"

#define REST_BYTES (1U << 16) /* read at a time of what can not be used */

static void clear_snapshot(struct record_reader *reader)
{
	free(reader->snapshot.sites);
	reader->snapshot = (struct snapshot){ 0 };
}

struct record_reader *record_reader_free(struct record_reader *reader)
{
	if (!reader)
		return NULL;
	clear_snapshot(reader);
	chunk_stream_done(&reader->stream);
	site_table_done(&reader->table);
	targets_free(reader->targets, reader->nr_targets);
	targets_free(reader->next_targets, reader->nr_next_targets);
	names_free(reader->names);
	free(reader);
	return NULL;
}

DEFINE_CLEANUP(reader, struct record_reader *, record_reader_free(*value))

/* The file begins as a recording does; the last character but one is the version of the format. */
static int read_magic(struct chunk_stream *stream)
{
	static const size_t version = sizeof(RECORD_MAGIC) - 3;
	char magic[sizeof(RECORD_MAGIC) - 1];
	size_t got = fread(magic, 1, sizeof(magic), stream->in);

	if (got < sizeof(magic) && ferror(stream->in))
		return -(errno ? errno : EIO);
	stream->offset = got;
	if (got < sizeof(magic) || memcmp(magic, RECORD_MAGIC, version) != 0)
		return -ENOEXEC;
	return memcmp(magic, RECORD_MAGIC, sizeof(magic)) ? -EPROTONOSUPPORT : 0;
}

static struct cursor cursor_of(const struct chunk *chunk)
{
	return (struct cursor){ .at = chunk->payload, .end = chunk->payload + chunk->len };
}

static int read_header(struct record_reader *reader)
{
	struct chunk chunk;
	struct cursor cursor;
	int error = read_magic(&reader->stream);

	if (error)
		return error;
	error = chunk_get(&reader->stream, &chunk);
	if (error == 0 || error == -ENODATA || (error > 0 && chunk.type != CHUNK_HEADER))
		return -EBADMSG;
	if (error < 0)
		return error;
	cursor = cursor_of(&chunk);
	return header_get(&cursor, &reader->header);
}

int record_open(FILE *in, struct record_reader **ret_reader)
{
	struct record_reader *reader __cleanup_of(reader) = calloc(1, sizeof(*reader));
	int error;

	if (!reader)
		return -ENOMEM;
	reader->stream.in = in;
	reader->until_ns = reader->max_polls = UINT64_MAX;
	reader->names = names_new();
	if (!reader->names)
		return -ENOMEM;
	error = read_header(reader);
	reader->first_offset = reader->stream.offset;
	if (!error)
		*ret_reader = take(reader);
	return error;
}

const struct record_header *record_header(const struct record_reader *reader)
{
	return &reader->header;
}

const struct record_state *record_state(const struct record_reader *reader)
{
	return &reader->state;
}

void record_limit(struct record_reader *reader, uint64_t until_ns, uint64_t max_polls)
{
	reader->until_ns = until_ns;
	reader->max_polls = max_polls;
}

const struct stack *record_stack(const struct record_reader *reader, const struct lb_site_key *key)
{
	return names_stack(reader->names, key->tgid, key->stack);
}

static int take_targets(struct record_reader *reader, const struct chunk *chunk)
{
	struct cursor cursor = cursor_of(chunk);
	struct target *targets;
	size_t nr;
	int error = targets_get(&cursor, &targets, &nr);

	if (error)
		return error;
	targets_free(reader->next_targets, reader->nr_next_targets);
	reader->next_targets = targets;
	reader->nr_next_targets = nr;
	return 0;
}

/* The targets told last belong to the poll that was read now. */
static void accept_targets(struct record_reader *reader)
{
	if (!reader->next_targets)
		return;
	targets_free(reader->targets, reader->nr_targets);
	reader->targets = take(reader->next_targets);
	reader->nr_targets = reader->nr_next_targets;
	reader->nr_next_targets = 0;
}

static int take_names(struct record_reader *reader, const struct chunk *chunk)
{
	struct cursor cursor = cursor_of(chunk);

	return names_read(reader->names, &cursor);
}

/* How many polls follow @offset, by the size of those that were read; at least one. */
static uint64_t guess_lost(struct record_reader *reader, uint64_t offset)
{
	char *rest = malloc(REST_BYTES);
	uint64_t read_bytes = offset - reader->first_offset, mean;
	size_t got;

	while (rest && (got = fread(rest, 1, REST_BYTES, reader->stream.in)) > 0)
		reader->stream.offset += got;
	free(rest);
	if (reader->state.nr_polls == 0)
		return 1;
	mean = MAX(read_bytes / reader->state.nr_polls, 1);
	return MAX((reader->stream.offset - offset) / mean, 1);
}

/* No more polls. Returns what record_next() does then. */
static int end_reading(struct record_reader *reader, enum record_end end, uint64_t offset)
{
	reader->state.end = end;
	reader->state.offset = offset;
	if (end == RECORD_DAMAGED)
		reader->state.nr_lost = guess_lost(reader, offset);
	else if (end == RECORD_TORN)
		reader->state.nr_lost = 1; /* what a poll needs is written at once */
	return 0;
}

static void get_costs(struct cursor *cursor, struct record_poll *ret_poll)
{
	ret_poll->nr_missed_children = get_number(cursor);
	ret_poll->poll_ns = get_number(cursor);
	ret_poll->walk_ns = get_number(cursor);
	ret_poll->nr_tables = get_number(cursor);
	ret_poll->nr_rows = get_number(cursor);
	ret_poll->table_bytes = get_number(cursor);
	ret_poll->parse_ns = get_number(cursor);
}

/* A site as the snapshot had it: what it did not tell is not known. */
static struct site_count site_of(const struct record_reader *reader, const struct site_state *state)
{
	const struct site_table *table = &reader->table;
	struct site_count site = state->site;

	site.state = names_numbered(reader->names, state->state);
	site.proof = names_numbered(reader->names, state->proof);
	if (!(table->aged >> site.key.kind & 1))
		site.oldest_ns = 0;
	if (table->counted >> site.key.kind & 1 && state->has_cohorts)
		site.cohorts = state->cohorts;
	return site;
}

static int make_snapshot(struct record_reader *reader)
{
	const struct site_table *table = &reader->table;
	struct site_count *sites = calloc(table->nr_states + 1, sizeof(*sites));

	if (!sites)
		return -ENOMEM;
	clear_snapshot(reader);
	reader->snapshot = table->numbers;
	reader->snapshot.sites = sites;
	reader->snapshot.nr_sites = table->nr_states;
	for (size_t i = 0; i < table->nr_states; i++)
		sites[i] = site_of(reader, &table->states[i]);
	return 0;
}

/* Is the time after that of the poll before, and within reason? */
static bool is_next_time(const struct record_reader *reader, uint64_t time_ns)
{
	uint64_t before_ns =
		reader->state.nr_polls ? reader->table.numbers.time_ns : reader->header.start_ns;

	return time_ns >= before_ns && time_ns <= MAX_TIME_NS;
}

/* 1: a poll was taken, 0: it is beyond the limit, -EBADMSG or -ENOMEM. */
static int take_poll(struct record_reader *reader, const struct chunk *chunk,
		     struct record_poll *ret_poll)
{
	struct cursor cursor = cursor_of(chunk);
	struct record_poll poll = { .snapshot = &reader->snapshot };
	uint64_t number = get_number(&cursor), time_ns;
	int error;

	time_ns = get_changed(&cursor, reader->table.numbers.time_ns);
	get_costs(&cursor, &poll);
	if (cursor.fault || number != reader->state.nr_polls || !is_next_time(reader, time_ns))
		return -EBADMSG;
	if (time_ns > reader->until_ns)
		return 0;
	error = delta_get(&reader->table, names_nr_strings(reader->names), &cursor);
	reader->table.numbers.time_ns = time_ns;
	if (!error)
		error = make_snapshot(reader);
	if (error)
		return error;
	accept_targets(reader);
	poll.targets = reader->targets;
	poll.nr_targets = reader->nr_targets;
	*ret_poll = poll;
	reader->state.nr_polls++;
	return 1;
}

/* 1: a poll, 0: something else, or the end, -EBADMSG or another error. */
static int take_chunk(struct record_reader *reader, const struct chunk *chunk,
		      struct record_poll *ret_poll)
{
	int code;

	switch (chunk->type) {
	case CHUNK_TARGETS:
		return take_targets(reader, chunk);
	case CHUNK_NAMES:
		return take_names(reader, chunk);
	case CHUNK_POLL:
		code = take_poll(reader, chunk, ret_poll);
		return code ? code : end_reading(reader, RECORD_LIMIT, chunk->offset);
	case CHUNK_END:
		return end_reading(reader, RECORD_DONE, chunk->offset);
	default:
		return -EBADMSG;
	}
}

int record_next(struct record_reader *reader, struct record_poll *ret_poll)
{
	if (reader->state.nr_polls == reader->max_polls)
		return end_reading(reader, RECORD_LIMIT, reader->stream.offset);
	while (reader->state.end == RECORD_READING) {
		struct chunk chunk;
		int code = chunk_get(&reader->stream, &chunk);

		if (code == 0)
			return end_reading(reader, RECORD_OPEN, chunk.offset);
		if (code > 0)
			code = take_chunk(reader, &chunk, ret_poll);
		if (code == -ENODATA)
			return end_reading(reader, RECORD_TORN, chunk.offset);
		if (code == -EBADMSG)
			return end_reading(reader, RECORD_DAMAGED, chunk.offset);
		if (code)
			return code;
	}
	return 0;
}
