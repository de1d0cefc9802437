/* SPDX-License-Identifier: GPL-2.0-only */
/* The JSON document "leakbpf/1". */
#include <inttypes.h>

#include "report/fields.h"
#include "report/write.h"
#include "report/writer.h"
#include "trend/trend.h"

static void write_strings(struct writer *writer, const char *name, char *const *strings, size_t nr)
{
	size_t i;

	writer_begin_array(writer, name);
	for (i = 0; i < nr; i++)
		writer_string(writer, NULL, strings[i]);
	writer_end_array(writer);
}

static void write_target(struct writer *writer, const struct target *target)
{
	writer_begin_object(writer, NULL);
	writer_unsigned(writer, "pid", (uint64_t)target->pid);
	writer_string(writer, "comm", target->comm);
	writer_string(writer, "exe", target->exe);
	writer_string(writer, "runtime", target->runtime == RUNTIME_GO ? "go" : "native");
	writer_string(writer, "go_version", target->go_version);
	writer_bool(writer, "exited", target->exited);
	write_strings(writer, "allocators", target->allocators, target->nr_allocators);
	write_strings(writer, "blind_spots", target->blind_spots, target->nr_blind_spots);
	writer_end_object(writer);
}

static void write_field(struct writer *writer, const struct field *field,
			const struct finding *finding)
{
	struct value value = field->get(finding);

	switch (value.type) {
	case VALUE_UNKNOWN:
		writer_null(writer, field->name);
		break;
	case VALUE_TEXT:
		writer_string(writer, field->name, value.text);
		break;
	case VALUE_SENTENCE:
		writer_string(writer, field->name, value.sentence);
		break;
	case VALUE_INTEGER:
		writer_unsigned(writer, field->name, value.integer);
		break;
	case VALUE_REAL:
		writer_real(writer, field->name, value.real);
		break;
	case VALUE_BOOL:
		writer_bool(writer, field->name, value.integer);
		break;
	}
}

static void write_hex(struct writer *writer, const char *name, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	writer_string(writer, name, text);
}

void write_json_frame(struct writer *writer, const struct frame *frame)
{
	writer_begin_flat_object(writer, NULL);
	writer_string(writer, "function", frame->function);
	writer_string(writer, "file", frame->file);
	if (frame->line > 0)
		writer_signed(writer, "line", frame->line);
	else
		writer_null(writer, "line");
	writer_string(writer, "module", frame->module);
	write_hex(writer, "address", frame->address);
	if (frame->module)
		write_hex(writer, "offset", frame->offset);
	else
		writer_null(writer, "offset");
	writer_bool(writer, "inlined", frame->inlined);
	writer_end_object(writer);
}

static void write_finding(struct writer *writer, const struct finding *finding)
{
	size_t nr = finding->stack ? finding->stack->nr_frames : 0, i;

	writer_begin_object(writer, NULL);
	for (i = 0; i < FIELD_MAX; i++)
		write_field(writer, &fields[i], finding);
	writer_begin_array(writer, "stack");
	for (i = 0; i < nr; i++)
		write_json_frame(writer, &finding->stack->frames[i]);
	writer_end_array(writer);
	writer_end_object(writer);
}

static void write_losses(struct writer *writer, const struct lb_stats *stats)
{
	uint64_t sampled_out = 0;
	size_t i, kind;

	writer_begin_object(writer, "losses");
	for (kind = 0; kind < LB_KIND_MAX; kind++)
		sampled_out += stats->count[kind][LB_COUNT_SAMPLED_OUT];
	writer_unsigned(writer, count_name(LB_COUNT_SAMPLED_OUT), sampled_out);
	for (i = 0; i < LB_LOSS_MAX; i++) {
		uint64_t sum = 0;

		for (kind = 0; kind < LB_KIND_MAX; kind++)
			sum += stats->loss[kind][i];
		writer_unsigned(writer, loss_name((enum lb_loss)i), sum);
	}
	for (i = 0; i < LB_DEFECT_MAX; i++)
		writer_unsigned(writer, defect_name((enum lb_defect)i), stats->defect[i]);
	writer_end_object(writer);
}

/* hits = opened + failed + nested + sampled_out + lost + in_flight;
 * closes = matched + unmatched + partial + closing */
static void write_balance(struct writer *writer, const struct snapshot *snapshot, enum lb_kind kind)
{
	struct balance balance = snapshot_balance(snapshot, kind);
	size_t i;

	writer_begin_flat_object(writer, kind_name(kind));
	for (i = 0; i < LB_COUNT_MAX; i++)
		writer_unsigned(writer, count_name((enum lb_count)i),
				snapshot->stats.count[kind][i]);
	writer_unsigned(writer, "opened", snapshot->opened[kind]);
	writer_unsigned(writer, "lost", balance.lost);
	writer_signed(writer, "in_flight", balance.in_flight);
	writer_unsigned(writer, "matched", balance.matched);
	writer_signed(writer, "closing", balance.closing);
	writer_end_object(writer);
}

