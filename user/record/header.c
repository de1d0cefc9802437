/* SPDX-License-Identifier: GPL-2.0-only */
/* The first chunk: names with numbers, names with strings. Names that are not known are ignored. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "record/format.h"

#define MAX_PAIRS 256

enum pair_type { PAIR_END, PAIR_NUMBER, PAIR_STRING, PAIR_MAX };

/* A number of the header. */
struct number_place {
	const char *name;
	size_t offset; /* in struct record_header */
};

struct string_place {
	const char *name;
	size_t offset, size;
};

/* What counters and kinds there are: those of another version are others. */
struct shape {
	const char *name;
	uint64_t number;
};

static const struct number_place numbers[] = {
	{ "start_wall_ns", offsetof(struct record_header, start_wall_ns) },
	{ "start_ns", offsetof(struct record_header, start_ns) },
	{ "interval_ns", offsetof(struct record_header, interval_ns) },
	{ "min_objects", offsetof(struct record_header, min_objects) },
	{ "horizon_ns", offsetof(struct record_header, horizon_ns) },
	{ "min_bytes_per_day", offsetof(struct record_header, min_bytes_per_day) },
};

#define STRING_PLACE(field)                                                                        \
	{ #field, offsetof(struct record_header, field),                                           \
	  sizeof(((struct record_header *)0)->field) }

static const struct string_place strings[] = {
	STRING_PLACE(program),
	STRING_PLACE(host),
	STRING_PLACE(boot_id),
	STRING_PLACE(attach_mode),
};

static const struct shape shapes[] = {
	{ "kinds", LB_KIND_MAX },     { "counts", LB_COUNT_MAX }, { "losses", LB_LOSS_MAX },
	{ "defects", LB_DEFECT_MAX }, { "ends", LB_UNWIND_MAX },  { "epochs", LB_MAX_EPOCHS },
};

static void put_number_pair(struct buf *payload, const char *name, uint64_t number)
{
	put_number(payload, PAIR_NUMBER);
	put_string(payload, name);
	put_number(payload, number);
}

void header_put(struct buf *payload, const struct record_header *header)
{
	const char *bytes = (const char *)header;

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		put_number_pair(payload, shapes[i].name, shapes[i].number);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		uint64_t number;

		memcpy(&number, bytes + numbers[i].offset, sizeof(number));
		put_number_pair(payload, numbers[i].name, number);
	}
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		put_number(payload, PAIR_STRING);
		put_string(payload, strings[i].name);
		put_string(payload, bytes + strings[i].offset);
	}
	put_number(payload, PAIR_END);
}

static void set_number(struct record_header *header, const char *name, uint64_t number)
{
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (strcmp(numbers[i].name, name) == 0)
			memcpy((char *)header + numbers[i].offset, &number, sizeof(number));
	}
}

static void set_string(struct record_header *header, const char *name, const char *string)
{
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		if (strcmp(strings[i].name, name) == 0)
			snprintf((char *)header + strings[i].offset, strings[i].size, "%s", string);
	}
}

/* Notes in @seen which shapes are as they are here. */
static void note_shape(unsigned int *seen, const char *name, uint64_t number)
{
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		if (strcmp(shapes[i].name, name) == 0 && shapes[i].number == number)
			*seen |= 1U << i;
	}
}

DEFINE_CLEANUP(string, char *, free(*value))

static int get_pair(struct cursor *cursor, enum pair_type type, struct record_header *header,
		    unsigned int *seen)
{
	char *name __cleanup_of(string) = NULL;
	char *string __cleanup_of(string) = NULL;
	int error = get_string(cursor, &name);

	if (!error && type == PAIR_STRING)
		error = get_string(cursor, &string);
	if (error)
		return error;
	if (type == PAIR_STRING) {
		set_string(header, name, string);
	} else {
		uint64_t number = get_number(cursor);

		set_number(header, name, number);
		note_shape(seen, name, number);
	}
	return cursor->fault ? -EBADMSG : 0;
}

int header_get(struct cursor *cursor, struct record_header *ret_header)
{
	struct record_header header = { 0 };
	unsigned int seen = 0;

	for (unsigned int i = 0; i < MAX_PAIRS; i++) {
		enum pair_type type = (enum pair_type)get_bounded(cursor, PAIR_MAX - 1);
		int error;

		if (type == PAIR_END)
			break;
		error = get_pair(cursor, type, &header, &seen);
		if (error)
			return error;
	}
	if (cursor_end(cursor) || header.start_ns > MAX_TIME_NS ||
	    header.start_wall_ns > MAX_TIME_NS || header.interval_ns > MAX_TIME_NS ||
	    header.horizon_ns > MAX_TIME_NS ||
	    header.attach_mode[strspn(header.attach_mode, "abcdefghijklmnopqrstuvwxyz")])
		return -EBADMSG;
	if (seen != (1U << ARRAY_SIZE(shapes)) - 1)
		return -EPROTONOSUPPORT;
	*ret_header = header;
	return 0;
}
