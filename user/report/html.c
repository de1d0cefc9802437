/* SPDX-License-Identifier: GPL-2.0-only */
/* The HTML report: one file that needs nothing else and may fetch nothing. */
#include "report/html.h"

#include <inttypes.h>

#include "report/flame.h"
#include "report/text.h"
#include "report/write.h"
#include "report/xml.h"
#include "trend/trend.h"

/* --- the head: verdicts first --- */

static void write_start(FILE *out, const struct report *report)
{
	struct buf line __cleanup_buf = { 0 }, html __cleanup_buf = { 0 };

	text_headline(&line, report);
	xml_text(&html, line.data ? line.data : "");
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
	      "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>"
	      "leakbpf: ",
	      out);
	xml_flush(out, &html);
	fprintf(out, "</title>\n<style>\n%s%s</style>\n</head>\n<body>\n<main>\n",
		embedded_flame_css, embedded_page_css);
}

static void add_chip(struct buf *html, enum verdict verdict, size_t nr)
{
	const char *name = verdict_name(verdict);

	buf_printf(html, "<li class=\"chip %s%s\">%zu %s</li>\n", name, nr ? "" : " none", nr,
		   name);
}

static void add_when(struct buf *html, const struct report *report)
{
	struct tm tm;
	char when[64];

	if (report->wall_s == 0 || !gmtime_r(&report->wall_s, &tm))
		return;
	if (strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &tm) > 0)
		buf_printf(html, ", until %s", when);
}

/* The totals, also of what the findings leave out. */
static void add_totals(struct buf *html, const struct report *report)
{
	buf_puts(html, "<p class=\"faint\">Outstanding since the start: ");
	text_count(html, report->live_count, "object");
	buf_puts(html, " of ");
	text_bytes(html, (double)report->live_bytes);
	buf_puts(html, " at ");
	text_count(html, report->nr_sites, "site");
	buf_puts(html, ".</p>\n");
}

static void write_header(FILE *out, const struct report *report)
{
	struct buf html __cleanup_buf = { 0 }, targets __cleanup_buf = { 0 };
	struct buf verdicts __cleanup_buf = { 0 };
	size_t i;

	text_verdicts(&verdicts, report);
	text_targets(&targets, report);
	buf_puts(&html, "<header>\n<p class=\"brand\">leakbpf report</p>\n<h1>");
	buf_puts(&html, verdicts.len     ? verdicts.data
			: report->judged ? "Nothing grows"
					 : "No verdict yet");
	buf_puts(&html, "</h1>\n<p>");
	xml_text(&html, targets.data ? targets.data : "");
	buf_puts(&html, ", watched ");
	text_seconds(&html, report->duration_s);
	buf_puts(&html, " in ");
	text_count(&html, report->nr_polls, "poll");
	add_when(&html, report);
	buf_puts(&html, "</p>\n");
	add_totals(&html, report);
	buf_puts(&html, "<ul class=\"chips\" aria-label=\"Sites by verdict\">\n");
	for (i = VERDICT_LEAKING + 1; i-- > 0;)
		add_chip(&html, (enum verdict)i, report->verdicts[i]);
	buf_puts(&html, "</ul>\n</header>\n");
	xml_flush(out, &html);
}

/* --- what was not seen --- */

static void add_blind_spots(struct buf *html, const struct target *target)
{
	size_t i;

	for (i = 0; i < target->nr_blind_spots; i++) {
		buf_printf(html, "<li>PID %d: ", (int)target->pid);
		xml_foreign(html, target->blind_spots[i]);
		buf_puts(html, "</li>\n");
	}
	if (target->nr_allocators == 0 && target->runtime == RUNTIME_NATIVE)
		buf_printf(html, "<li>PID %d: no allocator found</li>\n", (int)target->pid);
}

