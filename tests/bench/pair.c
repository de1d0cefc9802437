/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a malloc(64) and its free() cost at a chosen depth of the stack.
 * CFLAGS: -O2 -g -fno-omit-frame-pointer -fno-optimize-sibling-calls -fno-builtin
 *
 * Phases: depth NUMBER (frames on the stack while malloc runs, from its caller to main's caller),
 * measure MILLISECONDS (for how long). Measuring prints
 *
 *	MEASURED depth=12 pairs=1000 batches=190 min_ns=10.20 median_ns=10.90
 *
 * CPU time of the thread per pair: the least and the median of that many short batches. The depth
 * is the one that was measured: the program cannot do with less than a few frames.
 */
#include <execinfo.h>
#include <time.h>

#include "workload.h"

#define BLOCK_BYTES   64
#define BATCH_NS      500000 /* short, so that some batches are not disturbed */
#define MIN_PAIRS     16
#define MAX_BATCHES   8192
#define NS_PER_SECOND 1000000000ULL
#define FRAMES_BELOW  3 /* frames that descend() has below itself: measure, run_batch, malloc's */
#define MAX_FRAMES    256

static unsigned int frames_above; /* of main: what calls it */
static unsigned int depth = 12;
static double costs_ns[MAX_BATCHES]; /* of a pair, batch by batch */

static uint64_t now_ns(clockid_t clock)
{
	struct timespec time;

	if (clock_gettime(clock, &time))
		workload_die("clock_gettime");
	return (uint64_t)time.tv_sec * NS_PER_SECOND + (uint64_t)time.tv_nsec;
}

/* Frames from the caller's to main's, both counted. Works without frame pointers, too. */
SITE static unsigned int frames_to_main(void)
{
	void *frames[MAX_FRAMES];

	return (unsigned int)backtrace(frames, MAX_FRAMES) - 1 - frames_above;
}

/* Runs @pairs pairs; returns the CPU time of one in ns. */
SITE static double run_batch(long pairs)
{
	uint64_t start = now_ns(CLOCK_THREAD_CPUTIME_ID);

	for (long i = 0; i < pairs; i++) {
		void *block = malloc(BLOCK_BYTES);

		keep(block);
		free(block);
	}
	return (double)(now_ns(CLOCK_THREAD_CPUTIME_ID) - start) / (double)pairs;
}

/* As many pairs as fill a batch; also warms up what is measured. */
static long calibrate(void)
{
	long pairs = MIN_PAIRS;

	for (int i = 0; i < 4; i++) {
		double cost_ns = run_batch(pairs);

		pairs = (long)(BATCH_NS / (cost_ns > 1 ? cost_ns : 1));
		if (pairs < MIN_PAIRS)
			pairs = MIN_PAIRS;
	}
	return pairs;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

SITE static void measure(long milliseconds)
{
	uint64_t end = now_ns(CLOCK_MONOTONIC) + (uint64_t)milliseconds * 1000000;
	long pairs = calibrate();
	size_t nr = 0;

	do
		costs_ns[nr++] = run_batch(pairs);
	while (nr < MAX_BATCHES && now_ns(CLOCK_MONOTONIC) < end);
	qsort(costs_ns, nr, sizeof(*costs_ns), compare);
	workload_say("MEASURED depth=%u pairs=%ld batches=%zu min_ns=%.2f median_ns=%.2f",
		     frames_to_main() + FRAMES_BELOW - 1, pairs, nr, costs_ns[0], costs_ns[nr / 2]);
}

/* Calls itself until the stack is deep enough, and measures there. */
SITE static void descend(long milliseconds)
{
	if (frames_to_main() + FRAMES_BELOW < depth)
		descend(milliseconds);
	else
		measure(milliseconds);
	keep(NULL);
}

static void phase_depth(long number)
{
	depth = (unsigned int)number;
}

static const struct workload_phase phases[] = {
	{ "depth", phase_depth },
	{ "measure", descend },
};

int main(void)
{
	void *frames[MAX_FRAMES];

	frames_above = (unsigned int)backtrace(frames, MAX_FRAMES) - 1;
	return WORKLOAD_SERVE(phases);
}
