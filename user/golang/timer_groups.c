/* SPDX-License-Identifier: GPL-2.0-only */
/* What timers call, and those that do the same. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "golang/timers.h"

#define MAX_GROUPS 1024

/* --- what they call --- */

static int take_pc(void *context, void *item, const uint8_t *bytes)
{
	struct timer_lookup *lookup = item;

	(void)context;
	lookup->entry->pc = 0;
	if (bytes)
		memcpy(&lookup->entry->pc, bytes, sizeof(lookup->entry->pc));
	return 0;
}

/* Reads the code address that a func value begins with, of all lookups. */
static int read_pcs(struct timer_look *look, size_t nr)
{
	const struct places places = {
		.items = look->lookups,
		.nr = nr,
		.stride = sizeof(look->lookups[0]),
		.len = sizeof(uint64_t),
		.window = look->golang->window,
	};

	places_sort(&places);
	return memory_read_places(&look->golang->memory, &places, take_pc, NULL);
}

/* What kind of timer calls @function. */
static enum timer_kind kind_of(const char *function, bool is_periodic)
{
	static const struct {
		const char *function;
		enum timer_kind kind;
	} kinds[] = {
		{ "time.goFunc", TIMER_AFTER_FUNC },
		{ "runtime.goroutineReady", TIMER_SLEEP },
		{ "runtime.netpollDeadline", TIMER_DEADLINE },
		{ "runtime.netpollReadDeadline", TIMER_DEADLINE },
		{ "runtime.netpollWriteDeadline", TIMER_DEADLINE },
	};

	if (!strcmp(function, "time.sendTime"))
		return is_periodic ? TIMER_TICKER : TIMER_CHANNEL;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(function, kinds[i].function))
			return kinds[i].kind;
	return TIMER_RUNTIME;
}

/* The function that begins at @pc. */
static bool find_function(const struct golang *golang, uint64_t pc, struct go_function *function)
{
	return pc && !pclntab_function_at(&golang->symbols.table, pc, function) &&
	       function->entry == pc;
}

static void classify(const struct golang *golang, struct timer_entry *entry)
{
	struct go_function function;

	if (!find_function(golang, entry->pc, &function)) {
		entry->kind = TIMER_UNKNOWN;
		entry->pc = 0;
		return;
	}
	entry->kind = kind_of(function.name, entry->timer.period_ns > 0);
}

/* Finds out what all of the chunk call, first itself, then what time.AfterFunc was given. */
static int find_functions(struct timer_look *look, size_t nr)
{
	struct go_function function;
	size_t nr_lookups = 0;
	int err;

	for (size_t i = 0; i < nr; i++)
		look->lookups[i] =
			(struct timer_lookup){ look->entries[i].timer.function, &look->entries[i] };
	err = read_pcs(look, nr);
	for (size_t i = 0; i < nr && !err; i++) {
		struct timer_entry *entry = &look->entries[i];

		classify(look->golang, entry);
		if (entry->kind == TIMER_AFTER_FUNC)
			look->lookups[nr_lookups++] =
				(struct timer_lookup){ entry->timer.argument, entry };
	}
	if (!err)
		err = read_pcs(look, nr_lookups);
	for (size_t i = 0; i < nr_lookups && !err; i++)
		if (!find_function(look->golang, look->lookups[i].entry->pc, &function))
			look->lookups[i].entry->pc = 0;
	return err;
}

/* --- groups --- */

static int compare_groups(const struct timer_group *group, enum timer_kind kind, uint64_t pc)
{
	if (group->kind != kind)
		return group->kind < kind ? -1 : 1;
	return (group->pc > pc) - (group->pc < pc);
}

/* Where the group stands or should stand among those that are sorted by kind and function. */
static size_t find_group(const struct timer_list *list, enum timer_kind kind, uint64_t pc)
{
	size_t low = 0, high = list->nr_groups;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_groups(&list->groups[middle], kind, pc) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The group at @at, made when it is not there. When there are too many, that of all functions that
 * are not known. NULL: out of memory. */
static struct timer_group *group_of(struct timer_look *look, enum timer_kind kind, uint64_t pc)
{
	struct timer_list *list = &look->list;
	size_t at = find_group(list, kind, pc);
	struct timer_group *group;

	if (at < list->nr_groups && !compare_groups(&list->groups[at], kind, pc))
		return &list->groups[at];
	if (list->nr_groups >= MAX_GROUPS && pc)
		return group_of(look, kind, 0);
	if (vec_reserve((void **)&list->groups, &look->groups_capacity, list->nr_groups + 1,
			sizeof(*list->groups)))
		return NULL;
	group = &list->groups[at];
	memmove(group + 1, group, (list->nr_groups - at) * sizeof(*group));
	list->nr_groups++;
	*group = (struct timer_group){ .kind = kind, .pc = pc };
	return group;
}

static int add_to_group(struct timer_look *look, const struct timer_entry *entry)
{
	struct timer_group *group = group_of(look, entry->kind, entry->pc);
	int64_t when_ns = (int64_t)(entry->timer.when_ns - look->list.time_ns);
	uint64_t period_ns = entry->timer.period_ns;

	if (!group)
		return -ENOMEM;
	if (!group->count || when_ns < group->soonest_ns)
		group->soonest_ns = when_ns;
	if (!group->count || when_ns > group->latest_ns)
		group->latest_ns = when_ns;
	if (!group->count || period_ns < group->shortest_period_ns)
		group->shortest_period_ns = period_ns;
	group->longest_period_ns = MAX(group->longest_period_ns, period_ns);
	group->count++;
	look->list.nr_timers++;
	return 0;
}

int timer_groups_add(struct timer_look *look, size_t nr)
{
	int err = find_functions(look, nr);

	for (size_t i = 0; i < nr && !err; i++)
		err = add_to_group(look, &look->entries[i]);
	return err;
}

static int compare_counts(const void *left, const void *right)
{
	const struct timer_group *a = left, *b = right;

	if (a->count != b->count)
		return a->count < b->count ? 1 : -1;
	return compare_groups(a, b->kind, b->pc);
}

void timer_groups_name(struct timer_look *look)
{
	struct timer_list *list = &look->list;

	if (list->nr_groups)
		qsort(list->groups, list->nr_groups, sizeof(*list->groups), compare_counts);
	for (size_t i = 0; i < list->nr_groups; i++) {
		struct timer_group *group = &list->groups[i];

		if (group->kind == TIMER_AFTER_FUNC || group->kind == TIMER_DEADLINE ||
		    group->kind == TIMER_RUNTIME)
			group->function = gosym_start(&look->golang->symbols, group->pc);
	}
}
