/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/fields.h"

#include "trend/trend.h"

static struct value value_text(const char *text)
{
	return (struct value){ .type = text ? VALUE_TEXT : VALUE_UNKNOWN, .text = text };
}

static struct value value_integer(uint64_t integer)
{
	return (struct value){ .type = VALUE_INTEGER, .integer = integer };
}

static struct value value_real(double real)
{
	return (struct value){ .type = VALUE_REAL, .real = real };
}

/* Durations are negative when they are not known. */
static struct value value_seconds(double seconds)
{
	return seconds < 0 ? (struct value){ .type = VALUE_UNKNOWN } : value_real(seconds);
}

static bool has_bytes(const struct finding *finding)
{
	return kind_has_bytes((enum lb_kind)finding->site.key.kind);
}

static struct value value_bytes(const struct finding *finding, uint64_t bytes)
{
	return has_bytes(finding) ? value_integer(bytes) : (struct value){ .type = VALUE_UNKNOWN };
}

bool growth_is_known(const struct finding *finding)
{
	return finding->residue.nr_judged > 0 || finding->growth_count_per_s > 0;
}

static struct value value_rate(const struct finding *finding, double rate)
{
	return growth_is_known(finding) ? value_real(rate)
					: (struct value){ .type = VALUE_UNKNOWN };
}

static struct value value_byte_rate(const struct finding *finding, double rate)
{
	return has_bytes(finding) ? value_rate(finding, rate)
				  : (struct value){ .type = VALUE_UNKNOWN };
}

static struct value value_stack_flag(const struct finding *finding, uint32_t flag)
{
	if (!finding->stack)
		return (struct value){ .type = VALUE_UNKNOWN };
	return (struct value){ .type = VALUE_BOOL, .integer = (finding->stack->flags & flag) != 0 };
}

static struct value value_why(const struct finding *finding)
{
	struct value value = { .type = VALUE_UNKNOWN };
	struct buf why __cleanup_buf = { 0 };

	text_why(&why, finding);
	if (why.len == 0)
		return value;
	value.type = VALUE_SENTENCE;
	snprintf(value.sentence, sizeof(value.sentence), "%s", why.data);
	return value;
}

uint64_t site_waited_ns(const struct site_count *site)
{
	return site->key.kind == LB_KIND_GOPARK ? site->closed_bytes : 0;
}

static double waited_s(const struct site_count *site)
{
	return site->key.kind == LB_KIND_GOPARK
		       ? (double)site_waited_ns(site) / (double)NSEC_PER_SEC
		       : -1;
}

/* Of the waits that are over. */
static double longest_s(const struct site_count *site)
{
	return site->key.kind == LB_KIND_GOPARK && site->longest_ns
		       ? (double)site->longest_ns / (double)NSEC_PER_SEC
		       : -1;
}

#define GETTER(name, expression)                                                                   \
	static struct value get_##name(const struct finding *finding)                              \
	{                                                                                          \
		return expression;                                                                 \
	}

GETTER(kind, value_text(kind_name((enum lb_kind)finding->site.key.kind)))
GETTER(verdict, value_text(verdict_name(finding->verdict)))
GETTER(confidence, value_real(finding->confidence))
GETTER(pid, value_integer(finding->site.key.tgid))
GETTER(live_count, value_integer(finding->site.live_count))
GETTER(live_bytes, value_bytes(finding, finding->site.live_bytes))
GETTER(opened_count, value_integer(finding->site.opened_count))
GETTER(closed_count, value_integer(finding->site.closed_count))
GETTER(opened_bytes, value_bytes(finding, finding->site.opened_bytes))
GETTER(closed_bytes, value_bytes(finding, finding->site.closed_bytes))
GETTER(growth_count, value_rate(finding, finding->growth_count_per_s))
GETTER(growth_bytes, value_byte_rate(finding, finding->growth_bytes_per_s))
GETTER(growth_count_low, value_rate(finding, finding->growth_count_low))
GETTER(growth_count_high, value_rate(finding, finding->growth_count_high))
GETTER(growth_bytes_low, value_byte_rate(finding, finding->growth_bytes_low))
GETTER(growth_bytes_high, value_byte_rate(finding, finding->growth_bytes_high))
GETTER(first_alert, value_seconds(finding->first_alert_s))
GETTER(oldest, value_seconds(finding->oldest_s))
GETTER(nr_stacks, value_integer(MAX(finding->nr_stacks, 1U)))
GETTER(waited, value_seconds(waited_s(&finding->site)))
GETTER(longest, value_seconds(longest_s(&finding->site)))
GETTER(why, value_why(finding))
GETTER(state, value_text(finding->site.state))
GETTER(proof, value_text(finding->site.proof))
GETTER(estimated, ((struct value){ .type = VALUE_BOOL, .integer = finding->site.estimated }))
GETTER(truncated, value_stack_flag(finding, LB_STACK_TRUNCATED))
GETTER(incomplete, value_stack_flag(finding, LB_STACK_INCOMPLETE))

