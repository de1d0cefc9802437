/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The functions of the Go runtime that open and close timers, threads, goroutines and their waits,
 * and where to probe them. Never at their return.
 *
 * Until Go 1.22 package time has its timers started and stopped by the runtime, which runs them in
 * runOneTimer. Since 1.23 newTimer makes them: its call of (*timer).modify is the one place where
 * the new timer is known; the others find the timer 16 bytes into what package time holds (Go 1.19
 * and 1.23, src/runtime/time.go: struct timer, struct timeTimer; src/time/sleep.go). Threads: newm1
 * and mexit of src/runtime/proc.go.
 *
 * A goroutine is made in newproc, on the stack of its go statement, and has an address where newproc
 * passes it, as the second argument, to runqput in a function run on the system stack; goexit0 ends
 * it. It waits from gopark until execute (src/runtime/proc.go, Go 1.19 and 1.23).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "probe/discover.h"

#define LAST_TIMER_VERSION     23 /* the minor version up to which the layout of timers is known */
#define LAST_SCHEDULER_VERSION 27
#define LAST_THREAD_VERSION    99

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
	{ "time.newTimer", 23, 23, OPENS(LB_CALL_GO_TIMER, LB_KIND_TIMER),
	  LB_COOKIE_GO_INSIDE | IS_CHAN(10), "runtime.(*timer).modify" },
	{ "time.resetTimer", 23, 23, OPENS(LB_CALL_GO_TIMER, LB_KIND_TIMER), ADD(16) | IS_CHAN(10),
	  NULL },
	{ "time.stopTimer", 23, 23, CLOSES(LB_CALL_GO_TIMER_STOP, LB_KIND_TIMER), ADD(16), NULL },
	{ "runtime.(*timer).unlockAndRun", 23, 23, CLOSES(LB_CALL_GO_TIMER_FIRE, LB_KIND_TIMER),
	  PERIOD(24), NULL },
	{ "runtime.newm1", 17, LAST_THREAD_VERSION, OPENS(LB_CALL_GO_THREAD, LB_KIND_THREAD), 0,
	  NULL },
	{ "runtime.mexit", 17, LAST_THREAD_VERSION, CLOSES(LB_CALL_GO_THREAD_END, LB_KIND_THREAD),
	  0, NULL },
	{ "runtime.newproc", 18, LAST_SCHEDULER_VERSION, OPENS(LB_CALL_GO_NEWPROC, LB_KIND_NEWPROC),
	  0, NULL },
	{ "runtime.newproc.func1", 18, LAST_SCHEDULER_VERSION,
	  OPENS(LB_CALL_GO_CREATED, LB_KIND_NEWPROC), LB_COOKIE_GO_SECOND | LB_COOKIE_GO_INSIDE,
	  "runtime.runqput" },
	{ "runtime.goexit0", 18, LAST_SCHEDULER_VERSION, CLOSES(LB_CALL_GO_ENDED, LB_KIND_NEWPROC),
	  0, NULL },
	{ "runtime.gopark", 18, LAST_SCHEDULER_VERSION, OPENS(LB_CALL_GO_PARK, LB_KIND_GOPARK), 0,
	  NULL },
	{ "runtime.execute", 18, LAST_SCHEDULER_VERSION, CLOSES(LB_CALL_GO_EXECUTE, LB_KIND_GOPARK),
	  0, NULL },
};

/* What the symbols of a file tell of the rows. */
struct go_functions {
	struct symbol calls[ARRAY_SIZE(go_calls)];    /* name NULL: not there */
	struct symbol wrappers[ARRAY_SIZE(go_calls)]; /* of the same name */
	uint64_t callees[ARRAY_SIZE(go_calls)];
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

static const char *why_unknown(unsigned int minor, unsigned int last)
{
	if (!minor)
		return "its version of Go is not known";
	return minor > last ? "its version of Go is newer than what leakbpf knows of"
			    : "functions of the Go runtime were not found in it";
}

/* @missing, @there: kinds with a function of this version that is not there, or that is. Those of
 * timers are not there either when a program has none. */
static void note_unknown(struct discovery *discovery, unsigned int minor, uint32_t missing,
			 uint32_t there)
{
	if (!there || minor > LAST_TIMER_VERSION)
		discovery->unknown_timers = why_unknown(minor, LAST_TIMER_VERSION);
	if (missing & 1U << LB_KIND_THREAD)
		discovery->unknown_threads = why_unknown(minor, LAST_THREAD_VERSION);
	if (missing & (1U << LB_KIND_NEWPROC | 1U << LB_KIND_GOPARK))
		discovery->unknown_scheduler = why_unknown(minor, LAST_SCHEDULER_VERSION);
}

int discover_go(struct image *image, struct discovery *discovery)
{
	struct go_functions functions = { 0 };
	unsigned int minor = go_minor(image);
	uint32_t missing = 0, there = 0; /* kinds, see note_unknown() */
	int err = image_for_each_function(image, gather_go, &functions);

	for (size_t i = 0; !err && i < ARRAY_SIZE(go_calls); i++) {
		const struct go_call *row = &go_calls[i];
		struct site_probe probe = { .call = &row->call };

		if (!functions.calls[i].name || minor < row->first || minor > row->last) {
			missing |= 1U << row->call.kind;
			continue;
		}
		there |= 1U << row->call.kind;
		err = choose_function(image, &functions.calls[i], &functions.wrappers[i]);
		if (!err)
			err = find_place(image, row, &functions.calls[i], functions.callees[i],
					 &probe);
		if (!err)
			err = discovery_add_probe(discovery, row->name, &probe);
		else if (err != -ENOMEM)
			err = discovery_add_unplaced(discovery, &row->call, row->name, err);
	}
	note_unknown(discovery, minor, missing, there);
	return err;
}
