/* SPDX-License-Identifier: GPL-2.0-only */
/* One poll at a time: a table that is drawn over itself on a terminal, dated lines in a log. */
#include <errno.h>
#include <string.h>

#include "report/fields.h"
#include "trend/trend.h"

#define HISTORY_COLUMNS 10
#define MIN_WIDTH       20

/* One character per point of the end of the history, scaled to its largest. */
static void add_sparkline(struct buf *buf, const struct finding *finding, unsigned int columns)
{
	static const char *const levels[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	size_t nr = MIN(finding->nr_history, columns), from = finding->nr_history - nr, i;
	uint64_t most = 1;

	for (i = from; i < finding->nr_history; i++)
		most = MAX(most, finding->history[i]);
	for (i = from; i < finding->nr_history; i++) {
		double share = (double)finding->history[i] / (double)most;

		buf_puts(buf, levels[MIN((size_t)(share * 8), ARRAY_SIZE(levels) - 1)]);
	}
	buf_printf(buf, "%*s", (int)(columns - nr), "");
}

static bool column_is_shown(const struct field *field, unsigned int width)
{
	return field->title && (width == 0 || width >= field->wide_from);
}

/* Names stand left, numbers right. */
static void add_cell(struct buf *line, const char *text, const struct field *field)
{
	int width = (int)field->width;

	buf_printf(line, "%*s ", field->unit == UNIT_NONE ? -width : width, text);
}

static void add_titles(struct buf *line, unsigned int width)
{
	size_t i;

	for (i = 0; i < FIELD_MAX; i++) {
		if (column_is_shown(&fields[i], width))
			add_cell(line, fields[i].title, &fields[i]);
	}
	buf_printf(line, "%-*s WHERE", HISTORY_COLUMNS, "HISTORY");
}

static void add_row(struct buf *line, const struct finding *finding, unsigned int width)
{
	struct buf text __cleanup_buf = { 0 };
	size_t i;

	for (i = 0; i < FIELD_MAX; i++) {
		if (!column_is_shown(&fields[i], width))
			continue;
		buf_reset(&text);
		field_text(&text, (enum field_id)i, finding);
		add_cell(line, text.data ? text.data : "", &fields[i]);
	}
	add_sparkline(line, finding, HISTORY_COLUMNS);
	buf_puts(line, " ");
	text_where(line, finding);
}

/* The first line: what, since when, how bad. */
static void add_status(struct buf *line, const struct report *report)
{
	size_t before;

	buf_puts(line, "leakbpf ");
	text_targets(line, report);
	buf_puts(line, "  ");
	text_seconds(line, report->duration_s);
	buf_puts(line, "  ");
	before = line->len;
	text_verdicts(line, report);
	if (line->len == before && report->judged)
		buf_puts(line, "nothing grows");
	else if (line->len == before)
		buf_printf(line, "learning, poll %u of %u", report->nr_polls, report->polls_needed);
}

/* The second line: what is not exact, or that all is; blind spots. */
static void add_doubts(struct buf *line, const struct report *report)
{
	struct buf text __cleanup_buf = { 0 };
	size_t nr_blind = 0, i;

	text_incomplete(&text, report);
	for (i = 0; i < report->nr_targets; i++)
		nr_blind += report->targets[i].nr_blind_spots;
	buf_puts(line,
		 text.len ? text.data + strlen("; ") : "exact: nothing sampled, nothing lost");
	if (nr_blind) {
		buf_puts(line, "; ");
		text_count(line, nr_blind, "blind spot");
		buf_puts(line, " (see the final report)");
	}
	buf_puts(line, "  Ctrl-C: report");
}

/* Writes one line of the table, cut to the width; @mark is a colour or "". */
static void put_line(FILE *out, const struct buf *line, const struct report_options *options,
		     const char *mark)
{
	struct buf fitted __cleanup_buf = { 0 };
	unsigned int width = options->width;

	if (!line->data || line->error)
		return;
	text_fit(&fitted, line->data, width ? MAX(width, MIN_WIDTH) - 1 : 0);
	if (!fitted.data || fitted.error)
		return;
	if (options->colour && *mark)
		fprintf(out, "%s%s\033[0m\n", mark, fitted.data);
	else
		fprintf(out, "%s\n", fitted.data);
}

static int stream_result(FILE *out, int result)
{
	if (fflush(out) != 0 || ferror(out))
		return errno ? -errno : -EIO;
	return result;
}

int report_live(FILE *out, const struct report *report, const struct report_options *options,
		unsigned int rows)
{
	struct buf line __cleanup_buf = { 0 };
	size_t room = MAX(rows, 5) - 4; /* status, doubts, titles, the cursor's line */
	size_t nr = 0, i;

	if (options->top)
		room = MIN(room, options->top);
	errno = 0;
	add_status(&line, report);
	put_line(out, &line, options, "\033[1m");
	buf_reset(&line);
	add_doubts(&line, report);
	put_line(out, &line, options, "");
	buf_reset(&line);
	add_titles(&line, options->width);
	put_line(out, &line, options, "\033[7m");
	for (i = 0; i < report->nr_findings && nr < room; i++) {
		if (report->findings[i].site.live_count == 0 && !options->all_sites)
			continue;
		nr++;
		buf_reset(&line);
		add_row(&line, &report->findings[i], options->width);
		put_line(out, &line, options, verdict_colour(report->findings[i].verdict));
	}
	return stream_result(out, (int)nr + 3);
}

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
	text_bytes(line, (double)report->live_bytes);
	buf_puts(line, " outstanding");
	text_incomplete(line, report);
}

static void add_summary(struct buf *line, const struct finding *finding)
{
	static const enum field_id ids[] = {
		FIELD_VERDICT,      FIELD_KIND,       FIELD_PID,
		FIELD_GROWTH_BYTES, FIELD_LIVE_COUNT, FIELD_LIVE_BYTES,
	};
	static const char *const before[] = { "  ", " ", " pid ", " ", " live ", " (" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		buf_puts(line, before[i]);
		field_text(line, ids[i], finding);
	}
	buf_puts(line, ") ");
	text_where(line, finding);
}

int report_lines(FILE *out, const struct report *report, const struct report_options *options)
{
	static const struct report_options unlimited = { .width = 0 };
	struct buf line __cleanup_buf = { 0 };
	size_t nr = findings_shown(report, options), i;

	errno = 0;
	add_totals(&line, report);
	put_line(out, &line, &unlimited, "");
	for (i = 0; i < nr; i++) {
		buf_reset(&line);
		add_summary(&line, &report->findings[i]);
		put_line(out, &line, &unlimited, "");
	}
	return stream_result(out, 0);
}
