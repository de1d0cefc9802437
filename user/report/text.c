/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/text.h"

#include <string.h>

#define REPLACEMENT 0xfffd

/* Length of the sequence that @lead begins, and the bits of the character in it. 0: no lead. */
static size_t utf8_length(unsigned char lead, uint32_t *ret_bits)
{
	if (lead < 0x80) {
		*ret_bits = lead;
		return 1;
	}
	if (lead >= 0xc2 && lead < 0xe0) {
		*ret_bits = lead & 0x1f;
		return 2;
	}
	if (lead >= 0xe0 && lead < 0xf0) {
		*ret_bits = lead & 0x0f;
		return 3;
	}
	if (lead >= 0xf0 && lead < 0xf5) {
		*ret_bits = lead & 0x07;
		return 4;
	}
	return 0;
}

/* Overlong forms, surrogates and what is beyond Unicode. */
static bool utf8_is_wrong(uint32_t character, size_t len)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

	return character < least[len] || character > 0x10ffff ||
	       (character >= 0xd800 && character < 0xe000);
}

size_t utf8_decode(const char *text, uint32_t *ret_character)
{
	uint32_t character = 0;
	size_t len = utf8_length((unsigned char)text[0], &character), i;

	for (i = 1; i < len; i++) {
		unsigned char byte = (unsigned char)text[i];

		if ((byte & 0xc0) != 0x80)
			break;
		character = character << 6 | (byte & 0x3f);
	}
	if (len == 0 || i < len || utf8_is_wrong(character, len)) {
		*ret_character = REPLACEMENT;
		return 1;
	}
	*ret_character = character;
	return len;
}

/* C0 and C1 controls, DEL, line separators and what turns the direction of writing. */
static bool is_dangerous(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

void text_clean(struct buf *buf, const char *text)
{
	while (*text) {
		uint32_t character;
		size_t len = utf8_decode(text, &character);

		if (character == REPLACEMENT)
			buf_puts(buf, "\xef\xbf\xbd");
		else if (is_dangerous(character))
			buf_puts(buf, "?");
		else
			buf_add(buf, text, len);
		text += len;
	}
}

/* Columns of a character: wide scripts may take two, so they are counted as such. The block
 * elements of sparklines, the ellipsis and Latin take one. */
unsigned int character_columns(uint32_t character)
{
	return character >= 0x1100 && (character < 0x2000 || character >= 0x2e80) &&
			       character != REPLACEMENT
		       ? 2
		       : 1;
}

static unsigned int text_columns(const char *text)
{
	unsigned int columns = 0;

	while (*text) {
		uint32_t character;

		text += utf8_decode(text, &character);
		columns += character_columns(character);
	}
	return columns;
}

unsigned int text_fit(struct buf *buf, const char *text, unsigned int width)
{
	unsigned int columns = text_columns(text), used = 0;

	if (width == 0 || columns <= width) {
		buf_puts(buf, text);
		return columns;
	}
	while (*text) {
		uint32_t character;
		size_t len = utf8_decode(text, &character);

		if (used + character_columns(character) > width - 1)
			break;
		used += character_columns(character);
		buf_add(buf, text, len);
		text += len;
	}
	buf_puts(buf, "…");
	return used + 1;
}

void text_bytes(struct buf *buf, double bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double size = bytes < 0 ? -bytes : bytes;
	size_t unit = 0;

	while (size >= 1023.5 && unit + 1 < ARRAY_SIZE(units)) {
		size /= 1024;
		unit++;
	}
	buf_printf(buf, "%s%.*f %s", bytes < 0 ? "-" : "", unit == 0 || size >= 99.95 ? 0 : 1, size,
		   units[unit]);
}

void text_seconds(struct buf *buf, double seconds)
{
	uint64_t whole = seconds > 0 && seconds < 1e15 ? (uint64_t)(seconds + 0.5) : 0;

	if (seconds < 9.95)
		buf_printf(buf, "%.1f s", seconds);
	else if (whole < 120)
		buf_printf(buf, "%ju s", (uintmax_t)whole);
	else if (whole < 7200)
		buf_printf(buf, "%ju min %ju s", (uintmax_t)(whole / 60), (uintmax_t)(whole % 60));
	else if (whole < 172800)
		buf_printf(buf, "%ju h %ju min", (uintmax_t)(whole / 3600),
			   (uintmax_t)(whole / 60 % 60));
	else
		buf_printf(buf, "%ju d %ju h", (uintmax_t)(whole / 86400),
			   (uintmax_t)(whole / 3600 % 24));
}

void text_count(struct buf *buf, uint64_t count, const char *noun)
{
	buf_printf(buf, "%ju %s%s", (uintmax_t)count, noun, count == 1 ? "" : "s");
}
