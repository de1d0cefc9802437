/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The functions of the Go runtime that open and close timers, threads, goroutines and their waits,
 * and where to probe them. Never at their return. Checked in src/runtime/time.go, src/time/sleep.go
 * and src/runtime/proc.go of Go 1.19, 1.21 to 1.27, and in what they are compiled to.
 *
 * Until Go 1.22 package time has its timers started and stopped by the runtime, which runs them in
 * runOneTimer. Since 1.23 newTimer makes them: its call of (*timer).modify is the one place where
 * the new timer is known; the others find the timer 16 bytes into what package time holds (struct
 * timeTimer), and all that fire are run by unlockAndRun, those of a bubble of package synctest, too.
 * Since 1.25 struct timer has a field rand before its times. Threads: newm1 and mexit.
 *
 * A goroutine is made in newproc, on the stack of its go statement, and has an address where newproc
 * passes it, as the second argument, to runqput in a function run on the system stack; goexit0 ends
 * it. It waits from gopark until execute.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "probe/discover.h"

#define GO_RUNTIME   "runtime."
#define LAST_VERSION 27 /* the newest minor version for which all of this was checked */

#define ADD(bytes)     ((uint64_t)(bytes) << LB_COOKIE_GO_ADD_SHIFT)
#define PERIOD(bytes)  ((uint64_t)(bytes) << LB_COOKIE_GO_PERIOD_SHIFT)
#define IS_CHAN(bytes) ((uint64_t)(bytes) << LB_COOKIE_GO_IS_CHAN_SHIFT)

#define OPENS(verb, resource)  { .call = (verb), .kind = (resource), .of_go = true }
#define CLOSES(verb, resource) { .call = (verb), .kind = (resource), .of_go = true, .closes = true }

/* Minor versions of Go 1, the first and the last for which the row holds. */
static const struct go_call {
	const char *name;
	unsigned int first, last;
	struct call call;
	uint64_t cookie;    /* LB_COOKIE_GO_* */
	const char *callee; /* probed where this is called; NULL: at the entry */
} go_calls[] = {
	{ "time.startTimer", 17, 22, OPENS(LB_CALL_GO_TIMER, LB_KIND_TIMER), 0, NULL },
	{ "time.resetTimer", 17, 22, OPENS(LB_CALL_GO_TIMER, LB_KIND_TIMER), 0, NULL },
	{ "time.stopTimer", 17, 22, CLOSES(LB_CALL_GO_TIMER_STOP, LB_KIND_TIMER), 0, NULL },
	{ "runtime.runOneTimer", 17, 22, CLOSES(LB_CALL_GO_TIMER_FIRE, LB_KIND_TIMER),
	  LB_COOKIE_GO_SECOND | PERIOD(16), NULL },
	{ "time.newTimer", 23, LAST_VERSION, OPENS(LB_CALL_GO_TIMER, LB_KIND_TIMER),
	  LB_COOKIE_GO_INSIDE | IS_CHAN(10), "runtime.(*timer).modify" },
	{ "time.resetTimer", 23, LAST_VERSION, OPENS(LB_CALL_GO_TIMER, LB_KIND_TIMER),
	  ADD(16) | IS_CHAN(10), NULL },
	{ "time.stopTimer", 23, LAST_VERSION, CLOSES(LB_CALL_GO_TIMER_STOP, LB_KIND_TIMER), ADD(16),
	  NULL },
	{ "runtime.(*timer).unlockAndRun", 23, 24, CLOSES(LB_CALL_GO_TIMER_FIRE, LB_KIND_TIMER),
	  PERIOD(24), NULL },
	{ "runtime.(*timer).unlockAndRun", 25, LAST_VERSION,
	  CLOSES(LB_CALL_GO_TIMER_FIRE, LB_KIND_TIMER), PERIOD(32), NULL },
	{ "runtime.newm1", 17, LAST_VERSION, OPENS(LB_CALL_GO_THREAD, LB_KIND_THREAD), 0, NULL },
	{ "runtime.mexit", 17, LAST_VERSION, CLOSES(LB_CALL_GO_THREAD_END, LB_KIND_THREAD), 0,
	  NULL },
	{ "runtime.newproc", 18, LAST_VERSION, OPENS(LB_CALL_GO_NEWPROC, LB_KIND_NEWPROC), 0,
	  NULL },
	{ "runtime.newproc.func1", 18, LAST_VERSION, OPENS(LB_CALL_GO_CREATED, LB_KIND_NEWPROC),
	  LB_COOKIE_GO_SECOND | LB_COOKIE_GO_INSIDE, "runtime.runqput" },
	{ "runtime.goexit0", 18, LAST_VERSION, CLOSES(LB_CALL_GO_ENDED, LB_KIND_NEWPROC), 0, NULL },
	{ "runtime.gopark", 18, LAST_VERSION, OPENS(LB_CALL_GO_PARK, LB_KIND_GOPARK), 0, NULL },
	{ "runtime.execute", 18, LAST_VERSION, CLOSES(LB_CALL_GO_EXECUTE, LB_KIND_GOPARK), 0,
	  NULL },
};

/* What the symbols of a file tell of the rows. */
struct go_functions {
	struct symbol calls[ARRAY_SIZE(go_calls)];    /* name NULL: not there */
	struct symbol wrappers[ARRAY_SIZE(go_calls)]; /* of the same name */
	uint64_t callees[ARRAY_SIZE(go_calls)];
	bool inlined[ARRAY_SIZE(go_calls)]; /* somewhere: it may be called without being probed */
};

