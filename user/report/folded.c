/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Folded stacks, as flame graph tools read them: "comm;outermost;...;innermost COUNT", COUNT being
 * the live bytes (of kinds without bytes the live objects).
 */
#include <inttypes.h>

#include "report/text.h"
#include "report/write.h"

/* Appends a name made safe for the format: ';' separates, the last space ends the stack. */
static void add_name(struct buf *buf, const char *name)
{
	size_t from = buf->len, i;

	text_clean(buf, name);
	for (i = from; i < buf->len; i++) {
		if (buf->data[i] == ';')
			buf->data[i] = ':';
	}
	if (buf->len == from)
		buf_puts(buf, "?");
}

static void add_frame(struct buf *line, const struct frame *frame)
{
	struct buf name __cleanup_buf = { 0 };

	frame_name(&name, frame);
	buf_puts(line, ";");
	add_name(line, name.data ? name.data : "");
}

static const char *comm_of(const struct report *report, uint32_t pid)
{
	size_t i;

	for (i = 0; i < report->nr_targets; i++) {
		if ((uint32_t)report->targets[i].pid == pid)
			return report->targets[i].comm;
	}
	return "?";
}

static void write_finding(FILE *out, const struct report *report, const struct finding *finding)
{
	const struct site_count *site = &finding->site;
	uint64_t weight = site->live_bytes ? site->live_bytes : site->live_count;
	struct buf line __cleanup_buf = { 0 };
	size_t i = finding->stack ? finding->stack->nr_frames : 0;

	if (weight == 0)
		return;
	add_name(&line, comm_of(report, site->key.tgid));
	if (i == 0)
		buf_puts(&line, ";(stack unknown)");
	while (i-- > 0)
		add_frame(&line, &finding->stack->frames[i]);
	if (!line.error)
		fprintf(out, "%s %" PRIu64 "\n", line.data, weight);
}

void write_folded(FILE *out, const struct report *report, const struct report_options *options)
{
	size_t nr = findings_shown(report, options), i;

	for (i = 0; i < nr; i++)
		write_finding(out, report, &report->findings[i]);
}
