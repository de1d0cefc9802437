/* SPDX-License-Identifier: GPL-2.0-only */
/* One poll at a time for a log: a dated line with the totals and one for each finding. */
#include <errno.h>

#include "report/fields.h"
#include "trend/trend.h"

static void add_time(struct buf *line, time_t wall_s)
{
	char text[64];
	struct tm local;

	if (wall_s && localtime_r(&wall_s, &local) && strftime(text, sizeof(text), "%F %T", &local))
		buf_printf(line, "%s ", text);
}

/* "2026-01-01 12:00:30 30 s: 1 leaking; 120 sites, 1.2 MiB outstanding" */
static void add_totals(struct buf *line, const struct report *report)
{
	size_t before;

	add_time(line, report->wall_s);
	text_seconds(line, report->duration_s);
	buf_puts(line, ": ");
	before = line->len;
	text_verdicts(line, report);
	if (line->len == before)
		buf_puts(line, report->judged ? "nothing grows" : "learning");
	buf_puts(line, "; ");
	text_count(line, report->nr_sites, "site");
	buf_puts(line, ", ");
	if (report->live_bytes || !report->live_count)
		text_bytes(line, (double)report->live_bytes);
	else
		text_count(line, report->live_count, "object");
	buf_puts(line, " outstanding");
	text_incomplete(line, report);
}

static void add_summary(struct buf *line, const struct finding *finding)
{
	const enum field_id ids[] = {
		FIELD_VERDICT, FIELD_KIND, FIELD_PID, growth_field(finding), FIELD_LIVE_COUNT,
	};
	static const char *const before[] = { "  ", " ", " pid ", " ", " live " };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		buf_puts(line, before[i]);
		field_text(line, ids[i], finding);
	}
	if (kind_has_bytes((enum lb_kind)finding->site.key.kind)) {
		buf_puts(line, " (");
		field_text(line, FIELD_LIVE_BYTES, finding);
		buf_puts(line, ")");
	}
	buf_puts(line, " ");
	text_where(line, finding);
}

static void put_line(FILE *out, const struct buf *line)
{
	if (line->data && !line->error)
		fprintf(out, "%s\n", line->data);
}

int report_lines(FILE *out, const struct report *report, const struct report_options *options)
{
	struct buf line __cleanup_buf = { 0 };
	size_t nr = findings_shown(report, options), i;

	errno = 0;
	add_totals(&line, report);
	put_line(out, &line);
	for (i = 0; i < nr; i++) {
		buf_reset(&line);
		add_summary(&line, &report->findings[i]);
		put_line(out, &line);
	}
	if (fflush(out) != 0 || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}
