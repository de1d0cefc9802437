/* SPDX-License-Identifier: GPL-2.0-only */
/* A difference for people and for programs. */
#include <inttypes.h>
#include <stdlib.h>

#include "report/difference.h"
#include "report/text.h"
#include "report/write.h"
#include "report/writer.h"

static void add_moment(struct buf *text, const struct moment *moment)
{
	text_clean(text, moment->file);
	buf_puts(text, " at ");
	text_seconds(text, moment->seconds);
}

void text_moments(struct buf *text, const struct difference *difference)
{
	buf_puts(text, "from ");
	add_moment(text, &difference->before);
	buf_puts(text, " to ");
	add_moment(text, &difference->after);
}

/* Appends "+1.5 KiB". */
static void add_bytes(struct buf *text, uint64_t before, uint64_t after)
{
	buf_puts(text, after < before ? "-" : "+");
	text_bytes(text, (double)(after < before ? before - after : after - before));
}

/* Appends "+12". */
static void add_count(struct buf *text, uint64_t before, uint64_t after)
{
	buf_printf(text, "%+" PRId64, difference_of(before, after));
}

static void put(FILE *out, const struct buf *text)
{
	if (text->data && !text->error)
		fwrite(text->data, 1, text->len, out);
}

static void write_headline(FILE *out, const struct difference *difference)
{
	struct record_change sum = { 0 };
	struct buf text __cleanup_buf = { 0 };
	bool in_bytes = false;
	size_t i;

	for (i = 0; i < difference->nr_changes; i++) {
		const struct record_change *change = &difference->changes[i];

		sum.before_count += change->before_count;
		sum.after_count += change->after_count;
		if (!kind_has_bytes(change->kind))
			continue;
		in_bytes = true;
		sum.before_bytes += change->before_bytes;
		sum.after_bytes += change->after_bytes;
	}
	buf_puts(&text, "leakbpf: ");
	if (in_bytes) {
		add_bytes(&text, sum.before_bytes, sum.after_bytes);
		buf_puts(&text, " and ");
	}
	add_count(&text, sum.before_count, sum.after_count);
	buf_puts(&text, " objects outstanding ");
	text_moments(&text, difference);
	buf_puts(&text, "\n");
	put(out, &text);
}

static void add_outstanding(struct buf *text, enum lb_kind kind, uint64_t bytes, uint64_t count)
{
	if (kind_has_bytes(kind)) {
		text_bytes(text, (double)bytes);
		buf_puts(text, " in ");
	}
	text_count(text, count, "object");
}

static void write_change(FILE *out, const struct record_change *change, size_t number)
{
	const struct finding finding = { .stack = change->stack };
	struct buf text __cleanup_buf = { 0 };

	buf_printf(&text, "\n%zu. ", number);
	if (kind_has_bytes(change->kind)) {
		add_bytes(&text, change->before_bytes, change->after_bytes);
		buf_puts(&text, ", ");
	}
	add_count(&text, change->before_count, change->after_count);
	buf_printf(&text, " %s objects in ", kind_name(change->kind));
	text_clean(&text, change->comm ? change->comm : "?");
	buf_puts(&text, "\n   outstanding ");
	add_outstanding(&text, change->kind, change->before_bytes, change->before_count);
	buf_puts(&text, " before, ");
	add_outstanding(&text, change->kind, change->after_bytes, change->after_count);
	buf_puts(&text, " after; opened ");
	add_count(&text, change->before_opened, change->after_opened);
	buf_puts(&text, ", closed ");
	add_count(&text, change->before_closed, change->after_closed);
	if (change->state) {
		buf_puts(&text, ", state ");
		text_clean(&text, change->state);
	}
	buf_puts(&text, "\n   at ");
	text_where(&text, &finding);
	buf_puts(&text, "\n");
	text_stack(&text, change->stack);
	put(out, &text);
}

void difference_text(FILE *out, const struct difference *difference,
		     const struct difference_options *options)
{
	size_t nr = changes_shown(difference, options), number = 0, i;

	write_headline(out, difference);
	for (i = 0; i < nr; i++) {
		if (change_is_shown(&difference->changes[i], options))
			write_change(out, &difference->changes[i], ++number);
	}
	if (number == 0)
		fputs("No stack has more or less outstanding than before.\n", out);
}

/* --- JSON --- */

static void write_moment(struct writer *writer, const char *name, const struct moment *moment)
{
	writer_begin_flat_object(writer, name);
	writer_string(writer, "file", moment->file);
	writer_real(writer, "seconds", moment->seconds);
	writer_unsigned(writer, "poll", moment->poll);
	writer_unsigned(writer, "time_s", moment->time_ns / NSEC_PER_SEC);
	writer_end_object(writer);
}

static void write_numbers(struct writer *writer, const struct record_change *change)
{
	writer_unsigned(writer, "before_count", change->before_count);
	writer_unsigned(writer, "after_count", change->after_count);
	writer_signed(writer, "delta_count",
		      difference_of(change->before_count, change->after_count));
	writer_unsigned(writer, "before_bytes", change->before_bytes);
	writer_unsigned(writer, "after_bytes", change->after_bytes);
	writer_signed(writer, "delta_bytes",
		      difference_of(change->before_bytes, change->after_bytes));
	writer_signed(writer, "delta_opened",
		      difference_of(change->before_opened, change->after_opened));
	writer_signed(writer, "delta_closed",
		      difference_of(change->before_closed, change->after_closed));
}

static void write_json_change(struct writer *writer, const struct record_change *change)
{
	size_t nr = change->stack ? change->stack->nr_frames : 0, i;
	char id[17];

	snprintf(id, sizeof(id), "%016" PRIx64, change->id);
	writer_begin_object(writer, NULL);
	writer_string(writer, "id", id);
	writer_string(writer, "kind", kind_name(change->kind));
	writer_string(writer, "comm", change->comm);
	writer_string(writer, "state", change->state);
	write_numbers(writer, change);
	writer_begin_array(writer, "stack");
	for (i = 0; i < nr; i++)
		write_json_frame(writer, &change->stack->frames[i]);
	writer_end_array(writer);
	writer_end_object(writer);
}

void difference_json(FILE *out, const struct difference *difference,
		     const struct difference_options *options)
{
	struct writer writer = { .out = out };
	size_t nr = changes_shown(difference, options), i;

	writer_begin_object(&writer, NULL);
	writer_string(&writer, "schema", "leakbpf-diff/1");
	write_moment(&writer, "before", &difference->before);
	write_moment(&writer, "after", &difference->after);
	writer_begin_array(&writer, "changes");
	for (i = 0; i < nr; i++) {
		if (change_is_shown(&difference->changes[i], options))
			write_json_change(&writer, &difference->changes[i]);
	}
	writer_end_array(&writer);
	writer_end_object(&writer);
	writer_end_document(&writer);
}
