/* SPDX-License-Identifier: GPL-2.0-only */
/* Epochs: how they follow time, and how a history follows them. */
#include <float.h>

#include "base/base.h"
#include "trend/history.h"

#define DEFAULT_HORIZON_NS (4 * 3600 * NSEC_PER_SEC)
#define NR_DROPPED         2 /* epochs, when the horizon is reached */
#define SLACK_SHARE        10 /* of the interval: polls may come that much before the end of an epoch */

bool epochs_equal(const struct epochs *a, const struct epochs *b)
{
	return a->start_ns == b->start_ns && a->length_ns == b->length_ns && a->nr == b->nr;
}

uint64_t epochs_slack_ns(const struct trend *trend)
{
	return trend->options.interval_ns / SLACK_SHARE;
}

struct epochs epochs_at(const struct trend *trend, uint64_t now_ns)
{
	const struct trend_options *options = &trend->options;
	uint64_t horizon_ns = options->horizon_ns ? options->horizon_ns : DEFAULT_HORIZON_NS;
	uint64_t end_ns = now_ns + epochs_slack_ns(trend), nr;
	struct epochs epochs = trend->epochs;

	nr = end_ns > epochs.start_ns ? (end_ns - epochs.start_ns) / epochs.length_ns : 0;
	while (nr >= TREND_EPOCHS && epochs.length_ns <= horizon_ns / TREND_EPOCHS / 2) {
		epochs.length_ns *= 2;
		nr /= 2;
	}
	if (nr >= TREND_EPOCHS) {
		epochs.start_ns += (nr - TREND_EPOCHS + NR_DROPPED) * epochs.length_ns;
		nr = TREND_EPOCHS - NR_DROPPED;
	}
	epochs.nr = (unsigned int)nr;
	return epochs;
}

struct epochs trend_epochs(const struct trend *trend, uint64_t now_ns)
{
	struct epochs epochs = { .nr = 0 };

	if (trend->has_begun)
		epochs = epochs_at(trend, now_ns);
	if (epochs_equal(&epochs, &trend->epochs))
		epochs.nr = 0;
	return epochs;
}

static uint32_t saturated(uint64_t count)
{
	return (uint32_t)MIN(count, UINT32_MAX);
}

void history_clear(struct history *history)
{
	size_t at;

	for (at = 0; at < TREND_EPOCHS; at++) {
		history->lows[at] = UINT32_MAX;
		history->low_bytes[at] = FLT_MAX;
	}
}

void history_record(struct history *history, const struct epochs *epochs,
		    const struct site_count *site)
{
	uint32_t *low = &history->lows[epochs->nr];
	float *bytes = &history->low_bytes[epochs->nr];

	*low = MIN(*low, saturated(site->live_count));
	*bytes = MIN(*bytes, (float)site->live_bytes);
}

/* Epoch @to gets the lowest level of @nr epochs from @from on. */
static void merge_lows(struct history *history, size_t to, size_t from, size_t nr)
{
	uint32_t low = UINT32_MAX;
	float bytes = FLT_MAX;
	size_t at;

	for (at = from; at < MIN(from + nr, (size_t)TREND_EPOCHS); at++) {
		low = MIN(low, history->lows[at]);
		bytes = MIN(bytes, history->low_bytes[at]);
	}
	history->lows[to] = low;
	history->low_bytes[to] = bytes;
}

static void move_lows(struct history *history, const struct epochs *old, const struct epochs *new)
{
	size_t ratio = (size_t)(new->length_ns / old->length_ns);
	size_t dropped = (size_t)((new->start_ns - old->start_ns) / old->length_ns), i;

	for (i = 0; i < TREND_EPOCHS; i++)
		merge_lows(history, i, dropped + i * ratio, ratio);
}

/* Copies of generations that were merged are of no use; they are taken anew. */
static void move_copies(struct history *history, const struct epochs *old, const struct epochs *new)
{
	size_t dropped = (size_t)((new->start_ns - old->start_ns) / old->length_ns), i;

	if (new->length_ns != old->length_ns || dropped >= history->nr_copies) {
		history->nr_copies = 0;
		return;
	}
	history->nr_copies = (uint8_t)(history->nr_copies - dropped);
	for (i = 0; i < history->nr_copies; i++) {
		history->copies[i] = history->copies[i + dropped];
		history->copied_at[i] = (uint8_t)(history->copied_at[i + dropped] - dropped);
	}
}

void history_move(struct history *history, const struct epochs *old, const struct epochs *new,
		  const struct site_count *site)
{
	size_t at;

	move_lows(history, old, new);
	move_copies(history, old, new);
	for (at = new->nr; at > 0 && history->lows[at - 1] == UINT32_MAX; at--) {
		history->lows[at - 1] = saturated(site->live_count);
		history->low_bytes[at - 1] = (float)site->live_bytes;
	}
}
