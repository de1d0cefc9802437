/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The stacks of goroutines that are stopped right now. The process runs on, so of each the g is read
 * before and after the stack, in one go: when it is the same, the stack has not changed either.
 */
#include <errno.h>
#include <string.h>

#include "golang/process.h"
#include "golang/unwind.h"

#define BATCH       256
#define JOB_SPANS   4
#define STACK_BYTES 4096          /* are enough for most */
#define DEEP_BYTES  (256UL << 10) /* are enough for LB_MAX_FRAMES of usual size */
#define SUDOG_BYTES 96
#define TRIES       3 /* to read one that does not lead to the outermost function */
#define MAX_POINTER (1ULL << 47)

/* One goroutine being read. */
struct job {
	struct tracked *tracked;
	struct span *spans; /* JOB_SPANS of them: */
};
enum { SPAN_G_BEFORE, SPAN_STACK, SPAN_SUDOG, SPAN_G_AFTER };

#define JOB_BYTES(stack_bytes) ((stack_bytes) + 2 * G_MAX_BYTES + SUDOG_BYTES)

_Static_assert(BATCH *JOB_BYTES(STACK_BYTES) <= WINDOW_BYTES, "a batch fits");
_Static_assert(JOB_BYTES(DEEP_BYTES) <= WINDOW_BYTES, "a deep stack fits");

/* Where the bytes of @job go; @bytes: JOB_BYTES(stack_bytes) of them. */
static void plan_job(const struct golang *golang, const struct job *job, size_t stack_bytes,
		     uint8_t *bytes)
{
	const struct tracked *tracked = job->tracked;
	size_t g_bytes = layout_bytes(golang->layout);

	job->spans[SPAN_G_BEFORE] =
		(struct span){ .address = tracked->address, .bytes = bytes, .len = g_bytes };
	job->spans[SPAN_STACK] = (struct span){
		.address = tracked->sp,
		.bytes = bytes + G_MAX_BYTES,
		.len = MIN(tracked->stack_high - tracked->sp, stack_bytes),
	};
	bytes += G_MAX_BYTES + stack_bytes;
	job->spans[SPAN_SUDOG] = (struct span){
		.address = tracked->waiting ? tracked->waiting : tracked->address,
		.bytes = bytes,
		.len = SUDOG_BYTES,
	};
	job->spans[SPAN_G_AFTER] = (struct span){ .address = tracked->address,
						  .bytes = bytes + SUDOG_BYTES,
						  .len = g_bytes };
}

/* Is the g still what it was when it was tracked? When it is another goroutine by now, or none, it
 * is forgotten. */
static bool is_unchanged(const struct golang *golang, struct tracked *tracked,
			 const struct span *span)
{
	uint64_t sp, pc;
	struct g g;

	if (!span->done || !layout_read(golang->layout, tracked->address, span->bytes, &g) ||
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
	const struct tracked *tracked = job->tracked;
	const struct span *sudog = &job->spans[SPAN_SUDOG];
	uint64_t owner, channel;

	if (!tracked->waiting || !sudog->done || strncmp(tracked->goroutine.reason, "chan ", 5))
		return 0;
	memcpy(&owner, sudog->bytes, sizeof(owner));
	memcpy(&channel, (const uint8_t *)sudog->bytes + golang->layout->sudog_c, sizeof(channel));
	return owner == tracked->address ? channel : 0;
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

/* Unwinds what was read. false: it has to be read again, and more of it; not when this is the
 * @last try. */
static bool finish_job(struct golang *golang, const struct job *job, bool last)
{
	const struct span *stack = &job->spans[SPAN_STACK];
	struct stack_bytes bytes = { stack->address, stack->bytes, stack->len };
	struct goroutine *goroutine = &job->tracked->goroutine;
	struct unwound unwound;
	enum unwind_end end;

	goroutine->stack = NULL;
	goroutine->waits_on = 0;
	if (!is_unchanged(golang, job->tracked, &job->spans[SPAN_G_BEFORE]) ||
	    !is_unchanged(golang, job->tracked, &job->spans[SPAN_G_AFTER]) || !stack->done)
		return true;
	end = unwind_go(&golang->symbols, &bytes, job->tracked->pc, golang->link_register,
			&unwound);
	if (end != UNWIND_COMPLETE && end != UNWIND_TOO_DEEP && !last)
		return false;
	goroutine->stack =
		gosym_stack(&golang->symbols, unwound.pcs, unwound.nr_pcs, stack_flags(end));
	goroutine->waits_on = channel_of(golang, job);
	if (!goroutine->waits_on && unwound.waits_on < MAX_POINTER)
		goroutine->waits_on = unwound.waits_on;
	job->tracked->stack_known = true;
	return true;
}

/* Reads and unwinds @nr stacks, at most @stack_bytes of each; moves those that are to be read again
 * to the front of @pending and returns their number, or -errno. */
static long read_batch(struct golang *golang, size_t *pending, size_t nr, size_t stack_bytes,
		       bool last)
{
	struct span spans[BATCH * JOB_SPANS];
	struct job jobs[BATCH];
	size_t nr_again = 0;
	int err;

	for (size_t i = 0; i < nr; i++) {
		jobs[i] = (struct job){ &golang->tracked[pending[i]], &spans[i * JOB_SPANS] };
		plan_job(golang, &jobs[i], stack_bytes,
			 golang->window + i * JOB_BYTES(stack_bytes));
	}
	err = memory_read_spans(&golang->memory, spans, nr * JOB_SPANS);
	if (err)
		return err;
	for (size_t i = 0; i < nr; i++)
		if (!finish_job(golang, &jobs[i], last))
			pending[nr_again++] = pending[i];
	return (long)nr_again;
}

/* One that is deep, or that ran on for a moment while it was being read. */
static int read_again(struct golang *golang, size_t *pending)
{
	long result = 1;

	for (int i = 1; i < TRIES && result > 0; i++)
		result = read_batch(golang, pending, 1, DEEP_BYTES, i == TRIES - 1);
	return result < 0 ? (int)result : 0;
}

int stacks_read(struct golang *golang)
{
	for (size_t at = 0; at < golang->nr_pending; at += BATCH) {
		size_t *pending = golang->pending + at;
		size_t nr = MIN(golang->nr_pending - at, (size_t)BATCH);
		long nr_again = read_batch(golang, pending, nr, STACK_BYTES, false);
		int err = nr_again < 0 ? (int)nr_again : 0;

		for (long i = 0; i < nr_again && !err; i++)
			err = read_again(golang, pending + i);
		if (err)
			return err;
	}
	return 0;
}
