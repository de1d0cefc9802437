/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of findings; each opens to its curve, its numbers and its stack. */
#include <string.h>

#include "report/fields.h"
#include "report/html.h"
#include "report/xml.h"
#include "trend/trend.h"

/* Appends the value of a field, escaped. */
static void add_field(struct buf *html, enum field_id id, const struct finding *finding)
{
	struct buf text __cleanup_buf = { 0 };

	field_text(&text, id, finding);
	xml_text(html, text.data ? text.data : "");
}

static bool has_bytes(const struct finding *finding)
{
	return kind_has_bytes((enum lb_kind)finding->site.key.kind);
}

/* --- the row --- */

static void add_verdict(struct buf *html, const struct finding *finding)
{
	const char *name = verdict_name(finding->verdict);

	buf_printf(html, "<td role=\"cell\"><span class=\"chip %s\">%s</span>", name, name);
	if (finding->verdict != VERDICT_STABLE)
		buf_printf(html, "<span class=\"small\">%.0f %% sure</span>",
			   finding->confidence * 100);
	buf_puts(html, "</td>");
}

static void add_growth(struct buf *html, const struct finding *finding)
{
	enum field_id id = has_bytes(finding) ? FIELD_GROWTH_BYTES : FIELD_GROWTH_COUNT;

	buf_puts(html, "<td role=\"cell\" class=\"growth\">");
	add_field(html, id, finding);
	html_spark(html, finding);
	buf_puts(html, "</td>");
}

static void add_live(struct buf *html, const struct finding *finding)
{
	struct buf count __cleanup_buf = { 0 };

	text_count(&count, finding->site.live_count, "object");
	buf_puts(html, "<td role=\"cell\" class=\"number\">");
	if (finding->site.estimated)
		buf_puts(html, "about ");
	if (has_bytes(finding)) {
		add_field(html, FIELD_LIVE_BYTES, finding);
		buf_puts(html, "<span class=\"small\">");
	}
	buf_puts(html, count.data ? count.data : "");
	buf_puts(html, has_bytes(finding) ? "</span></td>" : "</td>");
}

static void add_oldest(struct buf *html, const struct finding *finding)
{
	buf_puts(html, "<td role=\"cell\" class=\"number oldest\">");
	add_field(html, FIELD_OLDEST, finding);
	buf_puts(html, "</td>");
}

/* The frame to look at first, in two lines; the name opens the finding. */
static void add_where(struct buf *html, const struct finding *finding, size_t number)
{
	const struct frame *frame = stack_where(finding->stack);
	struct buf name __cleanup_buf = { 0 }, place __cleanup_buf = { 0 };

	if (frame) {
		frame_name(&name, frame);
		frame_place(&place, frame, false);
	}
	buf_printf(html,
		   "<td role=\"cell\" class=\"name\"><button type=\"button\" class=\"open\" "
		   "aria-expanded=\"true\" aria-controls=\"finding-%zu\"><span class=\"where\">",
		   number);
	xml_text(html, name.len ? name.data : "(stack unknown)");
	buf_puts(html, "<span class=\"place\">");
	xml_text(html, place.len ? place.data : "");
	buf_puts(html, place.len ? " \xc2\xb7 " : "");
	add_field(html, FIELD_KIND, finding);
	buf_puts(html, " \xc2\xb7 PID ");
	add_field(html, FIELD_PID, finding);
	if (finding->nr_stacks > 1)
		buf_printf(html, " \xc2\xb7 %u stacks together, of which this is the largest",
			   finding->nr_stacks);
	buf_puts(html, "</span></span></button></td>");
}

/* --- what it opens to --- */

