/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One look at all goroutines. The g structures lie close together in the heap, so that sorted by
 * address they are read in a few large pieces; stacks are read only where something has changed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "golang/process.h"

#define NR_REFRESHED 512 /* stacks read again in each scan */

/* --- which g there are --- */

static int compare_addresses(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Makes @golang->tracked what stands in the sorted array @addresses, keeping what is known. */
static int track(struct golang *golang, const uint64_t *addresses, size_t nr)
{
	struct tracked *tracked = calloc(nr + 1, sizeof(*tracked));
	size_t old = 0, nr_tracked = 0;

	if (!tracked)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++) {
		if (!addresses[i] || (i && addresses[i] == addresses[i - 1]))
			continue;
		while (old < golang->nr_tracked && golang->tracked[old].address < addresses[i])
			old++;
		if (old < golang->nr_tracked && golang->tracked[old].address == addresses[i])
			tracked[nr_tracked] = golang->tracked[old];
		tracked[nr_tracked++].address = addresses[i];
	}
	free(golang->tracked);
	golang->tracked = tracked;
	golang->nr_tracked = nr_tracked;
	return 0;
}

static int sort_and_track(struct golang *golang, const uint64_t *table, size_t nr)
{
	uint64_t *sorted = malloc(nr * sizeof(*sorted) + 1);
	int err;

	if (!sorted)
		return -ENOMEM;
	memcpy(sorted, table, nr * sizeof(*sorted));
	qsort(sorted, nr, sizeof(*sorted), compare_addresses);
	err = track(golang, sorted, nr);
	free(sorted);
	return err;
}

/* Reads the array of all g. It only ever grows at its end; -EUCLEAN: it makes no sense. */
static int read_table(struct golang *golang)
{
	uint64_t address, length, *table;
	int err = allgs_read_extent(golang, &address, &length);
	bool same;

	if (err)
		return err;
	if (!length || length > MAX_GOROUTINES)
		return -EUCLEAN;
	table = malloc(length * sizeof(*table));
	if (!table)
		return -ENOMEM;
	err = memory_read(&golang->memory, address, table, length * sizeof(*table));
	same = !err && length == golang->nr_table &&
	       !memcmp(table, golang->table, length * sizeof(*table));
	if (!err && !same)
		err = sort_and_track(golang, table, length);
	if (err || same) {
		free(table);
		return err;
	}
	free(golang->table);
	golang->table = table;
	golang->nr_table = length;
	return 0;
}

/* --- what each is doing --- */

static enum goroutine_state state_of(const struct g *g)
{
	switch ((enum g_status)g->status) {
	case G_RUNNABLE:
		return GOROUTINE_RUNNABLE;
	case G_SYSCALL:
		return GOROUTINE_SYSCALL;
	case G_WAITING:
		return GOROUTINE_WAITING;
	case G_MOVING:
		return GOROUTINE_MOVING;
	case G_PREEMPTED:
		return GOROUTINE_PREEMPTED;
	case G_LEAKED:
		return GOROUTINE_LEAKED;
	default:
		return GOROUTINE_RUNNING;
	}
}

bool g_stopped_at(const struct g *g, uint64_t *ret_sp, uint64_t *ret_pc)
{
	enum goroutine_state state = state_of(g);

	if (state == GOROUTINE_RUNNING || state == GOROUTINE_MOVING)
		return false;
	*ret_sp = state == GOROUTINE_SYSCALL ? g->syscall_sp : g->sched_sp;
	*ret_pc = state == GOROUTINE_SYSCALL ? g->syscall_pc : g->sched_pc;
	return *ret_sp >= g->stack_low && *ret_sp < g->stack_high;
}

static const char *reason_of(const struct golang *golang, const struct g *g)
{
	static const char *const names[] = {
		[GOROUTINE_RUNNABLE] = "runnable", [GOROUTINE_RUNNING] = "running",
		[GOROUTINE_SYSCALL] = "syscall",   [GOROUTINE_WAITING] = "waiting",
		[GOROUTINE_MOVING] = "copystack",  [GOROUTINE_PREEMPTED] = "preempted",
		[GOROUTINE_LEAKED] = "leaked",
	};
	enum goroutine_state state = state_of(g);

	if ((state == GOROUTINE_WAITING || state == GOROUTINE_LEAKED) &&
	    g->wait_reason < MAX_REASONS && golang->reasons[g->wait_reason])
		return golang->reasons[g->wait_reason];
	return names[state];
}

