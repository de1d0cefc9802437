/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Goroutines that wait in a ring for mutexes which the next one holds.
 *
 * A sync.Mutex does not record who holds it. But a function that has locked one and is going to
 * unlock it keeps its address, or that of the object it is part of, in its stack frame or in what a
 * closure has captured. So of those that have waited long for one mutex, those with the address of
 * another one in their stacks seem to hold that; a ring of such is likely a deadlock, and called so.
 */
#include <stdlib.h>
#include <string.h>

#include "golang/process.h"
#include "golang/sites.h"

#define MAX_WAITERS   64 /* looked at: those that wait longest; bits of a word */
#define INNERMOST     8  /* frames */
#define WAITED_NS     (8 * NSEC_PER_SEC)
#define STACK_WORDS   512
#define RWMUTEX_BYTES 24   /* Go 1.23 sync/rwmutex.go, RWMutex: several things to wait for */
#define OBJECT_BYTES  64   /* looked at of what the stack points to */
#define FIELD_AT_MOST 256  /* offset of a mutex in an object of which only the address is kept */
#define HEAP_SHIFT    32   /* a closure lies within as many bits of the mutexes it captures */
#define MAX_SENTENCES 4096 /* in one watch */

/* One that has waited long for a mutex. */
struct waiter {
	const struct goroutine *goroutine;
	bool rwmutex;   /* it waits for something of a sync.RWMutex */
	uint64_t holds; /* bits of those that wait for a mutex it seems to hold */
};

struct waiters {
	struct waiter waiter[MAX_WAITERS];
	size_t nr;
};

/* Is one of the innermost functions a method of that type of package sync? */
static bool is_inside(const struct goroutine *goroutine, const char *type)
{
	const struct stack *stack = goroutine->stack;

	for (size_t i = 0; stack && i < stack->nr_frames && i < INNERMOST; i++) {
		const char *function = stack->frames[i].function;

		if (function && !strncmp(function, type, strlen(type)))
			return true;
	}
	return false;
}

static bool waits_long(const struct goroutine *goroutine, uint64_t now_ns)
{
	return goroutine->state == GOROUTINE_WAITING && goroutine->waits_on &&
	       now_ns > goroutine->since_ns && now_ns - goroutine->since_ns >= WAITED_NS &&
	       (is_inside(goroutine, "sync.(*Mutex).") || is_inside(goroutine, "sync.(*RWMutex)."));
}

/* Keeps the list sorted, those that wait longest first. */
static void add_waiter(struct waiters *waiters, const struct goroutine *goroutine)
{
	size_t at = waiters->nr;

	if (at == MAX_WAITERS) {
		if (waiters->waiter[--at].goroutine->since_ns <= goroutine->since_ns)
			return;
	} else {
		waiters->nr++;
	}
	for (; at && waiters->waiter[at - 1].goroutine->since_ns > goroutine->since_ns; at--)
		waiters->waiter[at] = waiters->waiter[at - 1];
	waiters->waiter[at] = (struct waiter){
		.goroutine = goroutine,
		.rwmutex = is_inside(goroutine, "sync.(*RWMutex)."),
	};
}

static bool is_within(uint64_t object, uint64_t address)
{
	return object <= address && address - object < FIELD_AT_MOST;
}

/* Does the word refer to @mutex, or to an object that it is part of? Not one that the mutex waited
 * for may be part of as well: sync.RWMutex has several things to wait for. */
static bool refers(uint64_t word, uint64_t mutex, uint64_t waited_for)
{
	if (word == waited_for)
		return false;
	return word == mutex || (is_within(word, mutex) && !is_within(word, waited_for));
}

/* Do both wait for the same mutex? */
static bool is_same_mutex(const struct waiter *a, const struct waiter *b)
{
	uint64_t x = a->goroutine->waits_on, y = b->goroutine->waits_on;
	uint64_t distance = x > y ? x - y : y - x;

	return distance < (a->rwmutex || b->rwmutex ? RWMUTEX_BYTES : 1);
}

/* Which of the mutexes that others wait for do these words refer to? */
static uint64_t find_references(const struct waiters *waiters, const struct waiter *self,
				const uint64_t *words, size_t nr)
{
	uint64_t found = 0, waited_for = self->goroutine->waits_on;

	for (size_t i = 0; i < waiters->nr; i++) {
		const struct waiter *other = &waiters->waiter[i];

		for (size_t j = 0; j < nr && !is_same_mutex(self, other); j++)
			if (refers(words[j], other->goroutine->waits_on, waited_for))
				found |= 1ULL << i;
	}
	return found;
}