static void add_frame(struct buf *html, const struct frame *frame, bool blamed)
{
	struct buf name __cleanup_buf = { 0 }, place __cleanup_buf = { 0 };

	frame_name(&name, frame);
	frame_place(&place, frame, true);
	buf_printf(html, "<li%s>", blamed ? " class=\"blamed\"" : "");
	xml_text(html, name.len ? name.data : "?");
	if (place.len || frame->inlined)
		buf_puts(html, "<span class=\"place\">");
	xml_text(html, place.len ? place.data : "");
	if (frame->inlined)
		buf_puts(html, place.len ? " (inlined)" : "(inlined)");
	if (place.len || frame->inlined)
		buf_puts(html, "</span>");
	buf_puts(html, "</li>\n");
}

static void add_stack(struct buf *html, const struct stack *stack)
{
	const struct frame *where = stack_where(stack);
	size_t i;

	if (!where) {
		buf_puts(html, "<p class=\"faint\">The frames of this stack are unknown.</p>\n");
		return;
	}
	buf_puts(html, "<ol class=\"stack\">\n");
	for (i = 0; i < stack->nr_frames; i++)
		add_frame(html, &stack->frames[i], &stack->frames[i] == where);
	buf_puts(html, "</ol>\n");
	if (stack->flags & LB_STACK_TRUNCATED)
		buf_printf(html,
			   "<p class=\"faint\">Deeper than %d frames: the outer ones are cut "
			   "off.</p>\n",
			   LB_MAX_FRAMES);
	else if (stack->flags & LB_STACK_INCOMPLETE)
		buf_puts(html, "<p class=\"faint\">The walk ended here: code without frame "
			       "pointers.</p>\n");
}

/* "first_alert_s" -> "first alert": the value has the unit. */
static void add_field_name(struct buf *html, const struct field *field)
{
	static const char *const endings[] = {
		[UNIT_SECONDS] = "_s",
		[UNIT_WAIT] = "_s",
		[UNIT_COUNT_PER_S] = "_per_s",
		[UNIT_BYTES_PER_S] = "_per_s",
	};
	const char *ending = field->unit < ARRAY_SIZE(endings) ? endings[field->unit] : NULL;
	size_t len = strlen(field->name), i;

	if (ending && len > strlen(ending) &&
	    strcmp(field->name + len - strlen(ending), ending) == 0)
		len -= strlen(ending);
	for (i = 0; i < len; i++)
		buf_add(html, field->name[i] == '_' ? " " : field->name + i, 1);
}

/* Is the field worth a line: known, true, and not in the row already? */
static bool is_of_note(enum field_id id, const struct finding *finding)
{
	static const bool elsewhere[FIELD_MAX] = {
		[FIELD_KIND] = true,
		[FIELD_VERDICT] = true,
		[FIELD_PID] = true,
		[FIELD_LIVE_BYTES] = true,
		[FIELD_LIVE_COUNT] = true,
		[FIELD_CONFIDENCE] = true,
		[FIELD_GROWTH_COUNT_LOW] = true,
		[FIELD_GROWTH_COUNT_HIGH] = true,
		[FIELD_GROWTH_BYTES_LOW] = true,
		[FIELD_GROWTH_BYTES_HIGH] = true,
		[FIELD_NR_STACKS] = true,
		[FIELD_WHY] = true,
		[FIELD_PROOF] = true,
		[FIELD_STACK_TRUNCATED] = true,
		[FIELD_STACK_INCOMPLETE] = true,
	};
	struct value value = fields[id].get(finding);

	return !elsewhere[id] && value.type != VALUE_UNKNOWN &&
	       !(value.type == VALUE_BOOL && !value.integer);
}

/* The interval that the true growth lies in, 19 times of 20. */
static void add_interval(struct buf *html, const struct finding *finding)
{
	enum field_id low = has_bytes(finding) ? FIELD_GROWTH_BYTES_LOW : FIELD_GROWTH_COUNT_LOW;
	enum field_id high = has_bytes(finding) ? FIELD_GROWTH_BYTES_HIGH : FIELD_GROWTH_COUNT_HIGH;

	if (finding->growth_count_high <= finding->growth_count_low)
		return;
	buf_puts(html, "<dt>growth, 95 % sure</dt><dd>");
	add_field(html, low, finding);
	buf_puts(html, " to ");
	add_field(html, high, finding);
	buf_puts(html, "</dd>\n");
}

