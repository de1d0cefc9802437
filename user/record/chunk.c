/* SPDX-License-Identifier: GPL-2.0-only */
/* The pieces of a recording: framed, checked, compressed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "record/format.h"

#define CHUNK_MARK      0xb1a5c0deU
#define FLAG_COMPRESSED 0x1
#define WORTH_BYTES     64 /* shorter payloads are not compressed */

/* Offsets in the head. */
enum {
	HEAD_MARK,
	HEAD_TYPE = 4,
	HEAD_FLAGS,
	HEAD_ZERO,
	HEAD_STORED = 8,
	HEAD_BYTES = 12,
	HEAD_CRC = 16
};

struct head {
	uint32_t type, flags, stored_bytes, bytes, crc;
};

static uint32_t checksum(const uint8_t head[CHUNK_HEAD_BYTES], const void *stored, size_t len)
{
	uint8_t copy[CHUNK_HEAD_BYTES];
	uLong crc;

	memcpy(copy, head, sizeof(copy));
	put_fixed32(copy + HEAD_CRC, 0);
	crc = crc32(0, copy, sizeof(copy));
	return (uint32_t)(len ? crc32(crc, stored, (uInt)len) : crc);
}

/* Makes @buf @len bytes long, of any content. 0 or -ENOMEM. */
static int set_length(struct buf *buf, size_t len)
{
	void *data = buf->data;
	int error = vec_reserve(&data, &buf->capacity, len + 1, 1);

	buf->data = data;
	if (error)
		return error;
	buf->len = len;
	buf->data[len] = '\0';
	return 0;
}

/* Compresses @payload to @ret; false when that is not worth it. */
static bool compress_payload(const struct buf *payload, struct buf *ret)
{
	uLongf len = compressBound(payload->len);

	if (payload->len < WORTH_BYTES || set_length(ret, len))
		return false;
	if (compress2((Bytef *)ret->data, &len, (const Bytef *)payload->data, payload->len,
		      Z_BEST_SPEED) != Z_OK)
		return false;
	ret->len = len;
	return len < payload->len;
}

int chunk_put(struct buf *out, enum chunk_type type, const struct buf *payload)
{
	struct buf packed __cleanup_buf = { 0 };
	const struct buf *stored = payload;
	uint8_t head[CHUNK_HEAD_BYTES] = { [HEAD_TYPE] = (uint8_t)type };

	if (payload->error)
		return payload->error;
	if (payload->len > MAX_CHUNK_BYTES)
		return -EFBIG;
	if (compress_payload(payload, &packed)) {
		head[HEAD_FLAGS] = FLAG_COMPRESSED;
		stored = &packed;
	}
	put_fixed32(head + HEAD_MARK, CHUNK_MARK);
	put_fixed32(head + HEAD_STORED, (uint32_t)stored->len);
	put_fixed32(head + HEAD_BYTES, (uint32_t)payload->len);
	put_fixed32(head + HEAD_CRC, checksum(head, stored->data, stored->len));
	buf_add(out, (const char *)head, sizeof(head));
	buf_add(out, stored->data, stored->len);
	return out->error;
}

/* How much of @len bytes there was, or -errno. */
static ssize_t read_bytes(struct chunk_stream *stream, void *bytes, size_t len)
{
	size_t done = fread(bytes, 1, len, stream->in);

	stream->offset += done;
	if (done < len && ferror(stream->in))
		return -(errno ? errno : EIO);
	return (ssize_t)done;
}

static bool is_type(uint32_t type)
{
	return type == CHUNK_HEADER || type == CHUNK_TARGETS || type == CHUNK_NAMES ||
	       type == CHUNK_POLL || type == CHUNK_END;
}

static bool head_parse(const uint8_t bytes[CHUNK_HEAD_BYTES], struct head *ret_head)
{
	struct head head = {
		.type = bytes[HEAD_TYPE],
		.flags = bytes[HEAD_FLAGS],
		.stored_bytes = get_fixed32(bytes + HEAD_STORED),
		.bytes = get_fixed32(bytes + HEAD_BYTES),
		.crc = get_fixed32(bytes + HEAD_CRC),
	};

	*ret_head = head;
	return get_fixed32(bytes + HEAD_MARK) == CHUNK_MARK && is_type(head.type) &&
	       head.flags <= FLAG_COMPRESSED && !bytes[HEAD_ZERO] && !bytes[HEAD_ZERO + 1] &&
	       head.bytes <= MAX_CHUNK_BYTES && head.stored_bytes <= head.bytes &&
	       (head.flags || head.stored_bytes == head.bytes);
}

/* Points @ret_chunk to what was stored, unpacked. */
static int unpack(struct chunk_stream *stream, const struct head *head, struct chunk *ret_chunk)
{
	uLongf len = head->bytes;
	int error;

	ret_chunk->payload = (const uint8_t *)stream->stored.data;
	ret_chunk->len = head->bytes;
	if (!head->flags)
		return 1;
	error = set_length(&stream->raw, head->bytes);
	if (error)
		return error;
	if (uncompress((Bytef *)stream->raw.data, &len, (const Bytef *)stream->stored.data,
		       head->stored_bytes) != Z_OK ||
	    len != head->bytes)
		return -EBADMSG;
	ret_chunk->payload = (const uint8_t *)stream->raw.data;
	return 1;
}

/* Grows with what is there, not with what the head says is there. */
static int read_stored(struct chunk_stream *stream, size_t len)
{
	const size_t step = 1U << 20;
	size_t done = 0;

	while (done < len) {
		size_t wanted = MIN(len - done, step);
		int error = set_length(&stream->stored, done + wanted);
		ssize_t got =
			error ? error : read_bytes(stream, stream->stored.data + done, wanted);

		if (got < 0)
			return (int)got;
		if ((size_t)got < wanted)
			return -ENODATA;
		done += wanted;
	}
	return set_length(&stream->stored, len);
}

int chunk_get(struct chunk_stream *stream, struct chunk *ret_chunk)
{
	uint8_t bytes[CHUNK_HEAD_BYTES];
	struct chunk chunk = { .offset = stream->offset };
	struct head head;
	ssize_t got = read_bytes(stream, bytes, sizeof(bytes));
	int error;

	*ret_chunk = chunk;
	if (got <= 0)
		return (int)got;
	if (got < (ssize_t)sizeof(bytes))
		return -ENODATA;
	if (!head_parse(bytes, &head))
		return -EBADMSG;
	chunk.type = (enum chunk_type)head.type;
	*ret_chunk = chunk;
	error = read_stored(stream, head.stored_bytes);
	if (error)
		return error;
	if (checksum(bytes, stream->stored.data, stream->stored.len) != head.crc)
		return -EBADMSG;
	error = unpack(stream, &head, &chunk);
	if (error > 0)
		*ret_chunk = chunk;
	return error;
}

void chunk_stream_done(struct chunk_stream *stream)
{
	buf_done(&stream->stored);
	buf_done(&stream->raw);
}
