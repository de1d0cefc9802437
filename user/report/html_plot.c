/* SPDX-License-Identifier: GPL-2.0-only */
/* The growth of a finding as a curve: from zero, so that what is flat looks flat. */
#include "report/html.h"
#include "report/text.h"
#include "trend/trend.h"

#define WIDTH        380
#define HEIGHT       150
#define TOP          22
#define BOTTOM       124
#define SPARK_WIDTH  84
#define SPARK_HEIGHT 18

/* Where a curve is drawn. */
struct area {
	double left, right, top, bottom;
};

static uint64_t history_most(const struct finding *finding)
{
	uint64_t most = 0;
	size_t i;

	for (i = 0; i < finding->nr_history; i++)
		most = MAX(most, finding->history[i]);
	return most;
}

static bool has_curve(const struct finding *finding)
{
	return finding->nr_history > 1 && history_most(finding) > 0;
}

/* Appends "x,y x,y ...". */
static void add_points(struct buf *html, const struct finding *finding, const struct area *area)
{
	uint64_t most = history_most(finding);
	size_t i;

	for (i = 0; i < finding->nr_history; i++) {
		double part =
			finding->nr_history > 1 ? (double)i / (double)(finding->nr_history - 1) : 1;
		double height = (double)finding->history[i] / (double)most;

		buf_printf(html, "%s%.1f,%.1f", i ? " " : "",
			   area->left + part * (area->right - area->left),
			   area->bottom - height * (area->bottom - area->top));
	}
}

void html_spark(struct buf *html, const struct finding *finding)
{
	static const struct area area = { 1, SPARK_WIDTH - 1, 2, SPARK_HEIGHT - 2 };

	if (!has_curve(finding))
		return;
	buf_printf(html,
		   "<svg class=\"spark in-%s\" width=\"%d\" height=\"%d\" aria-hidden=\"true\">"
		   "<polyline class=\"curve\" points=\"",
		   verdict_name(finding->verdict), SPARK_WIDTH, SPARK_HEIGHT);
	add_points(html, finding, &area);
	buf_puts(html, "\"/></svg>");
}

static void add_value(struct buf *html, const struct finding *finding, uint64_t value)
{
	if (kind_has_bytes((enum lb_kind)finding->site.key.kind))
		text_bytes(html, (double)value);
	else
		text_count(html, value, "object");
}

static void add_axes(struct buf *html, const struct finding *finding)
{
	buf_printf(html,
		   "<line class=\"axis\" x1=\"0\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>"
		   "<line class=\"axis\" x1=\"0\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>"
		   "<text x=\"0\" y=\"%d\">",
		   WIDTH, TOP, TOP, WIDTH, BOTTOM, BOTTOM, TOP - 7);
	add_value(html, finding, history_most(finding));
	buf_printf(html,
		   "</text><text x=\"0\" y=\"%d\">earlier</text>"
		   "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">now</text>\n",
		   BOTTOM + 16, WIDTH, BOTTOM + 16);
}

void html_plot(struct buf *html, const struct finding *finding)
{
	static const struct area area = { 2, WIDTH - 4, TOP, BOTTOM };
	size_t nr = finding->nr_history;

	if (!has_curve(finding)) {
		buf_puts(html, "<p class=\"faint\">Too short for a curve.</p>\n");
		return;
	}
	buf_printf(html,
		   "<svg class=\"plot in-%s\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\""
		   "Outstanding, from ",
		   verdict_name(finding->verdict), WIDTH, HEIGHT);
	add_value(html, finding, finding->history[0]);
	buf_puts(html, " to ");
	add_value(html, finding, finding->history[nr - 1]);
	buf_puts(html, "\">\n");
	add_axes(html, finding);
	buf_printf(html, "<polygon class=\"area\" points=\"%.1f,%.1f ", area.left, area.bottom);
	add_points(html, finding, &area);
	buf_printf(html, " %.1f,%.1f\"/>\n<polyline class=\"curve\" points=\"", area.right,
		   area.bottom);
	add_points(html, finding, &area);
	buf_puts(html, "\"/>\n</svg>\n");
}
