/* SPDX-License-Identifier: GPL-2.0-only */
/* The findings of a report as a flame graph. */
#include <errno.h>
#include <stdlib.h>

#include "report/flame.h"
#include "report/text.h"
#include "report/write.h"

DEFINE_CLEANUP(strings, struct strings *, strings_free(*value))
DEFINE_CLEANUP(stacks, struct flame_stack *, free(*value))

/* "server (PID 12)". NULL: out of memory. */
static const char *process_name(const struct report *report, uint32_t pid, struct strings *names)
{
	struct buf name __cleanup_buf = { 0 };

	text_clean(&name, report_comm(report, pid));
	buf_printf(&name, " (PID %u)", pid);
	return strings_intern(names, name.data);
}

/* All findings are drawn, also the stable ones: what grows stands out among them. */
static size_t nr_drawn(const struct report *report, const struct report_options *options)
{
	return options->top ? MIN(report->nr_findings, options->top) : report->nr_findings;
}

/* Is it told of several sites at once? It has the numbers and the stack of the largest, which is no
 * finding of its own. */
static bool is_sum(const struct finding *finding)
{
	return finding->nr_stacks > 1;
}

static struct flame_stack stack_of(const struct report *report, const struct finding *finding,
				   struct strings *names)
{
	const struct site_count *site = &finding->site;
	enum lb_kind kind = (enum lb_kind)(site->key.kind % LB_KIND_MAX);

	return (struct flame_stack){
		.stack = finding->stack,
		.process = process_name(report, site->key.tgid, names),
		.kind = kind,
		.counted = !kind_has_bytes(kind),
		.after = kind_has_bytes(kind) ? site->live_bytes : site->live_count,
		.count = site->live_count,
		.verdict = finding->verdict,
	};
}

static bool is_part_of(const struct site_count *site, const struct site_count *sum)
{
	return site->group != 0 && site->group == sum->group && site->key.tgid == sum->key.tgid &&
	       site->key.kind == sum->key.kind;
}

/* The verdict on a sum holds for the sites in it. */
static enum verdict verdict_with_sums(const struct finding *findings, size_t nr, size_t at)
{
	enum verdict verdict = findings[at].verdict;
	size_t i;

	for (i = 0; i < nr && findings[i].verdict > verdict; i++) {
		if (is_sum(&findings[i]) && is_part_of(&findings[at].site, &findings[i].site))
			verdict = findings[i].verdict;
	}
	return verdict;
}

static void fill_stacks(const struct report *report, size_t nr, struct strings *names,
			struct flame_stack *stacks)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		stacks[i] = stack_of(report, &report->findings[i], names);
		stacks[i].verdict = verdict_with_sums(report->findings, nr, i);
	}
}

/* Says how many sites of the process are not among the findings. */
static void add_note(struct buf *note, const struct report *report, size_t nr)
{
	if (report->nr_sites <= nr)
		return;
	buf_puts(note, "Not in this graph: ");
	text_count(note, report->nr_sites - nr, "more site");
}

void flame_report(FILE *out, const struct report *report, const struct report_options *options,
		  bool alone)
{
	size_t nr = nr_drawn(report, options);
	struct strings *names __cleanup_of(strings) = strings_new();
	struct flame_stack *stacks __cleanup_of(stacks) = calloc(nr + 1, sizeof(*stacks));
	struct buf title __cleanup_buf = { 0 }, subtitle __cleanup_buf = { 0 };
	struct buf note __cleanup_buf = { 0 };
	struct flame_input input = { .stacks = stacks, .nr_stacks = nr };

	if (!names || !stacks) {
		errno = ENOMEM;
		return;
	}
	fill_stacks(report, nr, names, stacks);
	buf_puts(&title, "leakbpf: outstanding in ");
	text_targets(&title, report);
	text_headline(&subtitle, report);
	add_note(&note, report, nr);
	input.title = title.data ? title.data : "";
	input.subtitle = subtitle.data ? subtitle.data : "";
	input.note = note.data ? note.data : "";
	if (flame_element(out, &input, alone))
		errno = ENOMEM;
}

void write_svg(FILE *out, const struct report *report, const struct report_options *options)
{
	flame_report(out, report, options, true);
}