static void add_gaps(struct buf *html, const struct report *report)
{
	const struct lb_stats *stats = &report->snapshot->stats;
	struct buf lost __cleanup_buf = { 0 };
	size_t i;

	text_incomplete(&lost, report);
	if (lost.len > 2)
		buf_printf(html, "<li>%s</li>\n", lost.data + 2);
	for (i = 0; i < report->nr_targets; i++)
		add_blind_spots(html, &report->targets[i]);
	if (report->nr_missed_children)
		buf_printf(html,
			   "<li>child processes that ended before they could be watched, or could "
			   "not be: "
			   "%zu</li>\n",
			   report->nr_missed_children);
	for (i = 0; i < LB_DEFECT_MAX; i++) {
		if (stats->defect[i])
			buf_printf(html, "<li>%s: %ju</li>\n", defect_sentence((enum lb_defect)i),
				   (uintmax_t)stats->defect[i]);
	}
}

static void write_gaps(FILE *out, const struct report *report)
{
	struct buf html __cleanup_buf = { 0 };

	add_gaps(&html, report);
	if (html.len == 0)
		return;
	fputs("<section class=\"notice\">\n<h2>Not everything was seen</h2>\n<ul>\n", out);
	xml_flush(out, &html);
	fputs("</ul>\n</section>\n", out);
}

/* --- the sections --- */

/* Says that more sites would have been there to report. */
static void write_more(FILE *out, const struct report *report, const struct report_options *options)
{
	size_t shown = html_shown(report, options), wanted = 0, i;

	for (i = options->all_sites ? VERDICT_STABLE : VERDICT_SUSPECT; i <= VERDICT_LEAKING; i++)
		wanted += report->verdicts[i];
	if (wanted > shown)
		fprintf(out, "<p class=\"faint\">%zu more not shown; -f json has all.</p>\n",
			wanted - shown);
}

static void write_findings(FILE *out, const struct report *report,
			   const struct report_options *options)
{
	fputs("<section>\n<div class=\"heading\"><h2>Findings</h2>"
	      "<button type=\"button\" id=\"all\" hidden>Open all</button></div>\n",
	      out);
	html_findings(out, report, options);
	write_more(out, report, options);
	fputs("</section>\n", out);
}

static void write_graph(FILE *out, const struct report *report,
			const struct report_options *options)
{
	fputs("<section>\n<h2>What is outstanding</h2>\n", out);
	flame_report(out, report, options, false);
	fputs("</section>\n", out);
}

static void add_target(struct buf *html, const struct target *target)
{
	size_t i;

	buf_printf(html, "<tr><th scope=\"row\">%d</th><td>", (int)target->pid);
	xml_foreign(html, target->comm);
	buf_puts(html, target->exited ? " (exited)" : "");
	buf_puts(html, "</td><td class=\"mono\">");
	xml_foreign(html, target->exe ? target->exe : "?");
	buf_puts(html, "</td><td>");
	xml_foreign(html, target->runtime == RUNTIME_GO && target->go_version ? target->go_version
									      : "native");
	buf_puts(html, "</td><td>");
	for (i = 0; i < target->nr_allocators; i++) {
		buf_puts(html, i ? ", " : "");
		xml_foreign(html, target->allocators[i]);
	}
	if (target->nr_allocators == 0)
		buf_puts(html, target->runtime == RUNTIME_GO ? "-" : "none found");
	buf_puts(html, "</td></tr>\n");
}

static void write_targets(FILE *out, const struct report *report)
{
	struct buf html __cleanup_buf = { 0 };
	size_t i;

	buf_puts(&html,
		 "<section>\n<h2>Processes</h2>\n<div class=\"wide\"><table class=\"plain\">\n"
		 "<thead><tr><th scope=\"col\">PID</th><th scope=\"col\">Name</th>"
		 "<th scope=\"col\">Program</th><th scope=\"col\">Runtime</th>"
		 "<th scope=\"col\">Allocators</th></tr></thead>\n<tbody>\n");
	for (i = 0; i < report->nr_targets; i++)
		add_target(&html, &report->targets[i]);
	buf_puts(&html, "</tbody>\n</table></div>\n</section>\n");
	xml_flush(out, &html);
}

/* --- the ledger: every counter, in the order of the conservation law of leakbpf.h --- */

static bool is_seen(const struct snapshot *snapshot, size_t kind)
{
	return snapshot->stats.count[kind][LB_COUNT_HITS] > 0 ||
	       snapshot->stats.count[kind][LB_COUNT_CLOSES] > 0;
}

