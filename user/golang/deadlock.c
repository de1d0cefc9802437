/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Goroutines that wait in a ring for mutexes which the next one holds.
 *
 * A sync.Mutex does not record who holds it. But a function that has locked one and is going to
 * unlock it keeps its address, or that of the object it is part of, in its stack frame or in what a
 * closure has captured. So of those that have waited long for one mutex, those with the address of
 * another one in their stacks seem to hold that; a ring of such is likely a deadlock, and called so.
 *
 * The address of a mutex that stands first in an object is that of the object, which one that waits
 * for another mutex of it has in its stack anyway. It tells only when a function on the stack has
 * locked a mutex of that type, and unlocked none, before it got to where it is.
 */
#include <stdlib.h>
#include <string.h>

#include "golang/process.h"
#include "golang/sites.h"

#define MAX_WAITERS   64 /* looked at: those that wait longest; bits of a word */
#define INNERMOST     8  /* frames */
#define WAITED_NS     (8 * NSEC_PER_SEC)
#define STACK_WORDS   512
#define OBJECT_BYTES  64    /* looked at of what the stack points to */
#define FIELD_AT_MOST 256   /* offset of a mutex in an object of which only the address is kept */
#define HEAP_SHIFT    32    /* a closure lies within as many bits of the mutexes it captures */
#define MAX_SENTENCES 4096  /* in one watch */
#define CODE_BYTES    16384 /* larger functions are not looked at */
#define CALL_BYTES    5

/* What of a sync.RWMutex is waited for: Go 1.18 to 1.27 sync/rwmutex.go, RWMutex. Its first field is
 * a sync.Mutex, for which writers wait that come second. */
#define RWMUTEX_WRITER_SEM 8
#define RWMUTEX_READER_SEM 12

/* One that has waited long for a mutex. */
struct waiter {
	const struct goroutine *goroutine;
	bool rwmutex;                     /* it waits for something of a sync.RWMutex */
	uint64_t mutex;                   /* address of the whole sync.Mutex or sync.RWMutex */
	uint64_t holds;                   /* bits of those that wait for a mutex it seems to hold */
	enum { UNKNOWN, YES, NO } has[2]; /* locked any other sync.Mutex, sync.RWMutex */
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
	return goroutine_waits(goroutine) && goroutine->waits_on && now_ns > goroutine->since_ns &&
	       now_ns - goroutine->since_ns >= WAITED_NS &&
	       (is_inside(goroutine, "sync.(*Mutex).") || is_inside(goroutine, "sync.(*RWMutex)."));
}

/* The mutex that one waits for who waits for something of it. */
static uint64_t mutex_of(const struct goroutine *goroutine)
{
	if (is_inside(goroutine, "sync.(*Mutex).") || !is_inside(goroutine, "sync.(*RWMutex)."))
		return goroutine->waits_on;
	return goroutine->waits_on - (is_inside(goroutine, "sync.(*RWMutex).RLock")
					      ? RWMUTEX_READER_SEM
					      : RWMUTEX_WRITER_SEM);
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
		.mutex = mutex_of(goroutine),
	};
}

/* --- what the functions on a stack have locked --- */

/* Functions that lock and unlock, or that are called where such a one is inlined: Go 1.19 to 1.23
 * sync/mutex.go and sync/rwmutex.go, and internal/sync/mutex.go from Go 1.24 on. */
static const struct locking {
	const char *name;
	bool rwmutex, unlocks;
} lockings[] = {
	{ "sync.(*Mutex).Lock", false, false },
	{ "sync.(*Mutex).lockSlow", false, false },
	{ "sync.(*Mutex).Unlock", false, true },
	{ "sync.(*Mutex).unlockSlow", false, true },
	{ "internal/sync.(*Mutex).Lock", false, false },
	{ "internal/sync.(*Mutex).lockSlow", false, false },
	{ "internal/sync.(*Mutex).Unlock", false, true },
	{ "internal/sync.(*Mutex).unlockSlow", false, true },
	{ "sync.(*RWMutex).Lock", true, false },
	{ "sync.(*RWMutex).Unlock", true, true },
	{ "sync.(*RWMutex).RLock", true, false },
	{ "sync.runtime_SemacquireRWMutexR", true, false },
	{ "sync.runtime_SemacquireMutex", true, false }, /* by RLock until Go 1.19 */
	{ "sync.(*RWMutex).RUnlock", true, true },
	{ "sync.(*RWMutex).rUnlockSlow", true, true },
};

/* NULL: the function at @address does nothing with such mutexes. */
static const struct locking *find_locking(const struct golang *golang, uint64_t address,
					  bool rwmutex)
{
	struct go_function function;

	if (pclntab_function_at(&golang->symbols.table, address, &function) ||
	    function.entry != address)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(lockings); i++)
		if (lockings[i].rwmutex == rwmutex && !strcmp(function.name, lockings[i].name))
			return &lockings[i];
	return NULL;
}

