/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every C function that hands out heap blocks leaks LEAKS of them, each at a function of its own,
 * amid frees of others. Phases: go, threads.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>

#include "workload.h"

#define HUGE_SIZE (SIZE_MAX / 2 - 4096)

/* Who calls functions of musl that allocate is not to be seen: it has no unwind tables. */
#ifdef __GLIBC__
#define IN_LIBC(functions) "-"
#else
#define IN_LIBC(functions) functions
#endif

SITE static void leak_malloc(void)
{
	keep(malloc(48));
}

SITE static void leak_malloc_zero(void)
{
	keep(malloc(0));
}

SITE static void leak_calloc(void)
{
	keep(calloc(3, 40));
}

SITE static void leak_realloc_null(void)
{
	keep(realloc(NULL, 72));
}

SITE static void leak_realloc_grow(void)
{
	keep(realloc(malloc(20), 100000));
}

SITE static void leak_realloc_shrink(void)
{
	keep(realloc(malloc(5000), 24));
}

SITE static void leak_reallocarray(void)
{
	keep(reallocarray(NULL, 5, 31));
}

SITE static void leak_posix_memalign(void)
{
	void *block = NULL;

	if (posix_memalign(&block, 64, 130) != 0)
		workload_die("posix_memalign");
	keep(block);
}

SITE static void leak_aligned_alloc(void)
{
	keep(aligned_alloc(64, 192));
}

SITE static void leak_memalign(void)
{
	keep(memalign(128, 270));
}

SITE static void leak_valloc(void)
{
	keep(valloc(600));
}

#ifdef __GLIBC__
SITE static void leak_pvalloc(void)
{
	keep(pvalloc(700));
}
#endif

/* Above the size from which malloc makes a mapping of its own. */
SITE static void leak_malloc_big(void)
{
	keep(malloc(300000));
}

SITE static void leak_calloc_big(void)
{
	keep(calloc(1000, 310));
}

SITE static void leak_strdup(void)
{
	keep(strdup("a string of thirty-one letters."));
}

SITE static void leak_asprintf(void)
{
	char *text;

	if (asprintf(&text, "%030d", 7) != 30)
		workload_die("asprintf");
	keep(text);
}

/* --- calls that fail: they must open nothing and close nothing --- */

SITE static void fail_malloc(void)
{
	void *block = malloc(opaque(HUGE_SIZE));

	if (block)
		workload_die("a huge malloc did not fail");
}

SITE static void fail_calloc_overflow(void)
{
	void *block = calloc(opaque(SIZE_MAX / 2), 4);

	if (block)
		workload_die("an overflowing calloc did not fail");
}

SITE static void fail_posix_memalign(void)
{
	void *block = NULL;

	if (posix_memalign(&block, opaque(3), 100) != EINVAL)
		workload_die("posix_memalign took an alignment of 3");
}

SITE static void fail_realloc(void **block)
{
	void *moved = realloc(*block, opaque(HUGE_SIZE));

	if (moved)
		workload_die("a huge realloc did not fail");
	keep(*block);
}

SITE static void fail_reallocarray(void **block)
{
	void *moved = reallocarray(*block, opaque(SIZE_MAX / 2), 16);

	if (moved)
		workload_die("an overflowing reallocarray did not fail");
	keep(*block);
}

/* Its blocks stay although two calls tried to grow them. */
SITE static void leak_realloc_fail(void)
{
	void *block = malloc(64);

	fail_realloc(&block);
	fail_reallocarray(&block);
}

struct site {
	const char *name;
	void (*leak)(void);
	size_t bytes; /* asked for by each leaked block */
	size_t count; /* left by LEAKS calls */
	const char *via;
};