static void add_numbers(struct buf *html, const struct finding *finding)
{
	enum field_id id;

	buf_puts(html, "<dl>\n");
	add_interval(html, finding);
	for (id = 0; id < FIELD_MAX; id++) {
		if (!is_of_note(id, finding))
			continue;
		buf_puts(html, "<dt>");
		add_field_name(html, &fields[id]);
		buf_puts(html, "</dt><dd>");
		add_field(html, id, finding);
		buf_puts(html, "</dd>\n");
	}
	buf_puts(html, "</dl>\n");
}

static void add_inside(struct buf *html, const struct finding *finding)
{
	struct buf why __cleanup_buf = { 0 };

	buf_puts(html, "<div class=\"inside\">\n");
	text_why(&why, finding);
	if (why.len > 0) {
		buf_puts(html, "<p class=\"why\">");
		xml_foreign(html, why.data);
		buf_puts(html, "</p>\n");
	}
	buf_puts(html, "<div><h3>Outstanding over time</h3>\n");
	html_plot(html, finding);
	add_numbers(html, finding);
	buf_puts(html, "</div>\n<div><h3>Stack, innermost frame first</h3>\n");
	add_stack(html, finding->stack);
	buf_puts(html, "</div>\n</div>");
}

static void write_finding(FILE *out, const struct finding *finding, size_t number)
{
	struct buf html __cleanup_buf = { 0 };

	buf_puts(&html,
		 "<tbody role=\"rowgroup\" class=\"finding\">\n<tr role=\"row\" class=\"row\">");
	add_verdict(&html, finding);
	add_growth(&html, finding);
	add_live(&html, finding);
	add_oldest(&html, finding);
	add_where(&html, finding, number);
	buf_printf(&html,
		   "</tr>\n<tr role=\"row\" class=\"more%s\" id=\"finding-%zu\"><td role=\"cell\" "
		   "colspan=\"5\">",
		   finding->verdict >= VERDICT_GROWING ? " of-note" : "", number);
	add_inside(&html, finding);
	buf_puts(&html, "</td></tr>\n</tbody>\n");
	xml_flush(out, &html);
}

/* --- the table --- */

static void write_nothing(FILE *out, const struct report *report)
{
	if (report->judged)
		fputs("<p>Nothing to report: no site kept growing.</p>\n", out);
	else
		fprintf(out,
			"<p>Too short for a verdict: %u of %u polls. Watch longer (-d) or poll "
			"more "
			"often (-i).</p>\n",
			report->nr_polls, report->polls_needed);
}

size_t html_shown(const struct report *report, const struct report_options *options)
{
	return MIN(findings_shown(report, options), HTML_MAX_FINDINGS);
}

void html_findings(FILE *out, const struct report *report, const struct report_options *options)
{
	size_t nr = html_shown(report, options), i;

	if (nr == 0) {
		write_nothing(out, report);
		return;
	}
	fputs("<table role=\"table\" class=\"findings\">\n<thead role=\"rowgroup\"><tr "
	      "role=\"row\">"
	      "<th role=\"columnheader\" scope=\"col\">Verdict</th>"
	      "<th role=\"columnheader\" scope=\"col\">Growth</th>"
	      "<th role=\"columnheader\" scope=\"col\" class=\"number\">Outstanding</th>"
	      "<th role=\"columnheader\" scope=\"col\" class=\"number\">Oldest</th>"
	      "<th role=\"columnheader\" scope=\"col\">Where</th></tr></thead>\n",
	      out);
	for (i = 0; i < nr; i++)
		write_finding(out, &report->findings[i], i + 1);
	fputs("</table>\n", out);
}