/* Appends a row: a counter of every kind that was seen, @stride numbers from kind to kind. */
static void add_row(struct buf *html, const struct snapshot *snapshot, const char *prefix,
		    const char *name, const __u64 *counts, size_t stride)
{
	size_t kind;

	buf_printf(html, "<tr><th scope=\"row\">%s", prefix);
	for (; *name; name++)
		buf_add(html, *name == '_' ? " " : name, 1);
	buf_puts(html, "</th>");
	for (kind = 0; kind < LB_KIND_MAX; kind++) {
		intmax_t count = (intmax_t)counts[kind * stride];

		if (is_seen(snapshot, kind))
			buf_printf(html, "<td class=\"number%s\">%jd</td>", count ? "" : " zero",
				   count);
	}
	buf_puts(html, "</tr>\n");
}

/* What follows from the counters, kind by kind. */
static void add_balances(struct buf *html, const struct snapshot *snapshot)
{
	__u64 opened[LB_KIND_MAX], matched[LB_KIND_MAX], in_flight[LB_KIND_MAX],
		closing[LB_KIND_MAX];
	size_t kind;

	for (kind = 0; kind < LB_KIND_MAX; kind++) {
		struct balance balance = snapshot_balance(snapshot, (enum lb_kind)kind);

		opened[kind] = snapshot->opened[kind];
		matched[kind] = balance.matched;
		in_flight[kind] = (__u64)balance.in_flight;
		closing[kind] = (__u64)balance.closing;
	}
	add_row(html, snapshot, "", "opened", opened, 1);
	add_row(html, snapshot, "", "matched", matched, 1);
	add_row(html, snapshot, "", "in flight", in_flight, 1);
	add_row(html, snapshot, "", "closing", closing, 1);
}

static void write_ledger(FILE *out, const struct snapshot *snapshot)
{
	const struct lb_stats *stats = &snapshot->stats;
	struct buf html __cleanup_buf = { 0 };
	size_t i;

	buf_puts(&html, "<details><summary>All counters</summary>\n<table class=\"plain "
			"counters\">\n<thead><tr><th scope=\"col\">Counter</th>");
	for (i = 0; i < LB_KIND_MAX; i++) {
		if (is_seen(snapshot, i))
			buf_printf(&html, "<th scope=\"col\" class=\"number\">%s</th>",
				   kind_name((enum lb_kind)i));
	}
	buf_puts(&html, "</tr></thead>\n<tbody>\n");
	for (i = 0; i < LB_COUNT_MAX; i++)
		add_row(&html, snapshot, "", count_name((enum lb_count)i), &stats->count[0][i],
			LB_COUNT_MAX);
	add_balances(&html, snapshot);
	for (i = 0; i < LB_LOSS_MAX; i++)
		add_row(&html, snapshot, "lost: ", loss_name((enum lb_loss)i), &stats->loss[0][i],
			LB_LOSS_MAX);
	buf_puts(&html, "</tbody>\n</table>\n</details>\n");
	xml_flush(out, &html);
}

static void write_completeness(FILE *out, const struct report *report)
{
	uint64_t lost = snapshot_lost(report->snapshot);
	struct buf html __cleanup_buf = { 0 };

	buf_puts(&html, "<section>\n<h2>How complete this is</h2>\n<p>");
	if (lost)
		text_count(&html, lost, "event");
	buf_puts(&html, lost ? " lost; they are counted below by cause." : "No event was lost.");
	buf_puts(&html,
		 " Every call adds up: hits = opened + failed + nested + sampled out + lost + "
		 "in flight; closes = matched + unmatched + partial + closing.</p>\n");
	xml_flush(out, &html);
	write_ledger(out, report->snapshot);
	fprintf(out, "<p class=\"faint\">Probes: %s; the last poll took %.1f ms.</p>\n</section>\n",
		report->attach_mode ? report->attach_mode : "none", report->poll_ms);
}

void write_html(FILE *out, const struct report *report, const struct report_options *options)
{
	write_start(out, report);
	write_header(out, report);
	write_gaps(out, report);
	write_findings(out, report, options);
	write_graph(out, report, options);
	write_targets(out, report);
	write_completeness(out, report);
	fprintf(out, "</main>\n<script>\n%s%s</script>\n</body>\n</html>\n", embedded_page_js,
		embedded_flame_js);
}
