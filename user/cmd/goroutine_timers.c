/* SPDX-License-Identifier: GPL-2.0-only */
/* The timers of a Go process at one moment, for people and for programs. */
#include <inttypes.h>

#include "cmd/goroutines.h"

#define YEAR_S  31557600.0
#define NEVER_S (100 * YEAR_S) /* the longest that Go knows is 292 years */

static const struct {
	const char *text, *json;
} kinds[] = {
	[TIMER_AFTER_FUNC] = { "time.AfterFunc", "after_func" },
	[TIMER_CHANNEL] = { "time.NewTimer or time.After", "timer" },
	[TIMER_TICKER] = { "time.NewTicker", "ticker" },
	[TIMER_SLEEP] = { "time.Sleep", "sleep" },
	[TIMER_DEADLINE] = { "network deadline", "deadline" },
	[TIMER_RUNTIME] = { "of the Go runtime", "runtime" },
	[TIMER_UNKNOWN] = { "of an unknown function", "unknown" },
};

static double seconds(int64_t ns)
{
	return (double)ns / (double)NSEC_PER_SEC;
}

/* --- text --- */

/* "in 5 s", "now", "never". */
static void add_when(struct buf *buf, int64_t ns)
{
	double time_s = seconds(ns);

	if (time_s > NEVER_S) {
		buf_puts(buf, "never");
	} else if (time_s <= 0) {
		buf_puts(buf, "now");
	} else {
		buf_puts(buf, "in ");
		duration_add(buf, time_s);
	}
}

static void add_times(struct buf *buf, const struct timer_group *group)
{
	buf_puts(buf, ", next ");
	add_when(buf, group->soonest_ns);
	if (group->count > 1) {
		buf_puts(buf, ", last ");
		add_when(buf, group->latest_ns);
	}
}

static void add_periods(struct buf *buf, const struct timer_group *group)
{
	if (!group->longest_period_ns)
		return;
	buf_puts(buf, ", every ");
	duration_add(buf, seconds((int64_t)group->shortest_period_ns));
	if (group->longest_period_ns > group->shortest_period_ns) {
		buf_puts(buf, " to ");
		duration_add(buf, seconds((int64_t)group->longest_period_ns));
	}
}

/* What the program's function is, or that of the runtime. */
static void add_function(struct buf *buf, const struct timer_group *group)
{
	const struct frame *function = group->function;
	bool is_own = group->kind == TIMER_AFTER_FUNC;

	if (!function) {
		buf_puts(buf, is_own ? " of functions that are not known" : "");
		return;
	}
	buf_puts(buf, " ");
	text_clean(buf, function->function);
	if (is_own && function->file && function->file[0] != '<') {
		buf_puts(buf, " ");
		text_clean(buf, function->file);
		buf_printf(buf, ":%d", function->line);
	}
}

static void add_group_text(struct buf *buf, const struct timer_group *group)
{
	buf_printf(buf, "%zu %s", group->count, kinds[group->kind].text);
	add_function(buf, group);
	add_periods(buf, group);
	add_times(buf, group);
	buf_puts(buf, "\n");
}

static void add_head(struct buf *buf, const struct timer_list *timers, size_t nr_shown)
{
	if (timers->nr_timers)
		buf_printf(buf, "timers: %zu", timers->nr_timers);
	else
		buf_puts(buf, "timers: none");
	buf_printf(buf, " in the heap%s of %zu P%s", timers->nr_heaps == 1 ? "" : "s",
		   timers->nr_heaps, timers->nr_heaps == 1 ? "" : "s");
	if (timers->nr_odd_heaps)
		buf_printf(buf, ", %zu more could not be read", timers->nr_odd_heaps);
	if (timers->nr_stopped)
		buf_printf(buf, ", besides %zu stopped", timers->nr_stopped);
	if (timers->nr_unreadable)
		buf_printf(buf, ", besides %zu that could not be read", timers->nr_unreadable);
	if (nr_shown < timers->nr_groups)
		buf_printf(buf, ", the largest %zu of %zu groups", nr_shown, timers->nr_groups);
	buf_puts(buf, "\n");
}

void timers_print_text(FILE *out, const struct goroutine_view *view)
{
	const struct timer_list *timers = view->timers;
	struct buf buf __cleanup_buf = { 0 };

	if (timers)
		add_head(&buf, timers, view->nr_timer_groups_shown);
	else
		buf_printf(&buf, "timers not known: %s\n", view->timers_unknown);
	for (size_t i = 0; timers && i < view->nr_timer_groups_shown; i++)
		add_group_text(&buf, &timers->groups[i]);
	fprintf(out, "\n%s", buf.data);
}

/* --- JSON --- */

static void add_period(struct buf *buf, const char *name, uint64_t ns)
{
	if (ns)
		buf_printf(buf, ",\"%s\":%.6f", name, seconds((int64_t)ns));
	else
		buf_printf(buf, ",\"%s\":null", name);
}

static void add_group_json(struct buf *buf, const struct timer_group *group)
{
	buf_puts(buf, "{");
	json_add_string(buf, "kind", kinds[group->kind].json);
	buf_puts(buf, ",\"function\":");
	json_add_frame(buf, group->function);
	buf_printf(buf, ",\"count\":%zu,\"next_s\":%.3f,\"last_s\":%.3f", group->count,
		   seconds(group->soonest_ns), seconds(group->latest_ns));
	add_period(buf, "period_min_s", group->shortest_period_ns);
	add_period(buf, "period_max_s", group->longest_period_ns);
	buf_puts(buf, "}");
}

void timers_add_json(struct buf *buf, const struct goroutine_view *view)
{
	const struct timer_list *timers = view->timers;

	buf_puts(buf, "{");
	json_add_string(buf, "unknown", view->timers_unknown);
	if (timers)
		buf_printf(buf,
			   ",\"count\":%zu,\"stopped_count\":%zu,\"unreadable_count\":%zu,"
			   "\"heap_count\":%zu,\"odd_heap_count\":%zu",
			   timers->nr_timers, timers->nr_stopped, timers->nr_unreadable,
			   timers->nr_heaps, timers->nr_odd_heaps);
	else
		buf_puts(buf, ",\"count\":null,\"stopped_count\":null,\"unreadable_count\":null,"
			      "\"heap_count\":null,\"odd_heap_count\":null");
	buf_puts(buf, ",\"groups\":[");
	for (size_t i = 0; timers && i < view->nr_timer_groups_shown; i++) {
		buf_puts(buf, i ? ",\n" : "\n");
		add_group_json(buf, &timers->groups[i]);
	}
	buf_puts(buf, "]}");
}
