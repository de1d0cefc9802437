/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/json.h"

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

static bool is_flat(const struct json *json)
{
	return json->flat > 0 && json->depth >= json->flat;
}

static void write_break(const struct json *json)
{
	unsigned int i;

	if (is_flat(json))
		return;
	fputc('\n', json->out);
	for (i = 0; i < json->depth; i++)
		fputs("  ", json->out);
}

/* What stands before an element: comma, line break, name. */
static void write_head(struct json *json, const char *name)
{
	if (json->begun)
		fputs(is_flat(json) ? ", " : ",", json->out);
	if (json->depth > 0)
		write_break(json);
	if (name) {
		write_string(json->out, name);
		fputs(": ", json->out);
	}
	json->begun = true;
}

static void begin(struct json *json, const char *name, char bracket)
{
	write_head(json, name);
	fputc(bracket, json->out);
	json->depth++;
	json->begun = false;
}

static void end(struct json *json, char bracket)
{
	bool flat = is_flat(json);

	json->depth--;
	if (json->begun && !flat)
		write_break(json);
	if (json->depth < json->flat)
		json->flat = 0;
	fputc(bracket, json->out);
	json->begun = true;
}

void json_begin_object(struct json *json, const char *name)
{
	begin(json, name, '{');
}

void json_end_object(struct json *json)
{
	end(json, '}');
}

void json_begin_array(struct json *json, const char *name)
{
	begin(json, name, '[');
}

void json_end_array(struct json *json)
{
	end(json, ']');
}

void json_begin_flat_object(struct json *json, const char *name)
{
	begin(json, name, '{');
	if (json->flat == 0)
		json->flat = json->depth;
}

void json_string(struct json *json, const char *name, const char *value)
{
	if (!value) {
		json_null(json, name);
		return;
	}
	write_head(json, name);
	write_string(json->out, value);
}

void json_unsigned(struct json *json, const char *name, uint64_t value)
{
	write_head(json, name);
	fprintf(json->out, "%" PRIu64, value);
}

void json_signed(struct json *json, const char *name, int64_t value)
{
	write_head(json, name);
	fprintf(json->out, "%" PRId64, value);
}

void json_real(struct json *json, const char *name, double value)
{
	if (!isfinite(value)) {
		json_null(json, name);
		return;
	}
	write_head(json, name);
	fprintf(json->out, "%.9g", value);
}

void json_bool(struct json *json, const char *name, bool value)
{
	write_head(json, name);
	fputs(value ? "true" : "false", json->out);
}

void json_null(struct json *json, const char *name)
{
	write_head(json, name);
	fputs("null", json->out);
}

void json_end_document(struct json *json)
{
	fputc('\n', json->out);
}
