/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Recordings of any content: read to the end or refused, judged, and compared with themselves. An odd
 * first byte: a file as it is. An even one: payloads, each after its type and its length, that are
 * framed with right checksums, for otherwise hardly any would be looked at.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "record/format.h"
#include "trend/trend.h"

#define MAX_POLLS 64 /* more find nothing new */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void check_stack(const struct stack *stack)
{
	for (size_t i = 0; stack && i < stack->nr_frames; i++) {
		const struct frame *frame = &stack->frames[i];

		require(!frame->function || strlen(frame->function) <= MAX_STRING_BYTES);
		require(!frame->module || strlen(frame->module) <= MAX_STRING_BYTES);
		require(frame->line >= 0);
	}
}

static void check_snapshot(const struct record_reader *reader, const struct snapshot *snapshot)
{
	require(snapshot->nr_sites <= MAX_SITES && snapshot->epochs.nr <= LB_MAX_EPOCHS);
	for (size_t i = 0; i < snapshot->nr_sites; i++) {
		const struct site_count *site = &snapshot->sites[i];

		require(i == 0 || site_key_compare(&site[-1].key, &site->key) < 0);
		require(site->key.kind < LB_KIND_MAX);
		check_stack(record_stack(reader, &site->key));
	}
}

static void check_judgement(struct trend *trend)
{
	struct finding *findings;
	size_t nr;

	require(!trend_judge(trend, 10, &findings, &nr));
	for (size_t i = 0; i < nr; i++)
		require(findings[i].verdict <= VERDICT_LEAKING);
	free(findings);
}

/* Reads what there is. Returns the reader, or NULL. */
static struct record_reader *read_all(FILE *in)
{
	struct trend_options options = { .min_objects = 5, .interval_ns = NSEC_PER_SEC };
	struct record_reader *reader;
	struct record_poll poll;
	struct trend *trend;
	int code;

	if (record_open(in, &reader))
		return NULL;
	trend = trend_new(&options);
	require(trend);
	record_limit(reader, UINT64_MAX, MAX_POLLS);
	while ((code = record_next(reader, &poll)) == 1) {
		check_snapshot(reader, poll.snapshot);
		require(!trend_push(trend, poll.snapshot));
	}
	require(code == 0 && record_state(reader)->end != RECORD_READING);
	check_judgement(trend);
	trend_free(trend);
	return reader;
}

static void check_file(const void *bytes, size_t len)
{
	FILE *in = fmemopen((void *)bytes, len, "r");
	struct record_difference difference;
	struct record_reader *reader;

	require(in);
	reader = read_all(in);
	if (reader) {
		require(!record_compare(reader, reader, &difference));
		for (size_t i = 0; i < difference.nr_changes; i++)
			require(difference.changes[i].before_bytes ==
				difference.changes[i].after_bytes);
		record_difference_done(&difference);
	}
	record_reader_free(reader);
	fclose(in);
}

/* Frames the payloads: type, two bytes of length, payload. */
static void frame_payloads(struct buf *file, const uint8_t *data, size_t size)
{
	const struct record_header header = { .start_ns = 1, .interval_ns = NSEC_PER_SEC };
	struct buf payload __cleanup_buf = { 0 };

	buf_puts(file, RECORD_MAGIC);
	header_put(&payload, &header);
	require(!chunk_put(file, CHUNK_HEADER, &payload));
	while (size >= 3) {
		size_t len = MIN(data[1] | (size_t)data[2] << 8, size - 3);

		buf_reset(&payload);
		buf_add(&payload, (const char *)data + 3, len);
		require(!chunk_put(file, (enum chunk_type)data[0], &payload));
		data += 3 + len;
		size -= 3 + len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf file __cleanup_buf = { 0 };

	if (size < 2)
		return 0;
	if (data[0] & 1) {
		check_file(data + 1, size - 1);
		return 0;
	}
	frame_payloads(&file, data + 1, size - 1);
	check_file(file.data, file.len);
	return 0;
}
