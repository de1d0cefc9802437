/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Threads that begin by releasing a block of the main thread: glibc maps an arena for each inside of
 * free(). What they map for themselves right after that leaks, also in a function of the program
 * whose name is that of a releasing one. Phases: go, exec (the same program again).
 */
#include <pthread.h>
#include <sys/mman.h>

#include "workload.h"

#define THREADS 12 /* at once; there are 8 arenas for each processor */

static size_t page;
static void *blocks[THREADS];
static pthread_barrier_t all_freed;

SITE static void release_first(void *block)
{
	free(block);
	keep(block);
}

static void check(void *mapping)
{
	if (mapping == MAP_FAILED)
		workload_die("mmap");
	keep(mapping);
}

SITE static void leak_after_free(void)
{
	check(mmap(NULL, 3 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

/* Not that of jemalloc. */
SITE static void je_free(void)
{
	check(mmap(NULL, 5 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

/* The thread stays until all have freed, so that none takes over the arena of another. */
static void *free_only(void *block)
{
	release_first(block);
	pthread_barrier_wait(&all_freed);
	return NULL;
}

static void *free_and_map(void *block)
{
	release_first(block);
	leak_after_free();
	je_free();
	pthread_barrier_wait(&all_freed);
	return NULL;
}

static void phase_go(long number)
{
	pthread_t threads[THREADS];

	(void)number;
	pthread_barrier_init(&all_freed, NULL, THREADS);
	for (size_t i = 0; i < THREADS; i++)
		blocks[i] = malloc(100);
	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, i % 2 ? free_and_map : free_only,
				   blocks[i]) != 0)
			workload_die("pthread_create");
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&all_freed);
	expect("mmap", "release_first", 0, 0);
	expect("mmap", "leak_after_free", THREADS / 2, THREADS / 2 * 3 * page);
	expect("mmap", "je_free", THREADS / 2, THREADS / 2 * 5 * page);
}

static void phase_exec(long number)
{
	(void)number;
	execl("/proc/self/exe", "freeing", (char *)NULL);
	workload_die("exec");
}

static const struct workload_phase phases[] = {
	{ "go", phase_go },
	{ "exec", phase_exec },
};

int main(void)
{
	page = (size_t)sysconf(_SC_PAGESIZE);
	return WORKLOAD_SERVE(phases);
}
