/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for @extra more bytes and a NUL; false: out of memory, now or earlier. */
static bool buf_reserve(struct buf *buf, size_t extra)
{
	void *data = buf->data;

	if (buf->error)
		return false;
	if (extra >= SIZE_MAX - buf->len)
		buf->error = -ENOMEM;
	else
		buf->error = vec_reserve(&data, &buf->capacity, buf->len + extra + 1, 1);
	buf->data = data;
	return !buf->error;
}

void buf_add(struct buf *buf, const char *bytes, size_t len)
{
	if (!buf_reserve(buf, len))
		return;
	if (len)
		memcpy(buf->data + buf->len, bytes, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

void buf_puts(struct buf *buf, const char *string)
{
	buf_add(buf, string, strlen(string));
}

/* A format that vsnprintf() refuses counts as out of memory: the text is not complete. */
void buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0)
		buf->error = -ENOMEM;
	if (len < 0 || !buf_reserve(buf, (size_t)len))
		return;
	va_start(args, format);
	vsnprintf(buf->data + buf->len, (size_t)len + 1, format, args);
	va_end(args);
	buf->len += (size_t)len;
}

void buf_reset(struct buf *buf)
{
	buf->len = 0;
	buf->error = 0;
	if (buf->data)
		buf->data[0] = '\0';
}

void buf_done(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){ 0 };
}
