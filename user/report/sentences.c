/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/text.h"
#include "trend/trend.h"

void text_targets(struct buf *buf, const struct report *report)
{
	const struct target *target = report->targets;

	if (report->nr_targets != 1) {
		buf_printf(buf, "%zu processes", report->nr_targets);
		return;
	}
	buf_printf(buf, "PID %d (", (int)target->pid);
	text_clean(buf, target->comm);
	buf_puts(buf, target->exited ? ", exited)" : ")");
}

struct balance snapshot_balance(const struct snapshot *snapshot, enum lb_kind kind)
{
	const __u64 *count = snapshot->stats.count[kind];
	struct balance balance = { .matched = snapshot->closed[kind] };
	size_t i;

	for (i = 0; i < LB_LOSS_MAX; i++)
		balance.lost += snapshot->stats.loss[kind][i];
	balance.in_flight =
		(int64_t)(count[LB_COUNT_HITS] - snapshot->opened[kind] - count[LB_COUNT_FAILED] -
			  count[LB_COUNT_NESTED] - count[LB_COUNT_SAMPLED_OUT] - balance.lost);
	return balance;
}

uint64_t snapshot_lost(const struct snapshot *snapshot)
{
	uint64_t lost = 0;
	size_t kind;

	for (kind = 0; kind < LB_KIND_MAX; kind++)
		lost += snapshot_balance(snapshot, (enum lb_kind)kind).lost;
	return lost;
}

bool snapshot_is_sampled(const struct snapshot *snapshot)
{
	bool sampled = snapshot->sample_shift > 0;
	size_t kind;

	for (kind = 0; kind < LB_KIND_MAX; kind++)
		sampled |= snapshot->stats.count[kind][LB_COUNT_SAMPLED_OUT] > 0;
	return sampled;
}

/* The losses that happened, by name, summed over kinds: "live_full 12, thread 1". */
static void text_losses(struct buf *buf, const struct snapshot *snapshot)
{
	const char *separator = "";
	size_t loss, kind;

	for (loss = 0; loss < LB_LOSS_MAX; loss++) {
		uint64_t sum = 0;

		for (kind = 0; kind < LB_KIND_MAX; kind++)
			sum += snapshot->stats.loss[kind][loss];
		if (sum == 0)
			continue;
		buf_printf(buf, "%s%s %ju", separator, loss_name((enum lb_loss)loss),
			   (uintmax_t)sum);
		separator = ", ";
	}
}

void text_incomplete(struct buf *buf, const struct report *report)
{
	const struct snapshot *snapshot = report->snapshot;
	uint64_t lost = snapshot_lost(snapshot);

	if (snapshot_is_sampled(snapshot))
		buf_printf(buf, "; sampled: 1 in %ju objects followed",
			   (uintmax_t)1 << (snapshot->sample_shift & 31));
	if (lost == 0)
		return;
	buf_puts(buf, "; ");
	text_count(buf, lost, "event");
	buf_puts(buf, " lost (");
	text_losses(buf, snapshot);
	buf_puts(buf, ")");
}

void text_verdicts(struct buf *buf, const struct report *report)
{
	const size_t *nr = report->verdicts;
	const char *separator = "";
	size_t i;

	for (i = VERDICT_LEAKING; i > VERDICT_STABLE; i--) {
		if (nr[i] == 0)
			continue;
		buf_printf(buf, "%s%zu %s%s", separator, nr[i], verdict_name((enum verdict)i),
			   *separator   ? ""
			   : nr[i] == 1 ? " site"
					: " sites");
		separator = ", ";
	}
}

const char *verdict_colour(enum verdict verdict)
{
	static const char *const colours[] = { "", "\033[36m", "\033[33m", "\033[1;31m" };

	return colours[verdict];
}

size_t findings_shown(const struct report *report, const struct report_options *options)
{
	size_t nr = 0;

	while (nr < report->nr_findings &&
	       (options->all_sites || report->findings[nr].verdict != VERDICT_STABLE))
		nr++;
	return options->top ? MIN(nr, options->top) : nr;
}