static bool is_system(const struct frame *start)
{
	/* Go 1.23 runtime/traceback.go, isSystemGoroutine() */
	static const char *const others[] = { "runtime.main", "runtime.corostart",
					      "runtime.handleAsyncEvent" };

	if (!start || !start->function || strncmp(start->function, "runtime.", 8) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (!strcmp(start->function, others[i]))
			return false;
	return true;
}

/* A goroutine that was not seen before. */
static void begin_goroutine(struct golang *golang, struct tracked *tracked, const struct g *g,
			    uint64_t now_ns)
{
	const struct frame *start = gosym_start(&golang->symbols, g->start);

	*tracked = (struct tracked){
		.address = tracked->address,
		.live = true,
		.start = g->start,
		.creator = g->creator,
	};
	tracked->goroutine = (struct goroutine){
		.id = g->id,
		.address = tracked->address,
		.parent_id = g->parent_id,
		.start = start,
		.creator = gosym_creator(&golang->symbols, g->creator),
		.system = is_system(start),
		.first_seen_ns = now_ns,
		.since_ns = now_ns,
	};
}

/* How long those wait that we found waiting: as long as the runtime's own dumps say. The garbage
 * collector notes of those that it finds waiting that they do so since its last run (Go 1.23
 * runtime/mgcmark.go, markroot(): waitsince). */
static void lower_since(struct goroutine *goroutine, const struct g *g)
{
	if (!goroutine_waits(goroutine) && goroutine->state != GOROUTINE_SYSCALL)
		return;
	if (g->wait_since && g->wait_since < goroutine->since_ns)
		goroutine->since_ns = g->wait_since;
	if (goroutine->since_ns < goroutine->first_seen_ns)
		goroutine->first_seen_ns = goroutine->since_ns;
}

static int add_pending(struct golang *golang, const struct tracked *tracked)
{
	if (vec_reserve((void **)&golang->pending, &golang->pending_capacity,
			golang->nr_pending + 1, sizeof(*golang->pending)))
		return -ENOMEM;
	golang->pending[golang->nr_pending++] = (size_t)(tracked - golang->tracked);
	return 0;
}

static int update(struct golang *golang, struct tracked *tracked, const struct g *g,
		  uint64_t now_ns)
{
	struct goroutine *goroutine = &tracked->goroutine;
	const char *reason = reason_of(golang, g);
	uint64_t sp = 0, pc = 0;
	bool stopped = g_stopped_at(g, &sp, &pc);

	if (!tracked->live || goroutine->id != g->id)
		begin_goroutine(golang, tracked, g, now_ns);
	if (goroutine->reason != reason || tracked->sp != sp || tracked->pc != pc ||
	    tracked->waiting != g->waiting) {
		goroutine->since_ns = now_ns;
		tracked->found = !golang->scanned;
		goroutine->stack = NULL;
		goroutine->waits_on = 0;
		tracked->stack_known = false;
	}
	goroutine->state = state_of(g);
	goroutine->reason = reason;
	if (tracked->found)
		lower_since(goroutine, g);
	if (tracked->labels != g->labels)
		goroutine->labels = labels_read(golang, g->labels);
	tracked->labels = g->labels;
	tracked->sp = sp;
	tracked->pc = pc;
	tracked->stack_high = g->stack_high;
	tracked->waiting = g->waiting;
	tracked->wait_reason = g->wait_reason;
	return stopped && !tracked->stack_known ? add_pending(golang, tracked) : 0;
}

/* A goroutine that waits again at the same place and depth may have come there on another way. That
 * can not be seen in its g, so some stacks are read again each time, all of them in turn. */
static int refresh_stacks(struct golang *golang)
{
	size_t nr = MIN(golang->nr_tracked, (size_t)NR_REFRESHED);
	int err = 0;

	for (size_t i = 0; i < nr && !err; i++) {
		size_t index = golang->next_refresh++ % golang->nr_tracked;
		struct tracked *tracked = &golang->tracked[index];

		if (!tracked->live || !tracked->stack_known)
			continue;
		tracked->stack_known = false;
		err = add_pending(golang, tracked);
	}
	return err;
}

/* --- reading the g structures --- */

/* Is it the goroutine that was there at the last scan? */
static bool is_known(const struct tracked *tracked, const struct g *g)
{
	return tracked->live && tracked->goroutine.id == g->id;
}

struct scan {
	struct golang *golang;
	uint64_t now_ns;
	size_t nr_dead, nr_unreadable;
};

static int take_g(void *context, void *item, const uint8_t *bytes)
{
	struct scan *scan = context;
	struct golang *golang = scan->golang;
	struct tracked *tracked = item;
	struct g g;

	if (!bytes || !layout_read(golang->layout, tracked->address, bytes, &g)) {
		tracked->live = false;
		scan->nr_unreadable++;
		return 0;
	}
	if (g_is_live(&g) && (is_known(tracked, &g) || g_is_plausible(&g, &golang->symbols.table)))
		return update(golang, tracked, &g, scan->now_ns);
	scan->nr_dead += !g_is_live(&g);
	scan->nr_unreadable += g_is_live(&g);
	tracked->live = false;
	return 0;
}

static int read_gs(struct golang *golang, struct scan *scan)
{
	const struct places places = {
		.items = golang->tracked,
		.nr = golang->nr_tracked,
		.stride = sizeof(golang->tracked[0]),
		.len = layout_bytes(golang->layout),
		.window = golang->window,
	};

	golang->nr_pending = 0;
	return memory_read_places(&golang->memory, &places, take_g, scan);
}

/* --- the result --- */

static int collect(struct golang *golang, struct goroutine_list *list)
{
	struct goroutine *goroutines;
	size_t nr = 0;

	if (vec_reserve((void **)&golang->goroutines, &golang->goroutines_capacity,
			golang->nr_tracked + 1, sizeof(*golang->goroutines)))
		return -ENOMEM;
	goroutines = golang->goroutines;
	for (size_t i = 0; i < golang->nr_tracked; i++) {
		const struct tracked *tracked = &golang->tracked[i];

		if (!tracked->live)
			continue;
		list->nr_stackless += !tracked->goroutine.stack;
		goroutines[nr++] = tracked->goroutine;
	}
	list->goroutines = goroutines;
	list->nr_goroutines = nr;
	return 0;
}

static int fail(const struct golang *golang, int err, const struct scan *scan, struct error *error)
{
	switch (err) {
	case -ESRCH:
		return error_set(error, err, "PID %d (%s) has ended", golang->pid, golang->comm);
	case -ENOMEM:
		return error_set(error, err, "out of memory for the goroutines of PID %d (%s)",
				 golang->pid, golang->comm);
	case -EPERM:
		return error_set(error, -EACCES,
				 "no right to read the memory of PID %d (%s) any more; run "
				 "leakbpf as root (sudo)",
				 golang->pid, golang->comm);
	default:
		return error_set(error, -ENOTSUP,
				 "the list of goroutines of PID %d (%s) is damaged (%zu of %zu "
				 "entries make sense): it may have started another program",
				 golang->pid, golang->comm,
				 golang->nr_tracked - scan->nr_unreadable, golang->nr_tracked);
	}
}

/* What every look begins with: the list and the g structures. */
static int look(struct golang *golang, struct scan *scan)
{
	int err;

	names_forget(golang);
	err = read_table(golang);
	if (err == -EUCLEAN && !allgs_find(golang)) /* it was a copy that has gone */
		err = read_table(golang);
	if (!err)
		err = read_gs(golang, scan);
	if (!err && scan->nr_unreadable > golang->nr_tracked / 2)
		err = -EUCLEAN;
	return err;
}

int golang_scan(struct golang *golang, struct goroutine_list *ret_list, struct error *error)
{
	struct goroutine_list list = { .time_ns = clock_monotonic_ns() };
	struct scan scan = { .golang = golang, .now_ns = list.time_ns };
	uint64_t calls = golang->memory.nr_calls;
	int err = look(golang, &scan);

	list.table_calls = golang->memory.nr_calls - calls;
	if (!err)
		err = refresh_stacks(golang);
	if (!err)
		err = stacks_read(golang);
	if (!err)
		err = collect(golang, &list);
	if (err)
		return fail(golang, err, &scan, error);
	golang->scanned = true;
	list.nr_dead = scan.nr_dead;
	list.nr_unreadable = scan.nr_unreadable;
	list.stack_calls = golang->memory.nr_calls - calls - list.table_calls;
	*ret_list = list;
	return 0;
}

int golang_count(struct golang *golang, size_t *ret_nr, struct error *error)
{
	struct scan scan = { .golang = golang, .now_ns = clock_monotonic_ns() };
	int err = look(golang, &scan);
	size_t nr = 0;

	if (err)
		return fail(golang, err, &scan, error);
	for (size_t i = 0; i < golang->nr_tracked; i++)
		nr += golang->tracked[i].live && !golang->tracked[i].goroutine.system;
	*ret_nr = nr;
	return 0;
}

void scan_done(struct golang *golang)
{
	free(golang->table);
	free(golang->tracked);
	free(golang->pending);
	free(golang->goroutines);
	free(golang->window);
	strings_free(golang->labels);
}