static const struct site sites[] = {
	{ "leak_malloc", leak_malloc, 48, LEAKS, "-" },
	{ "leak_malloc_zero", leak_malloc_zero, 0, LEAKS, "-" },
	{ "leak_calloc", leak_calloc, 120, LEAKS, "-" },
	{ "leak_realloc_null", leak_realloc_null, 72, LEAKS, "-" },
	{ "leak_realloc_grow", leak_realloc_grow, 100000, LEAKS, "-" },
	{ "leak_realloc_shrink", leak_realloc_shrink, 24, LEAKS, "-" },
	{ "leak_reallocarray", leak_reallocarray, 155, LEAKS, "-" },
	{ "leak_posix_memalign", leak_posix_memalign, 130, LEAKS, "-" },
	{ "leak_aligned_alloc", leak_aligned_alloc, 192, LEAKS, "-" },
	{ "leak_memalign", leak_memalign, 270, LEAKS, "-" },
	{ "leak_valloc", leak_valloc, 600, LEAKS, "-" },
#ifdef __GLIBC__
	{ "leak_pvalloc", leak_pvalloc, 700, LEAKS, "-" },
#endif
	{ "leak_malloc_big", leak_malloc_big, 300000, LEAKS, "-" },
	{ "leak_calloc_big", leak_calloc_big, 310000, LEAKS, "-" },
	{ "leak_strdup", leak_strdup, 32, LEAKS, IN_LIBC("strdup") },
	{ "leak_asprintf", leak_asprintf, 31, LEAKS, IN_LIBC("asprintf|libc.so") },
	{ "fail_malloc", fail_malloc, 0, 0, "-" },
	{ "fail_calloc_overflow", fail_calloc_overflow, 0, 0, "-" },
	{ "fail_posix_memalign", fail_posix_memalign, 0, 0, "-" },
	{ "leak_realloc_fail", leak_realloc_fail, 64, LEAKS, "-" },
	{ "fail_realloc", NULL, 0, 0, "-" },
	{ "fail_reallocarray", NULL, 0, 0, "-" },
};

/* Blocks that come and go between the leaks, and are all free in the end. */
SITE static void churn(size_t round)
{
	static void *held[16];
	size_t slot = round % 16, i;

	free(held[slot]);
	held[slot] = malloc(16 + round % 500);
	for (i = 0; i < 4; i++) {
		free(calloc(i + 1, 64));
		free(realloc(malloc(10), 3000));
		free(aligned_alloc(32, 320));
	}
	if (round != SIZE_MAX)
		return;
	for (i = 0; i < 16; i++) {
		free(held[i]);
		held[i] = NULL;
	}
}

/* realloc(p, 0) frees in some C libraries and allocates in others: told by the result. */
SITE static size_t leak_realloc_zero(void)
{
	size_t nr_kept = 0, i;

	for (i = 0; i < LEAKS; i++) {
		void *block = realloc(malloc(56), opaque(0));

		keep(block);
		nr_kept += block != NULL;
	}
	return nr_kept;
}

static void phase_go(long number)
{
	size_t i, round, nr_zero;

	(void)number;
	for (round = 0; round < LEAKS; round++) {
		for (i = 0; i < sizeof(sites) / sizeof(sites[0]); i++) {
			churn(round + i);
			if (sites[i].leak)
				sites[i].leak();
		}
	}
	nr_zero = leak_realloc_zero();
	churn(SIZE_MAX);
	for (i = 0; i < sizeof(sites) / sizeof(sites[0]); i++)
		expect_via("heap", sites[i].name, sites[i].count, sites[i].count * sites[i].bytes,
			   sites[i].via);
	expect("heap", "leak_realloc_zero", nr_zero, 0);
	expect("heap", "churn", 0, 0);
}

/* The first block of a thread makes the allocator build an arena: it counts like the others. */
SITE static void *leak_in_thread(void *argument)
{
	size_t i;

	for (i = 0; i < 2000; i++)
		keep(malloc(100));
	return argument;
}

static void phase_threads(long number)
{
	static size_t nr_threads;
	pthread_t thread;

	(void)number;
	if (pthread_create(&thread, NULL, leak_in_thread, NULL) != 0)
		workload_die("pthread_create");
	pthread_join(thread, NULL);
	nr_threads++;
	expect("heap", "leak_in_thread", 2000 * nr_threads, 200000 * nr_threads);
}

static const struct workload_phase phases[] = {
	{ "go", phase_go },
	{ "threads", phase_threads },
};

int main(void)
{
	return WORKLOAD_SERVE(phases);
}
