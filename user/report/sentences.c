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

const char *report_comm(const struct report *report, uint32_t pid)
{
	size_t i;

	for (i = 0; i < report->nr_targets; i++) {
		if ((uint32_t)report->targets[i].pid == pid)
			return report->targets[i].comm;
	}
	return "?";
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
	balance.closing = (int64_t)(count[LB_COUNT_CLOSES] - balance.matched -
				    count[LB_COUNT_UNMATCHED] - count[LB_COUNT_PARTIAL]);
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

void text_headline(struct buf *buf, const struct report *report)
{
	size_t before = buf->len;

	text_verdicts(buf, report);
	if (buf->len > before)
		buf_puts(buf, " in ");
	else
		buf_puts(buf, report->judged ? "nothing grows in " : "no verdict yet on ");
	text_targets(buf, report);
	buf_puts(buf, ", watched ");
	text_seconds(buf, report->duration_s);
	text_incomplete(buf, report);
}

/* "10 of 12 generations kept 48-52 objects each, none drained in 4 min" */
static void add_kept(struct buf *buf, const struct finding *finding)
{
	const struct residue *residue = &finding->residue;

	buf_printf(buf, "%u of %u generations kept %s%ju", residue->nr_stuck, residue->nr_judged,
		   finding->site.estimated ? "about " : "", (uintmax_t)residue->kept_min);
	if (residue->kept_max > residue->kept_min)
		buf_printf(buf, "-%ju", (uintmax_t)residue->kept_max);
	buf_printf(buf, " object%s each", residue->kept_max == 1 ? "" : "s");
	if (residue->nr_empty > 0)
		buf_printf(buf, ", %u none", residue->nr_empty);
	if (residue->nr_draining > 0) {
		buf_printf(buf, ", %u may still drain", residue->nr_draining);
		return;
	}
	buf_puts(buf, ", none drained in ");
	text_seconds(buf, residue->undrained_s);
}

static void add_stopped(struct buf *buf, const struct residue *residue)
{
	if (residue->nr_stuck == 0) {
		buf_puts(buf, "growth stopped, but most of what it left is still live");
		return;
	}
	buf_printf(buf, "%u of %u generations still hold objects; growth stopped ",
		   residue->nr_stuck, residue->nr_judged);
	text_seconds(buf, residue->quiet_s);
	buf_puts(buf, " ago");
}

/* What else is to be said of what kept objects. */
static const char *reservation(const struct finding *finding)
{
	const struct site_count *site = &finding->site;

	switch (finding->residue.doubt) {
	case DOUBT_SPAN:
		return "; all within less than half of the time";
	case DOUBT_SATURATING:
		return "; but it slows down";
	case DOUBT_LEVEL:
		return "; but the sum of all does not rise";
	case DOUBT_SMALL:
		return "; too few bytes to matter";
	case DOUBT_NEW:
		return "; seen only once";
	default:
		return site->closed_count < site->opened_count / 5
			       ? "; hardly any object was ever closed"
			       : "";
	}
}

void text_why(struct buf *buf, const struct finding *finding)
{
	const struct residue *residue = &finding->residue;

	if (finding->verdict == VERDICT_STABLE)
		return;
	if (finding->site.proof &&
	    (finding->verdict == VERDICT_LEAKING || finding->site.key.kind == LB_KIND_GOROUTINE)) {
		text_clean(buf, finding->site.proof);
		return;
	}
	if (finding->nr_stacks > 1)
		buf_printf(buf, "%u stacks together: ", finding->nr_stacks);
	if (residue->doubt == DOUBT_STOPPED) {
		add_stopped(buf, residue);
	} else if (residue->doubt == DOUBT_DRAINING || residue->nr_stuck == 0) {
		buf_printf(buf, "%u of %u generations may still drain", residue->nr_draining,
			   residue->nr_judged);
	} else {
		add_kept(buf, finding);
		buf_puts(buf, reservation(finding));
	}
	if (finding->site.key.kind == LB_KIND_THREAD)
		buf_puts(buf, "; goroutines in C code and in system calls (state syscall) keep "
			      "their threads, locked ones do, too");
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
	       (options->all_sites || report_is_profile(options->format) ||
		report->findings[nr].verdict != VERDICT_STABLE))
		nr++;
	return options->top ? MIN(nr, options->top) : nr;
}