/* Visitor. */
static int gather_go(const struct symbol *symbol, void *context)
{
	struct go_functions *functions = context;

	for (size_t i = 0; i < ARRAY_SIZE(go_calls); i++) {
		if (strcmp(symbol->name, go_calls[i].name) == 0) {
			functions->wrappers[i] = functions->calls[i];
			functions->calls[i] = *symbol;
		}
		if (go_calls[i].callee && strcmp(symbol->name, go_calls[i].callee) == 0)
			functions->callees[i] = symbol->vaddr;
	}
	return 0;
}

/* Visitor. Those of package time are inlined by the runtime only for timers of its own; whoever else
 * calls them knows nothing but their names. */
static int gather_inlined(const char *name, void *context)
{
	struct go_functions *functions = context;

	for (size_t i = 0; i < ARRAY_SIZE(go_calls); i++)
		if (strcmp(name, go_calls[i].name) == 0)
			functions->inlined[i] = strncmp(name, GO_RUNTIME, strlen(GO_RUNTIME)) == 0;
	return 0;
}

/* The minor version of Go 1 that built the image; 0: not known. */
static unsigned int go_minor(const struct image *image)
{
	char *version __cleanup_string = image_go_version(image);
	char *end;
	unsigned long minor;

	if (!version || strncmp(version, "go1.", 4) != 0)
		return 0;
	minor = strtoul(version + 4, &end, 10);
	return minor < 100 ? (unsigned int)minor : 0;
}

/*
 * Functions that assembler code refers to have a wrapper of the same name, which calls them. Takes
 * the function of the two; -ENOTSUP: it can not be told.
 */
static int choose_function(struct image *image, struct symbol *function, const struct symbol *other)
{
	struct placement placement;

	if (!other->name || other->vaddr == function->vaddr ||
	    !placement_find_call(image, other->vaddr, other->size, function->vaddr, &placement))
		return 0;
	if (placement_find_call(image, function->vaddr, function->size, other->vaddr, &placement))
		return -ENOTSUP;
	*function = *other;
	return 0;
}

static int find_place(struct image *image, const struct go_call *row, const struct symbol *function,
		      uint64_t callee, struct site_probe *probe)
{
	bool at_branch = false;
	int err;

	if (!image_may_be_go_code(image, function->vaddr))
		return -ENOEXEC;
	if (row->callee)
		err = placement_find_call(image, function->vaddr, function->size, callee,
					  &probe->placement);
	else
		err = placement_find_go(image, function->vaddr, function->size, &probe->placement,
					&at_branch);
	probe->cookie = row->call.call | row->cookie | (at_branch ? LB_COOKIE_GO_BRANCH : 0);
	return err;
}

/* Kinds with a function of this version that is not there, or that is, or that is inlined. */
struct go_kinds {
	uint32_t missing, there, inlined;
};

static bool is_there(const struct go_functions *functions, size_t i, unsigned int minor)
{
	return functions->calls[i].name && minor >= go_calls[i].first && minor <= go_calls[i].last;
}

static struct go_kinds kinds_of(const struct go_functions *functions, unsigned int minor)
{
	struct go_kinds kinds = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(go_calls); i++) {
		uint32_t kind = 1U << go_calls[i].call.kind;

		if (!is_there(functions, i, minor)) {
			kinds.missing |= kind;
			continue;
		}
		kinds.there |= kind;
		if (functions->inlined[i])
			kinds.inlined |= kind;
	}
	return kinds;
}

static const char *why_unknown(unsigned int minor, bool is_inlined)
{
	if (!minor)
		return "its version of Go is not known";
	if (is_inlined)
		return "functions of the Go runtime are inlined in it (by -pgo)";
	return minor > LAST_VERSION ? "its version of Go is newer than what leakbpf knows of"
				    : "functions of the Go runtime were not found in it";
}

/* Functions of timers are not there either when a program has none. */
static void note_unknown(struct discovery *discovery, unsigned int minor, struct go_kinds kinds)
{
	const uint32_t timer = 1U << LB_KIND_TIMER, thread = 1U << LB_KIND_THREAD;
	const uint32_t scheduler = 1U << LB_KIND_NEWPROC | 1U << LB_KIND_GOPARK;

	if (!kinds.there || minor > LAST_VERSION || kinds.inlined & timer)
		discovery->unknown_timers = why_unknown(minor, kinds.inlined & timer);
	if ((kinds.missing | kinds.inlined) & thread)
		discovery->unknown_threads = why_unknown(minor, kinds.inlined & thread);
	if ((kinds.missing | kinds.inlined) & scheduler)
		discovery->unknown_scheduler = why_unknown(minor, kinds.inlined & scheduler);
}

/* What is called without being probed at some places would be counted wrongly: then nothing of its
 * kind is probed. */
int discover_go(struct image *image, struct discovery *discovery)
{
	struct go_functions functions = { 0 };
	unsigned int minor = go_minor(image);
	struct go_kinds kinds;
	int err = image_for_each_function(image, gather_go, &functions);

	if (!err &&
	    image_for_each_inlined(image, GO_RUNTIME, gather_inlined, &functions) == -ENOMEM)
		err = -ENOMEM;
	kinds = kinds_of(&functions, minor);
	for (size_t i = 0; !err && i < ARRAY_SIZE(go_calls); i++) {
		const struct go_call *row = &go_calls[i];
		struct site_probe probe = { .call = &row->call };

		if (!is_there(&functions, i, minor) || kinds.inlined & 1U << row->call.kind)
			continue;
		err = choose_function(image, &functions.calls[i], &functions.wrappers[i]);
		if (!err)
			err = find_place(image, row, &functions.calls[i], functions.callees[i],
					 &probe);
		if (!err)
			err = discovery_add_probe(discovery, row->name, &probe);
		else if (err != -ENOMEM)
			err = discovery_add_unplaced(discovery, &row->call, row->name, err);
	}
	note_unknown(discovery, minor, kinds);
	return err;
}
