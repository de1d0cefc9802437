/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Many distinct stacks, and deep ones. The bits of a number choose at each depth which of two
 * functions calls the next, so every number has a stack of its own.
 * Phases: go NUMBER (that many stacks, one block each), deep NUMBER (one stack of that depth).
 */
#include "workload.h"

#define DEPTH 17 /* 131,072 stacks at most */

static void descend(unsigned long path, unsigned int depth);

SITE static void leak_leaf(void)
{
	keep(malloc(100));
}

SITE static void step_0(unsigned long path, unsigned int depth)
{
	descend(path, depth);
	keep(NULL);
}

SITE static void step_1(unsigned long path, unsigned int depth)
{
	descend(path, depth);
	keep(NULL);
}

SITE static void descend(unsigned long path, unsigned int depth)
{
	if (depth == 0)
		leak_leaf();
	else if (path & 1)
		step_1(path >> 1, depth - 1);
	else
		step_0(path >> 1, depth - 1);
	keep(NULL);
}

static void phase_go(long number)
{
	for (unsigned long path = 0; path < (unsigned long)number; path++)
		descend(path, DEPTH);
	expect("heap", "leak_leaf", (size_t)number, (size_t)number * 100);
}

SITE static void leak_deep(long depth)
{
	if (depth == 0)
		keep(malloc(60));
	else
		leak_deep(depth - 1);
	keep(NULL);
}

static void phase_deep(long number)
{
	for (unsigned int i = 0; i < LEAKS; i++)
		leak_deep(number);
	expect("heap", "leak_deep", LEAKS, LEAKS * 60);
}

static const struct workload_phase phases[] = {
	{ "go", phase_go },
	{ "deep", phase_deep },
};

int main(void)
{
	return WORKLOAD_SERVE(phases);
}
