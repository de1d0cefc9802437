/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of the live screen: which columns fit, and the row of a site. */
#include "report/fields.h"
#include "report/live.h"

#define SHORT_CURVE     8
#define LONG_CURVE      16
#define LONG_FROM       110 /* columns of the screen for the longer curve */
#define CURVE_FROM      80
#define SHORT_KIND      6 /* "gorou…" */
#define WHOLE_KIND_FROM 100

/* In the order on the screen. Before the first one stands the mark of the cursor, behind the last
 * one the curve and the place. */
static const struct column {
	enum field_id id;
	const char *title;
	unsigned int width;
	unsigned int from; /* shown on screens at least that wide */
} columns[] = {
	{ FIELD_VERDICT, "VERDICT", 7, 0 },
	{ FIELD_CONFIDENCE, "CONF", 4, 66 },
	{ FIELD_KIND, "KIND", 4, 48 },
	{ FIELD_PID, "PID", 7, 90 },
	{ FIELD_GROWTH_BYTES, "GROWTH", 11, 34 },
	{ FIELD_LIVE_COUNT, "LIVE", 7, 72 },
	{ FIELD_LIVE_BYTES, "BYTES", 8, 58 },
	{ FIELD_OPENED_COUNT, "OPENED", 9, 140 },
	{ FIELD_CLOSED_COUNT, "CLOSED", 9, 140 },
	{ FIELD_OLDEST, "OLDEST", 12, 100 },
};

static bool is_shown(const struct live *live, const struct column *column)
{
	return live->columns >= column->from &&
	       (column->id != FIELD_PID || live->data.many_targets);
}

/* Kinds take as much as the longest that is there, but not the place's room on small screens. */
static unsigned int width_of(const struct live *live, const struct column *column)
{
	unsigned int width = live->data.kind_width;

	if (column->id != FIELD_KIND)
		return column->width;
	if (live->columns < WHOLE_KIND_FROM)
		width = MIN(width, SHORT_KIND);
	return MAX(column->width, width);
}

/* Names stand left, numbers right; a blank follows. */
static void add_cell(const struct live *live, struct buf *line, const struct column *column,
		     const char *text)
{
	struct buf fitted __cleanup_buf = { 0 };
	unsigned int width = width_of(live, column), used = text_fit(&fitted, text, width);
	const char *shown = fitted.data ? fitted.data : "";
	int blanks = (int)(width - MIN(used, width));

	if (column->id == FIELD_VERDICT || column->id == FIELD_KIND)
		buf_printf(line, "%s%*s ", shown, blanks, "");
	else
		buf_printf(line, "%*s%s ", blanks, "", shown);
}

/* Numbers that do not fit their column lose digits, not their meaning. */
static void add_count(struct buf *text, uint64_t count)
{
	if (count < 10000000)
		buf_printf(text, "%ju", (uintmax_t)count);
	else if (count < 10000000000)
		buf_printf(text, "%.1fM", (double)count / 1e6);
	else
		buf_printf(text, "%.1fG", (double)count / 1e9);
}

static void cell_text(struct buf *text, enum field_id id, const struct finding *finding)
{
	const struct site_count *site = &finding->site;

	switch (id) {
	case FIELD_CONFIDENCE:
		if (finding->verdict != VERDICT_STABLE)
			field_text(text, id, finding);
		break;
	case FIELD_GROWTH_BYTES:
		field_text(text, growth_field(finding), finding);
		break;
	case FIELD_LIVE_COUNT:
		add_count(text, site->live_count);
		break;
	case FIELD_OPENED_COUNT:
		add_count(text, site->opened_count);
		break;
	case FIELD_CLOSED_COUNT:
		add_count(text, site->closed_count);
		break;
	default:
		field_text(text, id, finding);
	}
}

static unsigned int curve_width(const struct live *live)
{
	if (live->columns < CURVE_FROM)
		return 0;
	return live->columns < LONG_FROM ? SHORT_CURVE : LONG_CURVE;
}

void live_titles(const struct live *live, struct buf *line)
{
	unsigned int curve = curve_width(live);
	size_t i;

	buf_puts(line, " ");
	for (i = 0; i < ARRAY_SIZE(columns); i++) {
		if (is_shown(live, &columns[i]))
			add_cell(live, line, &columns[i], columns[i].title);
	}
	if (curve)
		buf_printf(line, "%-*s ", (int)curve, "HISTORY");
	buf_puts(line, "WHERE");
}

void live_curve(struct buf *buf, const struct finding *finding, unsigned int width)
{
	static const char *const levels[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	size_t nr = MIN(finding->nr_history, width), from = finding->nr_history - nr, i;
	uint64_t most = 1;

	for (i = from; i < finding->nr_history; i++)
		most = MAX(most, finding->history[i]);
	for (i = from; i < finding->nr_history; i++) {
		double share = (double)finding->history[i] / (double)most;

		buf_puts(buf, levels[MIN((size_t)(share * 8), ARRAY_SIZE(levels) - 1)]);
	}
	buf_printf(buf, "%*s", (int)(width - nr), "");
}

void live_row(const struct live *live, const struct live_site *site, struct buf *line)
{
	struct buf text __cleanup_buf = { 0 };
	unsigned int curve = curve_width(live);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(columns); i++) {
		if (!is_shown(live, &columns[i]))
			continue;
		buf_reset(&text);
		cell_text(&text, columns[i].id, &site->finding);
		add_cell(live, line, &columns[i], text.data ? text.data : "");
	}
	if (curve) {
		live_curve(line, &site->finding, curve);
		buf_puts(line, " ");
	}
	text_where(line, &site->finding);
}