/* Are the CALL_BYTES @bytes at @pc a call? */
static bool is_call(const struct golang *golang, const uint8_t *bytes, uint64_t pc,
		    uint64_t *ret_target)
{
	uint32_t word;

	if (!golang->link_register) { /* x86: call rel32 */
		memcpy(&word, bytes + 1, sizeof(word));
		*ret_target = pc + CALL_BYTES + (uint64_t)(int64_t)(int32_t)word;
		return bytes[0] == 0xe8;
	}
	memcpy(&word, bytes, sizeof(word)); /* arm64: bl imm26 */
	*ret_target = pc + (uint64_t)(int64_t)((int32_t)(word << 6) >> 4);
	return pc % 4 == 0 && word >> 26 == 0x25;
}

/* The line at @pc of the function itself, not of one that is inlined there. 0: not known. */
static int line_at(struct golang *golang, uint64_t pc)
{
	uint64_t after = pc + 1; /* taken for a return address */
	const struct stack *stack = gosym_stack(&golang->symbols, &after, 1, 0);

	return stack && stack->nr_frames ? stack->frames[stack->nr_frames - 1].line : 0;
}

/* Does the function lock such a mutex before that line, and unlock none? An unlock that is deferred
 * is called in a function of its own. */
static bool has_locked(struct golang *golang, const struct go_function *function, int line,
		       bool rwmutex)
{
	size_t len = function->end - function->entry;
	uint8_t code[CODE_BYTES];
	uint64_t target;
	bool locked = false;

	if (len > CODE_BYTES || memory_read(&golang->memory, function->entry, code, len))
		return false;
	for (size_t at = 0; at + CALL_BYTES <= len; at++) {
		uint64_t pc = function->entry + at;
		const struct locking *locking = is_call(golang, code + at, pc, &target)
							? find_locking(golang, target, rwmutex)
							: NULL;
		int at_line = locking ? line_at(golang, pc) : 0;

		if (locking && locking->unlocks && at_line <= line)
			return false;
		locked |= locking && !locking->unlocks && at_line && at_line < line;
	}
	return locked;
}

static bool is_of_library(const char *function)
{
	return !strncmp(function, "sync.", 5) || !strncmp(function, "internal/sync.", 14) ||
	       !strncmp(function, "runtime.", 8);
}

/* Has one of the functions that wait locked such a mutex? */
static bool has_another(struct golang *golang, struct waiter *waiter, bool rwmutex)
{
	const struct stack *stack = waiter->goroutine->stack;
	struct go_function function;
	size_t nr_own = 0;

	for (size_t i = 0; i < stack->nr_frames && waiter->has[rwmutex] == UNKNOWN; i++) {
		const struct frame *frame = &stack->frames[i];

		if (i + 1 < stack->nr_frames && frame[1].address == frame->address)
			continue; /* inlined into the next one */
		if (pclntab_function_at(&golang->symbols.table, frame->address, &function) ||
		    is_of_library(function.name))
			continue;
		if (nr_own++ == INNERMOST)
			break;
		if (has_locked(golang, &function, frame->line, rwmutex))
			waiter->has[rwmutex] = YES;
	}
	if (waiter->has[rwmutex] == UNKNOWN)
		waiter->has[rwmutex] = NO;
	return waiter->has[rwmutex] == YES;
}

/* --- who holds what --- */

static bool is_within(uint64_t object, uint64_t address)
{
	return object <= address && address - object < FIELD_AT_MOST;
}

/* Does the word tell that @self holds the mutex that @other waits for? It is the address of this, or
 * of an object that it is part of. */
static bool refers(struct golang *golang, struct waiter *self, const struct waiter *other,
		   uint64_t word)
{
	if (word == self->mutex || !is_within(word, other->mutex))
		return false;
	if (!is_within(word, self->mutex))
		return true;
	return word == other->mutex && has_another(golang, self, other->rwmutex);
}

/* Which of the mutexes that others wait for do these words refer to? */
static uint64_t find_references(struct golang *golang, const struct waiters *waiters,
				struct waiter *self, const uint64_t *words, size_t nr)
{
	uint64_t found = 0;

	for (size_t i = 0; i < waiters->nr; i++) {
		const struct waiter *other = &waiters->waiter[i];

		for (size_t j = 0; j < nr && other->mutex != self->mutex; j++)
			if (refers(golang, self, other, words[j]))
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
			      struct waiter *self, const uint64_t *words, size_t nr)
{
	uint64_t objects[STACK_WORDS][OBJECT_BYTES / 8], found = 0;
	uint64_t mutex = self->mutex;
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
			found |= find_references(golang, waiters, self, objects[i],
						 OBJECT_BYTES / 8);
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
	waiter->holds = find_references(golang, waiters, waiter, words, bytes / 8) |
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
