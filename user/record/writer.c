/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "record/format.h"

#define STACK_TRIES 3 /* a stack that is not to be had then never will be */

struct record_writer {
	int fd;
	uint64_t bytes, polls;
	struct site_table table;
	struct naming *naming;
	struct buf targets; /* as last told */
};

/* All of @out or nothing: what could not be written whole is taken back. */
static int write_out(struct record_writer *writer, const struct buf *out)
{
	size_t done = 0;

	if (out->error)
		return out->error;
	while (done < out->len) {
		ssize_t written = write(writer->fd, out->data + done, out->len - done);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0) {
			int error = written ? -errno : -EIO;

			if (done && ftruncate(writer->fd, (off_t)writer->bytes))
				return error;
			return error;
		}
		done += (size_t)written;
	}
	writer->bytes += out->len;
	return 0;
}

static int write_header(struct record_writer *writer, const struct record_header *header)
{
	struct buf out __cleanup_buf = { 0 }, payload __cleanup_buf = { 0 };
	int error;

	buf_puts(&out, RECORD_MAGIC);
	header_put(&payload, header);
	error = chunk_put(&out, CHUNK_HEADER, &payload);
	return error ? error : write_out(writer, &out);
}

DEFINE_CLEANUP(writer, struct record_writer *, record_writer_free(*value))

int record_create(int fd, const struct record_header *header, struct record_writer **ret_writer)
{
	struct record_writer *writer __cleanup_of(writer) = calloc(1, sizeof(*writer));
	int error;

	if (!writer) {
		close(fd);
		return -ENOMEM;
	}
	writer->fd = fd;
	writer->naming = naming_new();
	if (!writer->naming)
		return -ENOMEM;
	error = write_header(writer, header);
	if (!error)
		*ret_writer = take(writer);
	return error;
}

struct record_writer *record_writer_free(struct record_writer *writer)
{
	if (!writer)
		return NULL;
	close(writer->fd);
	site_table_done(&writer->table);
	naming_free(writer->naming);
	buf_done(&writer->targets);
	free(writer);
	return NULL;
}

bool record_wants_stack(const struct record_writer *writer, const struct lb_site_key *key)
{
	const struct site_state *state = site_table_find(&writer->table, key);

	if (!key->stack || (state && state->tries == STACK_TRIES))
		return false;
	return !naming_knows(writer->naming, key);
}

int record_add_stack(struct record_writer *writer, const struct lb_site_key *key,
		     const struct stack *stack)
{
	return naming_stack(writer->naming, key, stack);
}

/* Notes which stacks have been asked for, and need not be any more. */
static void count_tries(struct record_writer *writer)
{
	for (size_t i = 0; i < writer->table.nr_states; i++) {
		struct site_state *state = &writer->table.states[i];

		if (state->tries == STACK_TRIES)
			continue;
		state->tries++;
		if (naming_knows(writer->naming, &state->site.key))
			state->tries = STACK_TRIES;
	}
}

static int put_targets(struct record_writer *writer, const struct record_poll *poll,
		       struct buf *out)
{
	struct buf payload __cleanup_buf = { 0 };
	struct buf *last = &writer->targets;

	targets_put(&payload, poll->targets, poll->nr_targets);
	if (payload.error)
		return payload.error;
	if (last->len == payload.len && !memcmp(last->data, payload.data, payload.len))
		return 0;
	buf_reset(last);
	buf_add(last, payload.data, payload.len);
	return last->error ? last->error : chunk_put(out, CHUNK_TARGETS, &payload);
}

static void put_costs(struct buf *payload, const struct record_poll *poll)
{
	put_number(payload, poll->nr_missed_children);
	put_number(payload, poll->poll_ns);
	put_number(payload, poll->walk_ns);
	put_number(payload, poll->nr_tables);
	put_number(payload, poll->nr_rows);
	put_number(payload, poll->table_bytes);
	put_number(payload, poll->parse_ns);
}

int record_append(struct record_writer *writer, const struct record_poll *poll)
{
	struct buf out __cleanup_buf = { 0 }, payload __cleanup_buf = { 0 };
	int error = put_targets(writer, poll, &out);

	put_number(&payload, writer->polls);
	put_change(&payload, writer->table.numbers.time_ns, poll->snapshot->time_ns);
	put_costs(&payload, poll);
	if (!error)
		error = delta_put(&writer->table, writer->naming, poll->snapshot, &payload);
	if (!error)
		error = naming_flush(writer->naming, &out);
	if (!error)
		error = chunk_put(&out, CHUNK_POLL, &payload);
	if (!error)
		error = write_out(writer, &out);
	if (error)
		return error;
	count_tries(writer);
	writer->polls++;
	return 0;
}

int record_finish(struct record_writer *writer)
{
	struct buf out __cleanup_buf = { 0 }, payload __cleanup_buf = { 0 };
	int error = chunk_put(&out, CHUNK_END, &payload);

	return error ? error : write_out(writer, &out);
}

uint64_t record_bytes(const struct record_writer *writer)
{
	return writer->bytes;
}

uint64_t record_polls(const struct record_writer *writer)
{
	return writer->polls;
}
