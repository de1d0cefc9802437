/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One half of the blocks is released by cfree, which the C libraries of old had and some allocators
 * have still. Phase: go.
 */
#include "workload.h"

void cfree(void *block) __attribute__((weak));

SITE static void *leak_half(void)
{
	keep(malloc(90));
	return malloc(90);
}

SITE static void *leak_half_of_calloc(void)
{
	keep(calloc(4, 70));
	return calloc(4, 70);
}

/* Nothing is released before all is there, so no block comes to stand in the place of another. */
static void phase_go(long number)
{
	static void *held[2 * LEAKS];

	(void)number;
	if (!cfree)
		workload_die("no allocator with cfree is loaded");
	for (size_t i = 0; i < LEAKS; i++) {
		held[2 * i] = leak_half();
		held[2 * i + 1] = leak_half_of_calloc();
	}
	for (size_t i = 0; i < 2 * LEAKS; i++)
		cfree(held[i]);
	expect("heap", "leak_half", LEAKS, (size_t)LEAKS * 90);
	expect("heap", "leak_half_of_calloc", LEAKS, (size_t)LEAKS * 280);
}

static const struct workload_phase phases[] = {
	{ "go", phase_go },
};

int main(void)
{
	return WORKLOAD_SERVE(phases);
}
