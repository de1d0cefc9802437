/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/writer.h"

#include <inttypes.h>
#include <math.h>

#include "report/text.h"

static void write_string(FILE *out, const char *text)
{
	fputc('"', out);
	while (*text) {
		uint32_t character;
		size_t len = utf8_decode(text, &character);

		if (character == '"' || character == '\\')
			fprintf(out, "\\%c", (int)character);
		else if (character < 0x20 || (character >= 0x7f && character < 0xa0) ||
			 (len == 1 && character > 0x7f))
			fprintf(out, "\\u%04" PRIx32, character);
		else
			fwrite(text, 1, len, out);
		text += len;
	}
	fputc('"', out);
}

static bool is_flat(const struct writer *writer)
{
	return writer->flat > 0 && writer->depth >= writer->flat;
}

static void write_break(const struct writer *writer)
{
	unsigned int i;

	if (is_flat(writer))
		return;
	fputc('\n', writer->out);
	for (i = 0; i < writer->depth; i++)
		fputs("  ", writer->out);
}

/* What stands before an element: comma, line break, name. */
static void write_head(struct writer *writer, const char *name)
{
	if (writer->begun)
		fputs(is_flat(writer) ? ", " : ",", writer->out);
	if (writer->depth > 0)
		write_break(writer);
	if (name) {
		write_string(writer->out, name);
		fputs(": ", writer->out);
	}
	writer->begun = true;
}

static void begin(struct writer *writer, const char *name, char bracket)
{
	write_head(writer, name);
	fputc(bracket, writer->out);
	writer->depth++;
	writer->begun = false;
}

static void end(struct writer *writer, char bracket)
{
	bool flat = is_flat(writer);

	writer->depth--;
	if (writer->begun && !flat)
		write_break(writer);
	if (writer->depth < writer->flat)
		writer->flat = 0;
	fputc(bracket, writer->out);
	writer->begun = true;
}

void writer_begin_object(struct writer *writer, const char *name)
{
	begin(writer, name, '{');
}

void writer_end_object(struct writer *writer)
{
	end(writer, '}');
}

void writer_begin_array(struct writer *writer, const char *name)
{
	begin(writer, name, '[');
}

void writer_end_array(struct writer *writer)
{
	end(writer, ']');
}

void writer_begin_flat_object(struct writer *writer, const char *name)
{
	begin(writer, name, '{');
	if (writer->flat == 0)
		writer->flat = writer->depth;
}

void writer_string(struct writer *writer, const char *name, const char *value)
{
	if (!value) {
		writer_null(writer, name);
		return;
	}
	write_head(writer, name);
	write_string(writer->out, value);
}

void writer_unsigned(struct writer *writer, const char *name, uint64_t value)
{
	write_head(writer, name);
	fprintf(writer->out, "%" PRIu64, value);
}

void writer_signed(struct writer *writer, const char *name, int64_t value)
{
	write_head(writer, name);
	fprintf(writer->out, "%" PRId64, value);
}

void writer_real(struct writer *writer, const char *name, double value)
{
	if (!isfinite(value)) {
		writer_null(writer, name);
		return;
	}
	write_head(writer, name);
	fprintf(writer->out, "%.9g", value);
}

void writer_bool(struct writer *writer, const char *name, bool value)
{
	write_head(writer, name);
	fputs(value ? "true" : "false", writer->out);
}

void writer_null(struct writer *writer, const char *name)
{
	write_head(writer, name);
	fputs("null", writer->out);
}

void writer_end_document(struct writer *writer)
{
	fputc('\n', writer->out);
}
