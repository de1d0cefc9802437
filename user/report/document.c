/* SPDX-License-Identifier: GPL-2.0-only */
/* The JSON document "leakbpf/1". */
#include <inttypes.h>

#include "report/fields.h"
#include "report/json.h"
#include "report/write.h"

static void write_strings(struct json *json, const char *name, char *const *strings, size_t nr)
{
	size_t i;

	json_begin_array(json, name);
	for (i = 0; i < nr; i++)
		json_string(json, NULL, strings[i]);
	json_end_array(json);
}

static void write_target(struct json *json, const struct target *target)
{
	json_begin_object(json, NULL);
	json_unsigned(json, "pid", (uint64_t)target->pid);
	json_string(json, "comm", target->comm);
	json_string(json, "exe", target->exe);
	json_string(json, "runtime", target->runtime == RUNTIME_GO ? "go" : "native");
	json_string(json, "go_version", target->go_version);
	json_bool(json, "exited", target->exited);
	write_strings(json, "allocators", target->allocators, target->nr_allocators);
	write_strings(json, "blind_spots", target->blind_spots, target->nr_blind_spots);
	json_end_object(json);
}

static void write_field(struct json *json, const struct field *field, const struct finding *finding)
{
	struct value value = field->get(finding);

	switch (value.type) {
	case VALUE_UNKNOWN:
		json_null(json, field->name);
		break;
	case VALUE_TEXT:
		json_string(json, field->name, value.text);
		break;
	case VALUE_INTEGER:
		json_unsigned(json, field->name, value.integer);
		break;
	case VALUE_REAL:
		json_real(json, field->name, value.real);
		break;
	case VALUE_BOOL:
		json_bool(json, field->name, value.integer);
		break;
	}
}

static void write_hex(struct json *json, const char *name, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	json_string(json, name, text);
}

static void write_frame(struct json *json, const struct frame *frame)
{
	json_begin_flat_object(json, NULL);
	json_string(json, "function", frame->function);
	json_string(json, "file", frame->file);
	if (frame->line > 0)
		json_signed(json, "line", frame->line);
	else
		json_null(json, "line");
	json_string(json, "module", frame->module);
	write_hex(json, "address", frame->address);
	if (frame->module)
		write_hex(json, "offset", frame->offset);
	else
		json_null(json, "offset");
	json_bool(json, "inlined", frame->inlined);
	json_end_object(json);
}

static void write_finding(struct json *json, const struct finding *finding)
{
	size_t nr = finding->stack ? finding->stack->nr_frames : 0, i;

	json_begin_object(json, NULL);
	for (i = 0; i < FIELD_MAX; i++)
		write_field(json, &fields[i], finding);
	json_begin_array(json, "stack");
	for (i = 0; i < nr; i++)
		write_frame(json, &finding->stack->frames[i]);
	json_end_array(json);
	json_end_object(json);
}

static void write_losses(struct json *json, const struct lb_stats *stats)
{
	uint64_t sampled_out = 0;
	size_t i, kind;

	json_begin_object(json, "losses");
	for (kind = 0; kind < LB_KIND_MAX; kind++)
		sampled_out += stats->count[kind][LB_COUNT_SAMPLED_OUT];
	json_unsigned(json, count_name(LB_COUNT_SAMPLED_OUT), sampled_out);
	for (i = 0; i < LB_LOSS_MAX; i++) {
		uint64_t sum = 0;

		for (kind = 0; kind < LB_KIND_MAX; kind++)
			sum += stats->loss[kind][i];
		json_unsigned(json, loss_name((enum lb_loss)i), sum);
	}
	for (i = 0; i < LB_DEFECT_MAX; i++)
		json_unsigned(json, defect_name((enum lb_defect)i), stats->defect[i]);
	json_end_object(json);
}

/* hits = opened + failed + nested + sampled_out + lost + in_flight; closes = matched + unmatched */
static void write_balance(struct json *json, const struct snapshot *snapshot, enum lb_kind kind)
{
	struct balance balance = snapshot_balance(snapshot, kind);
	size_t i;

	json_begin_flat_object(json, kind_name(kind));
	for (i = 0; i < LB_COUNT_MAX; i++)
		json_unsigned(json, count_name((enum lb_count)i), snapshot->stats.count[kind][i]);
	json_unsigned(json, "opened", snapshot->opened[kind]);
	json_unsigned(json, "lost", balance.lost);
	json_signed(json, "in_flight", balance.in_flight);
	json_unsigned(json, "matched", balance.matched);
	json_end_object(json);
}

static void write_overhead(struct json *json, const struct report *report)
{
	uint64_t hits = 0;
	size_t kind;

	for (kind = 0; kind < LB_KIND_MAX; kind++)
		hits += report->snapshot->stats.count[kind][LB_COUNT_HITS] +
			report->snapshot->stats.count[kind][LB_COUNT_CLOSES];
	json_begin_object(json, "overhead");
	json_unsigned(json, "probe_hits", hits);
	json_real(json, "poll_ms", report->poll_ms);
	json_string(json, "attach_mode", report->attach_mode);
	json_unsigned(json, "live_entries", report->snapshot->nr_live);
	json_unsigned(json, "max_live_entries", report->snapshot->max_live);
	json_end_object(json);
}

static void write_findings(struct json *json, const struct report *report,
			   const struct report_options *options)
{
	size_t nr = findings_shown(report, options), i;

	json_begin_array(json, "findings");
	for (i = 0; i < nr; i++)
		write_finding(json, &report->findings[i]);
	json_end_array(json);
}

void write_document(FILE *out, const struct report *report, const struct report_options *options)
{
	struct json json = { .out = out };
	size_t i;

	json_begin_object(&json, NULL);
	json_string(&json, "schema", "leakbpf/1");
	json_real(&json, "duration_s", report->duration_s);
	json_unsigned(&json, "polls", report->nr_polls);
	json_bool(&json, "judged", report->judged);
	json_unsigned(&json, "sampled_one_in", 1ULL << (report->snapshot->sample_shift & 31));
	json_begin_array(&json, "targets");
	for (i = 0; i < report->nr_targets; i++)
		write_target(&json, &report->targets[i]);
	json_end_array(&json);
	write_findings(&json, report, options);
	write_losses(&json, &report->snapshot->stats);
	json_begin_object(&json, "conservation");
	for (i = 0; i < LB_KIND_MAX; i++)
		write_balance(&json, report->snapshot, (enum lb_kind)i);
	json_end_object(&json);
	write_overhead(&json, report);
	json_end_object(&json);
	json_end_document(&json);
}
