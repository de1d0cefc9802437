/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Folded stacks, as flame graph tools read them: "comm;outermost;...;innermost COUNT", COUNT being
 * the live bytes, and of kinds without bytes the live objects. A positive integer: flamegraph.pl
 * ignores negative ones, and speedscope fractions too. Where both kinds are in one report, those
 * without bytes stand below a frame "[KIND]", so that they are not taken for bytes.
 */
#include <ctype.h>
#include <inttypes.h>

#include "report/text.h"
#include "report/write.h"

/* Does the name end like a count: " 12", " 1.5"? */
static char *find_count(char *name, size_t len)
{
	size_t at = len;

	while (at > 0 && (isdigit((unsigned char)name[at - 1]) || name[at - 1] == '.'))
		at--;
	return at > 0 && at < len && name[at - 1] == ' ' ? name + at - 1 : NULL;
}

/* Appends a name made safe for the format: ';' separates, and flamegraph.pl takes two numbers at
 * the end of a line for two counts. */
static void add_name(struct buf *buf, const char *name)
{
	size_t from = buf->len, i;
	char *count;

	text_clean(buf, name);
	for (i = from; i < buf->len; i++) {
		if (buf->data[i] == ';')
			buf->data[i] = ':';
	}
	if (buf->len == from)
		buf_puts(buf, "?");
	if (buf->error)
		return;
	count = find_count(buf->data + from, buf->len - from);
	if (count)
		*count = '_';
}

static void add_frame(struct buf *line, const struct frame *frame)
{
	struct buf name __cleanup_buf = { 0 };

	frame_name(&name, frame);
	buf_puts(line, ";");
	add_name(line, name.data ? name.data : "");
}

void folded_stack(struct buf *line, const char *process, const char *kind,
		  const struct stack *stack)
{
	size_t i = stack ? stack->nr_frames : 0;

	add_name(line, process);
	if (kind)
		buf_printf(line, ";[%s]", kind);
	if (i == 0)
		buf_puts(line, ";" UNKNOWN_STACK);
	while (i-- > 0)
		add_frame(line, &stack->frames[i]);
}

static void write_finding(FILE *out, const struct report *report, const struct finding *finding,
			  bool mixed)
{
	const struct site_count *site = &finding->site;
	enum lb_kind kind = (enum lb_kind)site->key.kind;
	bool in_bytes = kind_has_bytes(kind);
	uint64_t weight = in_bytes && site->live_bytes ? site->live_bytes : site->live_count;
	struct buf line __cleanup_buf = { 0 };

	if (weight == 0)
		return;
	folded_stack(&line, report_comm(report, site->key.tgid),
		     mixed && !in_bytes ? kind_name(kind) : NULL, finding->stack);
	if (!line.error)
		fprintf(out, "%s %" PRIu64 "\n", line.data, weight);
}

void write_folded(FILE *out, const struct report *report, const struct report_options *options)
{
	size_t nr = findings_shown(report, options), nr_in_bytes = 0, i;

	for (i = 0; i < nr; i++)
		nr_in_bytes += kind_has_bytes((enum lb_kind)report->findings[i].site.key.kind);
	for (i = 0; i < nr; i++)
		write_finding(out, report, &report->findings[i], nr_in_bytes > 0);
}