const struct field fields[FIELD_MAX] = {
	[FIELD_KIND] = { "kind", UNIT_NONE, get_kind },
	[FIELD_VERDICT] = { "verdict", UNIT_NONE, get_verdict },
	[FIELD_CONFIDENCE] = { "confidence", UNIT_NONE, get_confidence },
	[FIELD_PID] = { "pid", UNIT_NONE, get_pid },
	[FIELD_LIVE_COUNT] = { "live_count", UNIT_COUNT, get_live_count },
	[FIELD_LIVE_BYTES] = { "live_bytes", UNIT_BYTES, get_live_bytes },
	[FIELD_OPENED_COUNT] = { "opened_count", UNIT_COUNT, get_opened_count },
	[FIELD_CLOSED_COUNT] = { "closed_count", UNIT_COUNT, get_closed_count },
	[FIELD_OPENED_BYTES] = { "opened_bytes", UNIT_BYTES, get_opened_bytes },
	[FIELD_CLOSED_BYTES] = { "closed_bytes", UNIT_BYTES, get_closed_bytes },
	[FIELD_GROWTH_COUNT] = { "growth_count_per_s", UNIT_COUNT_PER_S, get_growth_count },
	[FIELD_GROWTH_BYTES] = { "growth_bytes_per_s", UNIT_BYTES_PER_S, get_growth_bytes },
	[FIELD_GROWTH_COUNT_LOW] = { "growth_count_per_s_low", UNIT_COUNT_PER_S,
				     get_growth_count_low },
	[FIELD_GROWTH_COUNT_HIGH] = { "growth_count_per_s_high", UNIT_COUNT_PER_S,
				      get_growth_count_high },
	[FIELD_GROWTH_BYTES_LOW] = { "growth_bytes_per_s_low", UNIT_BYTES_PER_S,
				     get_growth_bytes_low },
	[FIELD_GROWTH_BYTES_HIGH] = { "growth_bytes_per_s_high", UNIT_BYTES_PER_S,
				      get_growth_bytes_high },
	[FIELD_FIRST_ALERT] = { "first_alert_s", UNIT_SECONDS, get_first_alert },
	[FIELD_OLDEST] = { "oldest_s", UNIT_SECONDS, get_oldest },
	[FIELD_NR_STACKS] = { "nr_stacks", UNIT_NONE, get_nr_stacks },
	[FIELD_WAITED] = { "waited_s", UNIT_WAIT, get_waited },
	[FIELD_LONGEST] = { "longest_wait_s", UNIT_WAIT, get_longest },
	[FIELD_WHY] = { "why", UNIT_NONE, get_why },
	[FIELD_STATE] = { "state", UNIT_NONE, get_state },
	[FIELD_PROOF] = { "proof", UNIT_NONE, get_proof },
	[FIELD_ESTIMATED] = { "estimated", UNIT_NONE, get_estimated },
	[FIELD_STACK_TRUNCATED] = { "stack_truncated", UNIT_NONE, get_truncated },
	[FIELD_STACK_INCOMPLETE] = { "stack_incomplete", UNIT_NONE, get_incomplete },
};

/* A sign, but for what is shown as zero. */
static const char *plus(double rate, double least)
{
	return rate >= least ? "+" : "";
}

static void real_text(struct buf *buf, double real, enum unit unit)
{
	switch (unit) {
	case UNIT_WAIT:
		if (real < 0.9995)
			buf_printf(buf, "%.3g ms", real * 1000);
		else
			text_seconds(buf, real);
		break;
	case UNIT_SECONDS:
		text_seconds(buf, real);
		break;
	case UNIT_COUNT_PER_S:
		buf_printf(buf, "%s%.*f/s", plus(real, 0.005), real < 10 ? 2 : 1,
			   real > -0.005 ? MAX(real, 0) : real);
		break;
	case UNIT_BYTES_PER_S:
		buf_puts(buf, plus(real, 0.5));
		text_bytes(buf, real > -0.5 ? MAX(real, 0) : real);
		buf_puts(buf, "/s");
		break;
	default:
		buf_printf(buf, "%.2f", real);
	}
}

enum field_id growth_field(const struct finding *finding)
{
	return has_bytes(finding) ? FIELD_GROWTH_BYTES : FIELD_GROWTH_COUNT;
}

void field_text(struct buf *buf, enum field_id id, const struct finding *finding)
{
	struct value value = fields[id].get(finding);

	switch (value.type) {
	case VALUE_UNKNOWN:
		buf_puts(buf, "-");
		break;
	case VALUE_TEXT:
		text_clean(buf, value.text);
		break;
	case VALUE_SENTENCE:
		buf_puts(buf, value.sentence);
		break;
	case VALUE_INTEGER:
		if (fields[id].unit == UNIT_BYTES)
			text_bytes(buf, (double)value.integer);
		else
			buf_printf(buf, "%ju", (uintmax_t)value.integer);
		break;
	case VALUE_REAL:
		real_text(buf, value.real, fields[id].unit);
		break;
	case VALUE_BOOL:
		buf_puts(buf, value.integer ? "yes" : "no");
		break;
	}
}