static const struct tracked *find_tracked(const struct golang *golang, uint64_t address)
{
	size_t low = 0, high = golang->nr_tracked;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (golang->tracked[middle].address < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < golang->nr_tracked && golang->tracked[low].address == address
		       ? &golang->tracked[low]
		       : NULL;
}

/* What the stack words point to: captured variables; not a sudog, which begins with the address of
 * its g and refers to what that one waits for. */
static uint64_t find_captured(struct golang *golang, const struct waiters *waiters,
			      const struct waiter *self, const uint64_t *words, size_t nr)
{
	uint64_t objects[STACK_WORDS][OBJECT_BYTES / 8], found = 0;
	uint64_t mutex = self->goroutine->waits_on;
	struct span spans[STACK_WORDS];
	size_t nr_spans = 0;

	for (size_t i = 0; i < nr; i++) {
		if (words[i] % 8 || words[i] >> HEAP_SHIFT != mutex >> HEAP_SHIFT)
			continue;
		spans[nr_spans] = (struct span){ .address = words[i],
						 .bytes = objects[nr_spans],
						 .len = OBJECT_BYTES };
		nr_spans++;
	}
	if (memory_read_spans(&golang->memory, spans, nr_spans))
		return 0;
	for (size_t i = 0; i < nr_spans; i++)
		if (spans[i].done && !find_tracked(golang, objects[i][0]))
			found |= find_references(waiters, self, objects[i], OBJECT_BYTES / 8);
	return found;
}

static void find_held(struct golang *golang, const struct waiters *waiters, struct waiter *waiter)
{
	const struct tracked *tracked = find_tracked(golang, waiter->goroutine->address);
	uint64_t words[STACK_WORDS];
	size_t bytes;

	if (!tracked || tracked->stack_high <= tracked->sp)
		return;
	bytes = MIN(tracked->stack_high - tracked->sp, sizeof(words)) & ~7UL;
	if (memory_read(&golang->memory, tracked->sp, words, bytes))
		return;
	waiter->holds = find_references(waiters, waiter, words, bytes / 8) |
			find_captured(golang, waiters, waiter, words, bytes / 8);
}

/* Whom each one keeps waiting, through others too: S. Warshall, A Theorem on Boolean Matrices. */
static void close_over(const struct waiters *waiters, uint64_t reach[MAX_WAITERS])
{
	for (size_t i = 0; i < waiters->nr; i++)
		reach[i] = waiters->waiter[i].holds;
	for (size_t k = 0; k < waiters->nr; k++)
		for (size_t i = 0; i < waiters->nr; i++)
			if (reach[i] >> k & 1)
				reach[i] |= reach[k];
}

static void report_ring(struct goroutine_watch *watch, const struct goroutine *goroutine,
			const struct goroutine *next)
{
	struct goroutine_site *site = site_of(watch, goroutine);
	struct buf text __cleanup_buf = { 0 };

	if (!site || (!site->ring && watch->nr_named >= MAX_SENTENCES))
		return;
	if (!site->ring) {
		buf_printf(
			&text,
			"likely a deadlock: goroutine %ju waits for the mutex at 0x%jx and seems "
			"to hold the one at 0x%jx that goroutine %ju waits for, in a ring",
			(uintmax_t)goroutine->id, (uintmax_t)goroutine->waits_on,
			(uintmax_t)next->waits_on, (uintmax_t)next->id);
		site->ring = strings_intern(watch->strings, text.data);
		watch->nr_named++;
	}
	site->proof = site->ring;
}

/* One that waits in a ring with @reach[at], for whom it goes on. */
static const struct goroutine *next_in_ring(const struct waiters *waiters,
					    const uint64_t reach[MAX_WAITERS], size_t at)
{
	for (size_t i = 0; i < waiters->nr; i++)
		if (waiters->waiter[at].holds >> i & 1 && reach[i] >> at & 1)
			return waiters->waiter[i].goroutine;
	return NULL;
}

void deadlocks_find(struct goroutine_watch *watch, const struct goroutine_list *list)
{
	struct waiters waiters = { .nr = 0 };
	uint64_t reach[MAX_WAITERS];

	for (size_t i = 0; i < list->nr_goroutines; i++)
		if (waits_long(&list->goroutines[i], list->time_ns))
			add_waiter(&waiters, &list->goroutines[i]);
	for (size_t i = 0; i < waiters.nr && waiters.nr > 1; i++)
		find_held(watch->golang, &waiters, &waiters.waiter[i]);
	close_over(&waiters, reach);
	for (size_t i = 0; i < waiters.nr; i++) {
		const struct goroutine *next = next_in_ring(&waiters, reach, i);

		if (next)
			report_ring(watch, waiters.waiter[i].goroutine, next);
	}
}
