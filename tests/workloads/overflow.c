/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * More live blocks than a ledger may hold, then a late leak at another place, then all but the leak
 * is freed. Phases: fill NUMBER, late, free.
 */
#include "workload.h"

#define LATE_BLOCKS 5000

static void **blocks;
static size_t nr_blocks;

SITE static void *fill_one(void)
{
	return malloc(24);
}

SITE static void leak_late(void)
{
	keep(malloc(777));
}

static void phase_fill(long number)
{
	nr_blocks = (size_t)number;
	blocks = calloc(nr_blocks, sizeof(*blocks));
	if (!blocks)
		workload_die("calloc");
	for (size_t i = 0; i < nr_blocks; i++)
		blocks[i] = fill_one();
	expect("heap", "fill_one", nr_blocks, nr_blocks * 24);
}

static void phase_late(long number)
{
	(void)number;
	for (size_t i = 0; i < LATE_BLOCKS; i++)
		leak_late();
	expect("heap", "leak_late", LATE_BLOCKS, LATE_BLOCKS * 777);
}

static void phase_free(long number)
{
	(void)number;
	for (size_t i = 0; i < nr_blocks; i++)
		free(blocks[i]);
	free(blocks);
	expect("heap", "fill_one", 0, 0);
}

static const struct workload_phase phases[] = {
	{ "fill", phase_fill },
	{ "late", phase_late },
	{ "free", phase_free },
};

int main(void)
{
	return WORKLOAD_SERVE(phases);
}
