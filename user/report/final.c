/* SPDX-License-Identifier: GPL-2.0-only */
/* The report for people: verdict first, numbers second, stack third, and what could not be seen. */
#include <inttypes.h>

#include "report/fields.h"
#include "report/write.h"
#include "trend/trend.h"

#define NAME_COLUMNS 40 /* of a function name before its place in the source */

static void put(FILE *out, const struct buf *buf)
{
	if (buf->data && !buf->error)
		fwrite(buf->data, 1, buf->len, out);
}

/* The first line: the verdict, and in the same breath what is not exact. */
static void write_headline(FILE *out, const struct report *report)
{
	struct buf line __cleanup_buf = { 0 };

	buf_puts(&line, "leakbpf: ");
	text_headline(&line, report);
	buf_puts(&line, "\n");
	put(out, &line);
}

/* What a report without findings is worth. */
static void write_nothing(FILE *out, const struct report *report)
{
	struct buf text __cleanup_buf = { 0 };

	if (!report->judged)
		buf_printf(
			&text,
			"Too short for a verdict: %u of %u polls. Watch longer (-d) or poll more "
			"often (-i).\n",
			report->nr_polls, report->polls_needed);
	else
		buf_puts(&text, "Nothing to report: no site kept growing.\n");
	text_count(&text, report->nr_sites, "site");
	buf_puts(&text, " seen, ");
	text_count(&text, report->live_count, "object");
	buf_puts(&text, " of ");
	text_bytes(&text, (double)report->live_bytes);
	buf_puts(&text, " outstanding since the start (--all-sites lists them).\n");
	put(out, &text);
}

/* What is proven to leak need not grow. */
static bool has_rate(const struct finding *finding)
{
	return finding->growth_count_per_s > 0 ||
	       (!finding->site.proof && growth_is_known(finding));
}

/* "+9.4 KiB/s (+9.63/s) " */
static void add_rate(struct buf *text, const struct finding *finding)
{
	field_text(text, growth_field(finding), finding);
	if (growth_field(finding) != FIELD_GROWTH_COUNT) {
		buf_puts(text, " (");
		field_text(text, FIELD_GROWTH_COUNT, finding);
		buf_puts(text, ")");
	}
	buf_puts(text, " ");
}

/* Appends "1. LEAKING heap +20.5 KiB/s (+12.0/s) in PID 123, confidence 0.97". */
static void add_verdict(struct buf *text, const struct finding *finding, size_t number, bool colour)
{
	const char *name = verdict_name(finding->verdict);
	const char *mark = colour ? verdict_colour(finding->verdict) : "";

	buf_printf(text, "\n%zu. %s", number, mark);
	for (; *name; name++)
		buf_printf(text, "%c", *name - 'a' + 'A');
	buf_printf(text, "%s ", *mark ? "\033[0m" : "");
	field_text(text, FIELD_KIND, finding);
	buf_puts(text, " ");
	if (has_rate(finding))
		add_rate(text, finding);
	buf_puts(text, "in PID ");
	field_text(text, FIELD_PID, finding);
	if (finding->verdict != VERDICT_STABLE) {
		buf_puts(text, ", confidence ");
		field_text(text, FIELD_CONFIDENCE, finding);
	}
	buf_puts(text, "\n");
	if (finding->verdict != VERDICT_STABLE) {
		buf_puts(text, "   why: ");
		text_why(text, finding);
		buf_puts(text, "\n");
	}
}

/* Appends ", label value" when the value is known. */
static void add_known(struct buf *text, const char *label, enum field_id id,
		      const struct finding *finding)
{
	if (fields[id].get(finding).type == VALUE_UNKNOWN)
		return;
	buf_printf(text, ", %s ", label);
	field_text(text, id, finding);
}

/* What objects of kinds without bytes are called. */
static const char *noun_of(enum lb_kind kind)
{
	return kind == LB_KIND_NEWPROC || kind == LB_KIND_GOPARK ? "goroutine" : kind_name(kind);
}

void text_numbers(struct buf *text, const struct finding *finding)
{
	buf_puts(text, "live ");
	if (finding->site.estimated)
		buf_puts(text, "about ");
	if (kind_has_bytes((enum lb_kind)finding->site.key.kind)) {
		field_text(text, FIELD_LIVE_BYTES, finding);
		buf_puts(text, " in ");
		text_count(text, finding->site.live_count, "object");
	} else {
		text_count(text, finding->site.live_count,
			   noun_of((enum lb_kind)finding->site.key.kind));
	}
	add_known(text, "waited", FIELD_WAITED, finding);
	add_known(text, "longest", FIELD_LONGEST, finding);
	add_known(text, "opened", FIELD_OPENED_COUNT, finding);
	add_known(text, "closed", FIELD_CLOSED_COUNT, finding);
	add_known(text, "oldest", FIELD_OLDEST, finding);
	add_known(text, "first alert at", FIELD_FIRST_ALERT, finding);
	add_known(text, "state", FIELD_STATE, finding);
}

