/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Flame graphs as SVG. The layout is right without the script: places and widths are shares of the
 * whole, each box clips its own text. The script (flame.js) adds zoom, search and keys.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "report/flame.h"
#include "report/text.h"
#include "report/write.h"
#include "report/xml.h"
#include "trend/trend.h"

#define WIDTH         "1200" /* of the document until the script fits it to the window */
#define ROW           18     /* height of a box */
#define COLUMN        7.2    /* width of a character */
#define WIDEST        2400   /* labels are cut for graphs that wide */
#define LEAST_COLUMNS 3      /* of a label */
#define NARROW_SHARE  0.004  /* narrower boxes have no border */
#define MAX_NAME      600    /* columns of a name: templates can be endless */
#define TITLE_HEIGHT  36
#define LINE_HEIGHT   18
#define LEGEND_HEIGHT 26
#define TOOLS_HEIGHT  60
#define PANEL_HEAD    48
#define PANEL_GAP     14

static double share_of(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

static void text_percent(struct buf *buf, double share)
{
	buf_printf(buf, "%.*f %%", share < 0.00995 ? 2 : 1, share * 100);
}

static void text_weight(struct buf *buf, uint64_t weight, bool counted)
{
	if (counted)
		text_count(buf, weight, "object");
	else
		text_bytes(buf, (double)weight);
}

static const char *grade_letters(const struct flame *flame, const struct flame_box *box,
				 double *ret_share)
{
	static const char *const verdicts[] = { "q", "s", "g", "l" };
	uint64_t change = MAX(box->before, box->after) - MIN(box->before, box->after);

	if (!flame->difference) {
		*ret_share = share_of(box->alarming, box->weight);
		return verdicts[box->verdict];
	}
	*ret_share = share_of(change, box->weight);
	return change == 0 ? "q" : box->after > box->before ? "r" : "b";
}

/* The colour: a letter for what it is and 1 to 4 for how much of the box is so. */
static void add_grade(struct buf *buf, const struct flame *flame, const struct flame_box *box)
{
	double share = 0;
	const char *letter = grade_letters(flame, box, &share);

	buf_printf(buf, "%s", letter);
	if (*letter != 'q')
		buf_printf(buf, "%d", share >= 0.9 ? 4 : share >= 0.5 ? 3 : share >= 0.2 ? 2 : 1);
	if (share_of(box->weight, flame->total) < NARROW_SHARE)
		buf_puts(buf, " n");
}

static void box_name(struct buf *buf, const struct flame_box *box)
{
	struct buf name __cleanup_buf = { 0 };

	if (box->level.frame)
		frame_name(&name, box->level.frame);
	else
		text_clean(&name, box->level.label ? box->level.label : "");
	text_fit(buf, name.len ? name.data : "?", MAX_NAME);
}

/* "/src/server.c:17", or the lines that the stacks differ in: "/src/server.c:17-42". */
static void box_place(struct buf *buf, const struct flame_box *box)
{
	struct frame frame;

	if (!box->level.frame)
		return;
	frame = *box->level.frame;
	frame.line = box->first_line;
	frame_place(buf, &frame, true);
	if (box->last_line > box->first_line)
		buf_printf(buf, "-%d", box->last_line);
}

static void add_difference(struct buf *text, const struct flame_box *box, bool counted)
{
	text_weight(text, box->before, counted);
	buf_puts(text, " before, ");
	text_weight(text, box->after, counted);
	buf_puts(text, " after: ");
	buf_puts(text, box->after < box->before ? "-" : "+");
	text_weight(text, MAX(box->before, box->after) - MIN(box->before, box->after), counted);
}

static void add_kinds(struct buf *text, unsigned int kinds)
{
	const char *separator = "";
	size_t kind;

	for (kind = 0; kind < LB_KIND_MAX; kind++) {
		if (!(kinds & 1U << kind))
			continue;
		buf_printf(text, "%s%s", separator, kind_name((enum lb_kind)kind));
		separator = ", ";
	}
}

/* "12.1 MiB (45.3 %), 12345 objects, heap; leaking: 12.0 MiB" */
static void add_numbers(struct buf *text, const struct flame *flame, const struct flame_box *box,
			bool counted)
{
	if (flame->difference)
		add_difference(text, box, counted);
	else
		text_weight(text, box->weight, counted);
	buf_puts(text, " (");
	text_percent(text, share_of(box->weight, flame->total));
	buf_puts(text, ")");
	if (!flame->difference && !counted) {
		buf_puts(text, ", ");
		text_count(text, box->count, "object");
	}
	buf_puts(text, ", ");
	add_kinds(text, box->kinds);
	if (flame->difference)
		return;
	buf_printf(text, "; %s: ", verdict_name(box->verdict));
	text_weight(text, box->alarming, counted);
}

/* Name, place and numbers, one line each: the script takes the name and the rest from here. */
static void add_title(struct buf *xml, const struct flame *flame, const struct flame_box *box,
		      bool counted)
{
	struct buf text __cleanup_buf = { 0 };
	size_t before;

	box_name(&text, box);
	buf_puts(&text, "\n");
	before = text.len;
	box_place(&text, box);
	if (text.len > before)
		buf_puts(&text, "\n");
	add_numbers(&text, flame, box, counted);
	buf_puts(xml, "<title>");
	xml_text(xml, text.data ? text.data : "?");
	buf_puts(xml, "</title>");
}

static void add_label(struct buf *xml, const struct flame_box *box, double share)
{
	struct buf name __cleanup_buf = { 0 }, label __cleanup_buf = { 0 };
	unsigned int columns = (unsigned int)(share * WIDEST / COLUMN);

	if (columns < LEAST_COLUMNS)
		return;
	box_name(&name, box);
	text_fit(&label, name.data ? name.data : "?", columns);
	buf_puts(xml, "<text x=\"4\" y=\"13\">");
	xml_text(xml, label.data ? label.data : "?");
	buf_puts(xml, "</text>");
}

static void write_box(FILE *out, const struct flame *flame, const struct flame_box *box,
		      bool counted)
{
	double share = share_of(box->weight, flame->total);
	struct buf xml __cleanup_buf = { 0 };

	buf_puts(&xml, "<g class=\"f ");
	add_grade(&xml, flame, box);
	buf_puts(&xml, "\">");
	add_title(&xml, flame, box, counted);
	buf_printf(&xml,
		   "<svg x=\"%.4f%%\" y=\"%u\" width=\"%.4f%%\" height=\"%d\">"
		   "<rect width=\"100%%\" height=\"%d\"/>",
		   100 * share_of(box->start, flame->total), box->depth * ROW, 100 * share, ROW,
		   ROW - 1);
	add_label(&xml, box, share);
	buf_puts(&xml, "</svg></g>\n");
	xml_flush(out, &xml);
}

/* --- panels: one graph for bytes, one for what is counted --- */

struct panel {
	struct flame flame;
	bool counted;
};

#define NR_PANELS 2

static unsigned int panel_height(const struct panel *panel)
{
	return panel->flame.nr_stacks ? PANEL_HEAD + panel->flame.nr_levels * ROW + PANEL_GAP : 0;
}

static void write_text_line(FILE *out, const char *class, unsigned int y, const char *text)
{
	struct buf xml __cleanup_buf = { 0 };

	buf_printf(&xml, "<text class=\"%s\" x=\"1%%\" y=\"%u\">", class, y);
	xml_text(&xml, text);
	buf_puts(&xml, "</text>\n");
	xml_flush(out, &xml);
}

static void add_cut(struct buf *buf, const struct flame *flame)
{
	if (flame->nr_cut == 0)
		return;
	text_count(buf, flame->nr_cut, "stack");
	buf_puts(buf, flame->nr_cut == 1 ? " (" : " (together ");
	text_percent(buf, share_of(flame->cut_weight, flame->total));
	buf_printf(buf, ") %s not drawn to the end: too narrow", flame->nr_cut == 1 ? "is" : "are");
}

static void write_panel(FILE *out, const struct panel *panel, unsigned int y)
{
	const struct flame *flame = &panel->flame;
	struct buf cut __cleanup_buf = { 0 };
	size_t i;

	if (flame->nr_stacks == 0)
		return;
	add_cut(&cut, flame);
	write_text_line(out, "h", y + 18,
			panel->counted ? "By objects outstanding" : "By bytes outstanding");
	write_text_line(out, "p", y + 36, cut.len ? cut.data : "all stacks are drawn");
	fprintf(out,
		"<svg class=\"graph\" x=\"1%%\" y=\"%u\" width=\"98%%\" height=\"%u\" "
		"tabindex=\"0\" "
		"role=\"group\" aria-label=\"Flame graph by %s\">\n",
		y + PANEL_HEAD, flame->nr_levels * ROW, panel->counted ? "objects" : "bytes");
	for (i = 0; i < flame->nr_boxes; i++)
		write_box(out, flame, &flame->boxes[i], panel->counted);
	fputs("</svg>\n", out);
}

/* --- the document --- */

static void write_legend(FILE *out, bool difference, unsigned int y)
{
	static const char *const verdicts[][2] = {
		{ "l4", "leaking" }, { "g4", "growing" }, { "s4", "suspect" }, { "q", "stable" }
	};
	static const char *const changes[][2] = { { "r4", "more" },
						  { "b4", "less" },
						  { "q", "the same" } };
	size_t nr = difference ? ARRAY_SIZE(changes) : ARRAY_SIZE(verdicts), i;

	fprintf(out, "<svg class=\"legend\" x=\"1%%\" y=\"%u\" width=\"360\" height=\"%d\">\n", y,
		LEGEND_HEIGHT);
	for (i = 0; i < nr; i++) {
		const char *const *row = difference ? changes[i] : verdicts[i];

		fprintf(out,
			"<g class=\"%s\"><rect x=\"%zu\" y=\"6\" width=\"12\" height=\"12\"/></g>"
			"<text class=\"p\" x=\"%zu\" y=\"16\">%s</text>\n",
			row[0], i * 88, i * 88 + 18, row[1]);
	}
	fputs("</svg>\n", out);
}

/* What stands above the graph, line by line: the subtitle's parts and the note. */
static void add_lines(struct buf *lines, const struct flame_input *input, bool alone)
{
	const char *text;

	for (text = alone ? input->subtitle : ""; *text; text++) {
		bool split = strncmp(text, "; ", 2) == 0;

		buf_add(lines, split ? "\n" : text, 1);
		text += split;
	}
	if (lines->len > 0)
		buf_puts(lines, "\n");
	if (input->note[0])
		buf_printf(lines, "%s\n", input->note);
}

/* Writes the lines below each other from @y on; returns where the next one would stand. */
static unsigned int write_lines(FILE *out, struct buf *lines, unsigned int y)
{
	char *rest = lines->data, *line;

	while (rest && *rest) {
		line = strsep(&rest, "\n");
		write_text_line(out, "p", y + LINE_HEIGHT - 4, line);
		y += LINE_HEIGHT;
	}
	return y;
}

static unsigned int nr_lines(const struct buf *lines)
{
	unsigned int nr = 0;
	size_t i;

	for (i = 0; i < lines->len; i++)
		nr += lines->data[i] == '\n';
	return nr;
}

static void write_head(FILE *out, const struct flame_input *input, unsigned int height, bool alone)
{
	struct buf xml __cleanup_buf = { 0 };

	if (alone)
		buf_puts(&xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
	buf_printf(&xml,
		   "<svg class=\"flame\" xmlns=\"http://www.w3.org/2000/svg\" width=\"%s\" "
		   "height=\"%u\">\n",
		   alone ? WIDTH : "100%", height);
	if (alone) {
		buf_puts(&xml, "<title>");
		xml_text(&xml, input->title);
		buf_printf(&xml,
			   "</title>\n<style><![CDATA[\n%s]]></style>\n"
			   "<rect class=\"back\" width=\"100%%\" height=\"100%%\"/>\n",
			   embedded_flame_css);
	}
	xml_flush(out, &xml);
	if (alone)
		write_text_line(out, "t", 28, input->title);
}

static void write_tail(FILE *out, bool alone)
{
	if (alone)
		fprintf(out, "<script><![CDATA[\n%s]]></script>\n", embedded_flame_js);
	fputs("</svg>\n", out);
}

static void write_tools(FILE *out, bool empty, unsigned int y)
{
	fprintf(out,
		"<svg class=\"tools\" x=\"1%%\" y=\"%u\" width=\"98%%\" height=\"%d\">\n"
		"<text class=\"p\" x=\"0\" y=\"18\">%s</text></svg>\n",
		y, TOOLS_HEIGHT,
		empty ? "Nothing is outstanding."
		      : "The root is on top; a browser that runs scripts can zoom and search.");
}

static void write_document(FILE *out, const struct flame_input *input,
			   const struct panel panels[NR_PANELS], bool alone)
{
	bool empty = panels[0].flame.nr_stacks == 0 && panels[1].flame.nr_stacks == 0;
	unsigned int title = alone ? TITLE_HEIGHT : 0, y;
	struct buf lines __cleanup_buf = { 0 };
	size_t i;

	add_lines(&lines, input, alone);
	y = title + nr_lines(&lines) * LINE_HEIGHT + LEGEND_HEIGHT + TOOLS_HEIGHT;
	write_head(out, input, y + panel_height(&panels[0]) + panel_height(&panels[1]), alone);
	y = write_lines(out, &lines, title);
	write_legend(out, input->difference, y);
	y += LEGEND_HEIGHT;
	write_tools(out, empty, y);
	y += TOOLS_HEIGHT;
	for (i = 0; i < NR_PANELS; i++) {
		write_panel(out, &panels[i], y);
		y += panel_height(&panels[i]);
	}
	write_tail(out, alone);
}

int flame_element(FILE *out, const struct flame_input *input, bool alone)
{
	struct panel panels[NR_PANELS] = { { .counted = false }, { .counted = true } };
	int code = 0;
	size_t i;

	for (i = 0; i < NR_PANELS && !code; i++)
		code = flame_build(input, panels[i].counted, &panels[i].flame);
	if (!code)
		write_document(out, input, panels, alone);
	for (i = 0; i < NR_PANELS; i++)
		flame_done(&panels[i].flame);
	return code;
}

int flame_write(FILE *out, const struct flame_input *input)
{
	int code = flame_element(out, input, true);

	if (code)
		return code;
	errno = 0;
	if (fflush(out) != 0 || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}
