/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The stacks of goroutines that are stopped right now. The process runs on, so each one is read
 * first and its g after that: when the g is still the same, the stack has not changed either.
 */
#include <errno.h>
#include <string.h>

#include "golang/process.h"
#include "golang/unwind.h"

#define BATCH       256
#define STACK_BYTES 4096          /* are enough for most */
#define DEEP_BYTES  (256UL << 10) /* are enough for LB_MAX_FRAMES of usual size */
#define SUDOG_BYTES 96
#define MAX_POINTER (1ULL << 47)

_Static_assert(BATCH *(STACK_BYTES + G_MAX_BYTES + SUDOG_BYTES) <= WINDOW_BYTES, "a batch fits");
_Static_assert(DEEP_BYTES + G_MAX_BYTES + SUDOG_BYTES <= WINDOW_BYTES, "a deep stack fits");

/* One goroutine being read: its stack, its sudog, its g, in this order. */
struct job {
	struct tracked *tracked;
	struct span *stack, *sudog, *g;
};

/* Where the bytes of job number @slot of @batch go. */
static void plan_job(struct golang *golang, struct tracked *tracked, size_t slot, size_t batch,
		     size_t stack_bytes, struct span *spans, struct job *job)
{
	uint8_t *stacks = golang->window, *sudogs = stacks + batch * stack_bytes;
	uint8_t *gs = sudogs + batch * SUDOG_BYTES;

	*job = (struct job){ tracked, &spans[slot], &spans[batch + slot],
			     &spans[2 * batch + slot] };
	*job->stack = (struct span){
		.address = tracked->sp,
		.bytes = stacks + slot * stack_bytes,
		.len = MIN(tracked->stack_high - tracked->sp, stack_bytes),
	};
	*job->sudog = (struct span){
		.address = tracked->waiting ? tracked->waiting : tracked->address,
		.bytes = sudogs + slot * SUDOG_BYTES,
		.len = SUDOG_BYTES,
	};
	*job->g = (struct span){
		.address = tracked->address,
		.bytes = gs + slot * G_MAX_BYTES,
		.len = layout_bytes(golang->layout),
	};
}

/* Is the g what it was when it was tracked? When it is another goroutine by now, or none, it is
 * forgotten. */
static bool is_unchanged(struct golang *golang, const struct job *job)
{
	struct tracked *tracked = job->tracked;
	uint64_t sp, pc;
	struct g g;

	if (!job->g->done || !layout_read(golang->layout, tracked->address, job->g->bytes, &g) ||
	    !g_is_live(&g) || g.id != tracked->goroutine.id) {
		tracked->live = false;
		return false;
	}
	return g_stopped_at(&g, &sp, &pc) && sp == tracked->sp && pc == tracked->pc &&
	       g.waiting == tracked->waiting && g.wait_reason == tracked->wait_reason;
}

/* The channel that the goroutine waits for, by its sudog. 0: none. */
static uint64_t channel_of(const struct golang *golang, const struct job *job)
{
	const uint8_t *sudog = job->sudog->bytes;
	uint64_t owner, channel;

	if (!job->tracked->waiting || !job->sudog->done ||
	    strncmp(job->tracked->goroutine.reason, "chan ", 5) != 0)
		return 0;
	memcpy(&owner, sudog, sizeof(owner));
	memcpy(&channel, sudog + golang->layout->sudog_c, sizeof(channel));
	return owner == job->tracked->address ? channel : 0;
}

static uint32_t stack_flags(enum unwind_end end)
{
	switch (end) {
	case UNWIND_COMPLETE:
		return 0;
	case UNWIND_TOO_DEEP:
	case UNWIND_CUT:
		return LB_STACK_TRUNCATED;
	default:
		return LB_STACK_INCOMPLETE;
	}
}

/* Unwinds what was read. false: more of the stack has to be read. */
static bool finish_job(struct golang *golang, const struct job *job)
{
	struct tracked *tracked = job->tracked;
	struct goroutine *goroutine = &tracked->goroutine;
	struct stack_bytes bytes = { job->stack->address, job->stack->bytes, job->stack->len };
	struct unwound unwound;
	enum unwind_end end;

	if (!is_unchanged(golang, job) || !job->stack->done)
		return true;
	end = unwind_go(&golang->symbols, &bytes, tracked->pc, golang->link_register, &unwound);
	if (end == UNWIND_CUT && bytes.len < MIN(tracked->stack_high - tracked->sp, DEEP_BYTES))
		return false;
	goroutine->stack =
		gosym_stack(&golang->symbols, unwound.pcs, unwound.nr_pcs, stack_flags(end));
	goroutine->waits_on = channel_of(golang, job);
	if (!goroutine->waits_on && unwound.waits_on < MAX_POINTER)
		goroutine->waits_on = unwound.waits_on;
	tracked->stack_known = true;
	return true;
}

/* Reads and unwinds @nr stacks, at most @stack_bytes of each; moves those that need more to
 * the front of @pending and returns their number, or -errno. */
static long read_batch(struct golang *golang, size_t *pending, size_t nr, size_t stack_bytes)
{
	struct span spans[3 * BATCH];
	struct job jobs[BATCH];
	size_t nr_deep = 0;
	int err;

	for (size_t i = 0; i < nr; i++)
		plan_job(golang, &golang->tracked[pending[i]], i, nr, stack_bytes, spans, &jobs[i]);
	err = memory_read_spans(&golang->memory, spans, 3 * nr);
	if (err)
		return err;
	for (size_t i = 0; i < nr; i++)
		if (!finish_job(golang, &jobs[i]))
			pending[nr_deep++] = pending[i];
	return (long)nr_deep;
}

int stacks_read(struct golang *golang)
{
	for (size_t at = 0; at < golang->nr_pending; at += BATCH) {
		size_t *pending = golang->pending + at;
		size_t nr = MIN(golang->nr_pending - at, (size_t)BATCH);
		long nr_deep = read_batch(golang, pending, nr, STACK_BYTES);

		for (long i = 0; i < nr_deep; i++) {
			long result = read_batch(golang, pending + i, 1, DEEP_BYTES);

			if (result < 0)
				return (int)result;
		}
		if (nr_deep < 0)
			return (int)nr_deep;
	}
	return 0;
}