static void add_frame(struct buf *text, const struct frame *frame)
{
	struct buf name __cleanup_buf = { 0 }, place __cleanup_buf = { 0 };

	frame_name(&name, frame);
	frame_place(&place, frame, true);
	buf_puts(text, "      ");
	if (place.len == 0 && !frame->inlined) {
		buf_printf(text, "%s\n", name.data ? name.data : "?");
		return;
	}
	buf_printf(text, "%-*s  %s%s\n", NAME_COLUMNS, name.data ? name.data : "?",
		   place.data ? place.data : "", frame->inlined ? " (inlined)" : "");
}

void text_stack(struct buf *text, const struct stack *stack)
{
	size_t i;

	if (!stack || stack->nr_frames == 0) {
		buf_puts(text, "      (the frames of this stack are unknown)\n");
		return;
	}
	for (i = 0; i < stack->nr_frames; i++)
		add_frame(text, &stack->frames[i]);
	if (stack->flags & LB_STACK_TRUNCATED)
		buf_printf(text, "      (deeper than %d frames: the outer ones are cut off)\n",
			   LB_MAX_FRAMES);
	else if (stack->flags & LB_STACK_INCOMPLETE)
		buf_puts(text, "      (the walk ended here: code without frame pointers)\n");
}

static void write_finding(FILE *out, const struct finding *finding, size_t number, bool colour)
{
	struct buf text __cleanup_buf = { 0 };

	add_verdict(&text, finding, number, colour);
	buf_puts(&text, "   ");
	text_numbers(&text, finding);
	buf_puts(&text, "\n   at ");
	text_where(&text, finding);
	buf_puts(&text, "\n");
	text_stack(&text, finding->stack);
	put(out, &text);
}

/* The conservation law of leakbpf.h, one line per kind that was seen. */
static void write_ledger(FILE *out, const struct snapshot *snapshot, enum lb_kind kind)
{
	const __u64 *count = snapshot->stats.count[kind];
	struct balance balance = snapshot_balance(snapshot, kind);

	if (count[LB_COUNT_HITS] == 0 && count[LB_COUNT_CLOSES] == 0)
		return;
	fprintf(out,
		"ledger of %s: %ju calls = %ju opened + %ju failed + %ju nested + %ju sampled out "
		"+ "
		"%ju lost + %jd in flight; %ju closes = %ju matched + %ju unmatched",
		kind_name(kind), (uintmax_t)count[LB_COUNT_HITS], (uintmax_t)snapshot->opened[kind],
		(uintmax_t)count[LB_COUNT_FAILED], (uintmax_t)count[LB_COUNT_NESTED],
		(uintmax_t)count[LB_COUNT_SAMPLED_OUT], (uintmax_t)balance.lost,
		(intmax_t)balance.in_flight, (uintmax_t)count[LB_COUNT_CLOSES],
		(uintmax_t)balance.matched, (uintmax_t)count[LB_COUNT_UNMATCHED]);
	if (count[LB_COUNT_PARTIAL])
		fprintf(out, " + %ju partial", (uintmax_t)count[LB_COUNT_PARTIAL]);
	if (balance.closing)
		fprintf(out, " + %jd closing", (intmax_t)balance.closing);
	fputc('\n', out);
}

/* Every counter, also those that are zero. */
static void write_counters(FILE *out, const struct lb_stats *stats)
{
	size_t kind, i;

	for (kind = 0; kind < LB_KIND_MAX; kind++) {
		fprintf(out, "counters of %s:", kind_name((enum lb_kind)kind));
		for (i = 0; i < LB_COUNT_MAX; i++)
			fprintf(out, " %s %ju", count_name((enum lb_count)i),
				(uintmax_t)stats->count[kind][i]);
		for (i = 0; i < LB_LOSS_MAX; i++)
			fprintf(out, " %s %ju", loss_name((enum lb_loss)i),
				(uintmax_t)stats->loss[kind][i]);
		fputc('\n', out);
	}
}

static void write_defects(FILE *out, const struct lb_stats *stats)
{
	size_t i;

	for (i = 0; i < LB_DEFECT_MAX; i++) {
		if (stats->defect[i])
			fprintf(out, "imperfect: %s: %ju\n", defect_sentence((enum lb_defect)i),
				(uintmax_t)stats->defect[i]);
	}
}