static void write_overhead(struct writer *writer, const struct report *report)
{
	uint64_t hits = 0;
	size_t kind;

	for (kind = 0; kind < LB_KIND_MAX; kind++) {
		if (kind != LB_KIND_GOROUTINE) /* they are read, not probed */
			hits += report->snapshot->stats.count[kind][LB_COUNT_HITS] +
				report->snapshot->stats.count[kind][LB_COUNT_CLOSES];
	}
	writer_begin_object(writer, "overhead");
	writer_unsigned(writer, "probe_hits", hits);
	writer_real(writer, "poll_ms", report->poll_ms);
	writer_real(writer, "walk_ms", report->walk_ms);
	writer_string(writer, "attach_mode", report->attach_mode);
	writer_unsigned(writer, "live_entries", report->snapshot->nr_live);
	writer_unsigned(writer, "max_live_entries", report->snapshot->max_live);
	writer_end_object(writer);
}

/* Seconds until memory runs out at @rate; null: it does not. */
static void write_seconds_left(struct writer *writer, const char *name,
			       const struct outlook *outlook, double rate)
{
	if (rate > 0 && outlook->known)
		writer_real(writer, name, (double)outlook->left_bytes / rate);
	else
		writer_null(writer, name);
}

static void write_outlook(struct writer *writer, const struct outlook *outlook)
{
	writer_begin_object(writer, "memory");
	writer_string(writer, "limit",
		      !outlook->known     ? NULL
		      : outlook->by_group ? "cgroup"
					  : "machine");
	if (outlook->known)
		writer_unsigned(writer, "left_bytes", outlook->left_bytes);
	else
		writer_null(writer, "left_bytes");
	writer_real(writer, "growth_bytes_per_s", outlook->growth);
	write_seconds_left(writer, "left_s", outlook, outlook->growth);
	write_seconds_left(writer, "left_s_low", outlook, outlook->growth_high);
	write_seconds_left(writer, "left_s_high", outlook, outlook->growth_low);
	writer_end_object(writer);
}

/* Walks over stacks by how they ended, and what makes them cheap. */
static void write_unwind(struct writer *writer, const struct report *report)
{
	const struct lb_stats *stats = &report->snapshot->stats;
	size_t i;

	writer_begin_object(writer, "unwind");
	for (i = 0; i < LB_UNWIND_MAX; i++)
		writer_unsigned(writer, unwind_end_name((enum lb_unwind_end)i),
				stats->unwind_end[i]);
	writer_unsigned(writer, "recognised", stats->unwind_cached);
	writer_unsigned(writer, "lookups", stats->unwind_lookups);
	writer_unsigned(writer, "tables", report->unwind.nr_tables);
	writer_unsigned(writer, "rows", report->unwind.nr_rows);
	writer_unsigned(writer, "table_bytes", report->unwind.bytes);
	writer_real(writer, "parse_ms", report->unwind.parse_ms);
	writer_end_object(writer);
}

/* How many sites have which verdict, whether they are among the findings or not. */
static void write_verdicts(struct writer *writer, const struct report *report)
{
	size_t i;

	writer_begin_object(writer, "verdicts");
	for (i = 0; i <= VERDICT_LEAKING; i++)
		writer_unsigned(writer, verdict_name((enum verdict)i), report->verdicts[i]);
	writer_end_object(writer);
}

static void write_findings(struct writer *writer, const struct report *report,
			   const struct report_options *options)
{
	size_t nr = findings_shown(report, options), i;

	writer_begin_array(writer, "findings");
	for (i = 0; i < nr; i++)
		write_finding(writer, &report->findings[i]);
	writer_end_array(writer);
}

void write_json(FILE *out, const struct report *report, const struct report_options *options)
{
	struct writer writer = { .out = out };
	size_t i;

	writer_begin_object(&writer, NULL);
	writer_string(&writer, "schema", "leakbpf/1");
	writer_real(&writer, "duration_s", report->duration_s);
	writer_unsigned(&writer, "polls", report->nr_polls);
	writer_bool(&writer, "judged", report->judged);
	writer_unsigned(&writer, "sampled_one_in", 1ULL << (report->snapshot->sample_shift & 31));
	writer_begin_array(&writer, "targets");
	for (i = 0; i < report->nr_targets; i++)
		write_target(&writer, &report->targets[i]);
	writer_end_array(&writer);
	writer_unsigned(&writer, "missed_children", report->nr_missed_children);
	writer_unsigned(&writer, "suppressed", report->nr_suppressed);
	write_verdicts(&writer, report);
	write_findings(&writer, report, options);
	write_losses(&writer, &report->snapshot->stats);
	writer_begin_object(&writer, "conservation");
	for (i = 0; i < LB_KIND_MAX; i++)
		write_balance(&writer, report->snapshot, (enum lb_kind)i);
	writer_end_object(&writer);
	write_overhead(&writer, report);
	write_outlook(&writer, &report->outlook);
	write_unwind(&writer, report);
	writer_end_object(&writer);
	writer_end_document(&writer);
}
