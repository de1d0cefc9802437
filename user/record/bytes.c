/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "record/format.h"

#define VARINT_BYTES 10

void put_number(struct buf *buf, uint64_t number)
{
	char bytes[VARINT_BYTES];
	size_t len = 0;

	for (; number > 0x7f; number >>= 7)
		bytes[len++] = (char)(number | 0x80);
	bytes[len++] = (char)number;
	buf_add(buf, bytes, len);
}

/* Zigzag: small steps down are small numbers, too. */
void put_change(struct buf *buf, uint64_t before, uint64_t after)
{
	uint64_t change = after - before;

	put_number(buf, change << 1 ^ (change >> 63 ? UINT64_MAX : 0));
}

void put_fixed32(uint8_t bytes[4], uint32_t number)
{
	for (int i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(number >> (8 * i));
}

/* What is longer than a recording may hold is cut. */
void put_string(struct buf *buf, const char *string)
{
	size_t len = string ? strnlen(string, MAX_STRING_BYTES) : 0;

	put_number(buf, len);
	buf_add(buf, string, len);
}

uint64_t get_number(struct cursor *cursor)
{
	uint64_t number = 0;

	for (unsigned int shift = 0; shift < 7 * VARINT_BYTES; shift += 7) {
		uint8_t byte;

		if (cursor->fault || cursor->at == cursor->end)
			break;
		byte = *cursor->at++;
		number |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return number;
	}
	cursor->fault = true;
	return 0;
}

uint64_t get_bounded(struct cursor *cursor, uint64_t most)
{
	uint64_t number = get_number(cursor);

	if (number <= most)
		return number;
	cursor->fault = true;
	return 0;
}

uint64_t get_changed(struct cursor *cursor, uint64_t before)
{
	uint64_t zigzag = get_number(cursor);

	return before + (zigzag >> 1 ^ (zigzag & 1 ? UINT64_MAX : 0));
}

uint32_t get_fixed32(const uint8_t bytes[4])
{
	uint32_t number = 0;

	for (int i = 0; i < 4; i++)
		number |= (uint32_t)bytes[i] << (8 * i);
	return number;
}

int get_string(struct cursor *cursor, char **ret_string)
{
	size_t len = get_bounded(cursor, MAX_STRING_BYTES);
	char *string;

	if (cursor->fault || len > (size_t)(cursor->end - cursor->at) ||
	    memchr(cursor->at, '\0', len)) {
		cursor->fault = true;
		return -EBADMSG;
	}
	string = strndup((const char *)cursor->at, len);
	if (!string)
		return -ENOMEM;
	cursor->at += len;
	*ret_string = string;
	return 0;
}

int cursor_end(const struct cursor *cursor)
{
	return cursor->fault || cursor->at != cursor->end ? -EBADMSG : 0;
}
