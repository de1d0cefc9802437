/* SPDX-License-Identifier: GPL-2.0-only */
#include <string.h>

#include "base/base.h"
#include "golang/layout.h"

/*
 * Of struct timer in runtime/time.go of each release: Go 1.18 to 1.22, 1.23 and 1.24, and later ones,
 * which have the field rand before the times. Which one holds is found on the process.
 */
const struct timer_layout timer_layouts[] = {
	{ .first = 18,
	  .last = 22,
	  .element = 8,
	  .owner = 0,
	  .status = 64,
	  .when = 8,
	  .period = 16,
	  .function = 24,
	  .argument = 40,
	  .next_when = 56,
	  .bytes = 72 },
	{ .first = 23,
	  .last = 25,
	  .element = 16,
	  .owner = 64,
	  .status = 9,
	  .when = 16,
	  .period = 24,
	  .function = 32,
	  .argument = 48,
	  .bytes = 72 },
	{ .first = 25,
	  .last = 27,
	  .element = 16,
	  .owner = 72,
	  .status = 9,
	  .when = 24,
	  .period = 32,
	  .function = 40,
	  .argument = 56,
	  .bytes = 80 },
};
const size_t timer_nr_layouts = ARRAY_SIZE(timer_layouts);

/* timer.status (Go 1.22 runtime/time.go, timerNoStatus and on) */
enum {
	STATUS_NONE,
	STATUS_WAITING,
	STATUS_RUNNING,
	STATUS_DELETED,
	STATUS_REMOVING,
	STATUS_REMOVED,
	STATUS_MODIFYING,
	STATUS_MODIFIED_EARLIER,
	STATUS_MODIFIED_LATER,
	STATUS_MOVING,
};

/* timer.state (Go 1.23 runtime/time.go, timerHeaped and on) */
#define STATE_HEAPED   1
#define STATE_MODIFIED 2
#define STATE_ZOMBIE   4
#define STATE_ALL      (STATE_HEAPED | STATE_MODIFIED | STATE_ZOMBIE)

bool timer_layout_fits(const struct timer_layout *layout, unsigned int minor,
		       enum pclntab_version version)
{
	return release_fits(layout->first, layout->last, minor, version);
}

static uint64_t word_at(const uint8_t *bytes, size_t offset)
{
	uint64_t word;

	memcpy(&word, bytes + offset, sizeof(word));
	return word;
}

/* Up to Go 1.22; @ret_when is where its time stands. */
static enum timer_state state_of_status(const struct timer_layout *layout, uint32_t status,
					size_t *ret_when)
{
	switch (status) {
	case STATUS_WAITING:
	case STATUS_RUNNING:
	case STATUS_MODIFYING:
		*ret_when = layout->when;
		return TIMER_WAITS;
	case STATUS_MODIFIED_EARLIER:
	case STATUS_MODIFIED_LATER:
	case STATUS_MOVING:
		*ret_when = layout->next_when;
		return TIMER_WAITS;
	case STATUS_DELETED:
	case STATUS_REMOVING:
		return TIMER_STOPPED;
	case STATUS_NONE:
	case STATUS_REMOVED:
		return TIMER_GONE;
	default:
		return TIMER_ODD;
	}
}

static enum timer_state state_of_bits(uint8_t bits)
{
	if (bits & ~STATE_ALL)
		return TIMER_ODD;
	if (!(bits & STATE_HEAPED))
		return TIMER_GONE;
	return bits & STATE_ZOMBIE ? TIMER_STOPPED : TIMER_WAITS;
}

struct go_timer timer_read(const struct timer_layout *layout, const uint8_t *bytes)
{
	size_t when = layout->when;
	struct go_timer timer = {
		.owner = word_at(bytes, layout->owner),
		.order_ns = word_at(bytes, layout->when),
		.period_ns = word_at(bytes, layout->period),
		.function = word_at(bytes, layout->function),
		.argument = word_at(bytes, layout->argument),
	};

	if (layout->next_when)
		timer.state =
			state_of_status(layout, (uint32_t)word_at(bytes, layout->status), &when);
	else
		timer.state = state_of_bits(bytes[layout->status]);
	timer.when_ns = word_at(bytes, when);
	if (timer.state == TIMER_WAITS && (!timer.when_ns || timer.when_ns > INT64_MAX ||
					   timer.period_ns > INT64_MAX || !timer.function))
		timer.state = TIMER_ODD;
	return timer;
}

bool timer_is_owned(const struct timer_layout *layout, uint64_t owner, uint64_t processor,
		    uint64_t slice)
{
	return owner == (layout->next_when ? processor : slice - TIMERS_HEAP);
}