static void write_target(FILE *out, const struct target *target)
{
	struct buf text __cleanup_buf = { 0 };
	size_t i;

	buf_printf(&text, "watched: PID %d, ", (int)target->pid);
	text_clean(&text, target->exe ? target->exe : target->comm);
	if (target->runtime == RUNTIME_GO) {
		buf_puts(&text, "; ");
		text_clean(&text, target->go_version ? target->go_version : "Go");
	}
	if (target->nr_allocators)
		buf_puts(&text, "; allocators:");
	else if (target->runtime != RUNTIME_GO)
		buf_puts(&text, "; no allocator found");
	for (i = 0; i < target->nr_allocators; i++) {
		buf_puts(&text, i ? ", " : " ");
		text_clean(&text, target->allocators[i]);
	}
	buf_puts(&text, target->exited ? "; exited\n" : "\n");
	for (i = 0; i < target->nr_blind_spots; i++) {
		buf_puts(&text, "NOT SEEN: ");
		text_clean(&text, target->blind_spots[i]);
		buf_puts(&text, "\n");
	}
	put(out, &text);
}

/* How the walks over stacks ended, and what the tables for them cost. */
static void write_unwind(FILE *out, const struct report *report)
{
	const struct lb_stats *stats = &report->snapshot->stats;
	size_t i;

	if (!report->unwind.nr_tables)
		return;
	fprintf(out, "stacks: %ju recognised; walked:", (uintmax_t)stats->unwind_cached);
	for (i = 0; i < LB_UNWIND_MAX; i++)
		fprintf(out, " %s %ju", unwind_end_name((enum lb_unwind_end)i),
			(uintmax_t)stats->unwind_end[i]);
	fprintf(out, "; rules looked up %ju\n", (uintmax_t)stats->unwind_lookups);
	fprintf(out, "unwind tables: %zu files, %zu rows, %.2f MB, made in %.1f ms\n",
		report->unwind.nr_tables, report->unwind.nr_rows,
		(double)report->unwind.bytes / 1e6, report->unwind.parse_ms);
}

/* How long memory lasts when things go on like this. */
static void write_outlook(FILE *out, const struct outlook *outlook)
{
	struct buf line __cleanup_buf = { 0 };

	if (!outlook->known || outlook->growth <= 0)
		return;
	buf_puts(&line, "memory: ");
	text_bytes(&line, (double)outlook->left_bytes);
	buf_printf(&line, " left %s; growing by ",
		   outlook->by_group ? "to the limit of the control group" : "on the machine");
	text_bytes(&line, outlook->growth);
	buf_puts(&line, "/s it lasts ");
	text_seconds(&line, (double)outlook->left_bytes / outlook->growth);
	buf_puts(&line, " (at least ");
	text_seconds(&line, (double)outlook->left_bytes / outlook->growth_high);
	buf_puts(&line, ")\n");
	put(out, &line);
}

static void write_facts(FILE *out, const struct report *report,
			const struct report_options *options)
{
	size_t i;

	fputc('\n', out);
	for (i = 0; i < report->nr_targets; i++)
		write_target(out, &report->targets[i]);
	write_outlook(out, &report->outlook);
	if (report->nr_suppressed)
		fprintf(out, "suppressed: %zu finding%s by %zu rule%s\n", report->nr_suppressed,
			report->nr_suppressed == 1 ? "" : "s", report->nr_suppressors,
			report->nr_suppressors == 1 ? "" : "s");
	if (report->nr_missed_children)
		fprintf(out,
			"NOT SEEN: child processes that ended before they could be watched, or "
			"could not "
			"be: "
			"%zu\n",
			report->nr_missed_children);
	for (i = 0; i < LB_KIND_MAX; i++)
		write_ledger(out, report->snapshot, (enum lb_kind)i);
	write_defects(out, &report->snapshot->stats);
	if (options->verbose) {
		write_counters(out, &report->snapshot->stats);
		write_unwind(out, report);
	}
	fprintf(out, "probes: %s; %u polls, the last one took %.1f ms\n",
		report->attach_mode ? report->attach_mode : "none", report->nr_polls,
		report->poll_ms);
}

/* Says that more sites would have been there to report. */
static void write_more(FILE *out, const struct report *report, const struct report_options *options,
		       size_t nr_shown)
{
	size_t wanted = report->verdicts[VERDICT_LEAKING] + report->verdicts[VERDICT_GROWING] +
			report->verdicts[VERDICT_SUSPECT];

	if (options->all_sites)
		wanted += report->verdicts[VERDICT_STABLE];
	if (wanted > nr_shown)
		fprintf(out, "\n(%zu more not shown)\n", wanted - nr_shown);
}

void write_text(FILE *out, const struct report *report, const struct report_options *options)
{
	size_t nr = findings_shown(report, options), i;

	write_headline(out, report);
	if (nr == 0)
		write_nothing(out, report);
	for (i = 0; i < nr; i++)
		write_finding(out, &report->findings[i], i + 1, options->colour);
	write_more(out, report, options, nr);
	write_facts(out, report, options);
}
