/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/xml.h"

#include "report/text.h"

#define REPLACEMENT 0xfffd

/* What stands for the character; NULL: itself. XML 1.0, production 2 (Char). */
static const char *entity_of(uint32_t c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		break;
	}
	if ((c < 0x20 && c != '\n') || (c >= 0x7f && c < 0xa0) || (c & 0xfffe) == 0xfffe ||
	    c == REPLACEMENT)
		return "\xef\xbf\xbd";
	return NULL;
}

void xml_text(struct buf *buf, const char *text)
{
	while (*text) {
		uint32_t character;
		size_t len = utf8_decode(text, &character);
		const char *entity = entity_of(character);

		if (entity)
			buf_puts(buf, entity);
		else
			buf_add(buf, text, len);
		text += len;
	}
}

void xml_foreign(struct buf *buf, const char *text)
{
	struct buf clean __cleanup_buf = { 0 };

	text_clean(&clean, text);
	if (clean.data)
		xml_text(buf, clean.data);
}

void xml_flush(FILE *out, struct buf *buf)
{
	if (buf->data && !buf->error)
		fwrite(buf->data, 1, buf->len, out);
	buf_reset(buf);
}
