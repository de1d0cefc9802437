/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Mappings that the program makes itself, cut, moved and covered in every way. Each function works
 * LEAKS times and tells how many bytes stay mapped. Phases: go, thread (a thread's stack is no leak).
 */
#include <pthread.h>
#include <search.h>
#include <sys/mman.h>

#include "workload.h"

typedef int compare(const void *key, const void *element);

static size_t page;

static char *map_pages(void *address, size_t nr_pages, int flags)
{
	char *mapping = mmap(address, nr_pages * page, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (mapping == MAP_FAILED)
		workload_die("mmap");
	return mapping;
}

/* The calls stand in the sites themselves: the caller of mmap is what is shown. */
#define MAP(nr_pages)                                                                              \
	mmap(NULL, (nr_pages) * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)

static void unmap(char *mapping, size_t nr_pages)
{
	if (munmap(mapping, nr_pages * page) < 0)
		workload_die("munmap");
}

static char *check(void *mapping)
{
	if (mapping == MAP_FAILED)
		workload_die("mapping");
	return mapping;
}

SITE static void leak_mmap(void)
{
	keep(check(MAP(3)));
}

/* Lengths are rounded up to pages by the kernel. */
SITE static void leak_mmap_odd(void)
{
	keep(check(mmap(NULL, page + 1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
}

SITE static void leak_cut_first(void)
{
	char *mapping = check(MAP(20));

	unmap(mapping, 1);
}

SITE static void leak_cut_middle(void)
{
	char *mapping = check(MAP(20));

	unmap(mapping + 5 * page, 3);
}

SITE static void leak_cut_last(void)
{
	char *mapping = check(MAP(20));

	unmap(mapping + 18 * page, 2);
}

SITE static void leak_cut_thrice(void)
{
	char *mapping = check(MAP(20));

	unmap(mapping + 2 * page, 1);
	unmap(mapping + 10 * page, 1);
	unmap(mapping, 1);
}

SITE static void clean_in_parts(void)
{
	char *mapping = check(MAP(8));

	unmap(mapping + 4 * page, 4);
	unmap(mapping + 1 * page, 3);
	unmap(mapping, 1);
}

/* One munmap that takes away several mappings made apart. */
SITE static void clean_at_once(void)
{
	char *mapping = check(MAP(12));

	check(mmap(mapping + 2 * page, 4 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		   -1, 0));
	check(mmap(mapping + 8 * page, 2 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		   -1, 0));
	unmap(mapping, 12);
}

/* The library calls munmap, as for a function of the program that leaves by a jump: lfind() gives
 * what compares the key and the address of the first element. */
static void unmap_by_library(char *mapping, size_t nr_pages)
{
	void *bytes = (void *)(uintptr_t)(nr_pages * page);
	size_t nr = 1;

	if (lfind(mapping, bytes, &nr, 1, (compare *)(void (*)(void))munmap) != bytes)
		workload_die("munmap by lfind");
}

SITE static void leak_cut_by_library(void)
{
	unmap_by_library(check(MAP(9)), 2);
}

SITE static void clean_by_library(void)
{
	char *mapping = check(MAP(2));

	check(mmap(mapping + page, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		   0));
	unmap_by_library(mapping, 2);
}

SITE static void leak_cover_above(char *mapping)
{
	check(mmap(mapping + page, 2 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		   0));
}

/* Two of its four pages are covered by another mapping: they are the other's from then on. */
SITE static void leak_cover_below(void)
{
	char *mapping = check(MAP(4));

	leak_cover_above(mapping);
}

SITE static void leak_mremap_grow(void)
{
	char *mapping = check(MAP(2));

	keep(check(mremap(mapping, 2 * page, 9 * page, MREMAP_MAYMOVE)));
}

SITE static void leak_mremap_shrink(void)
{
	char *mapping = check(MAP(9));

	keep(check(mremap(mapping, 9 * page, 4 * page, 0)));
}

SITE static void leak_mremap_move(void)
{
	char *mapping = check(MAP(5)), *place = map_pages(NULL, 6, 0);

	keep(check(mremap(mapping, 5 * page, 6 * page, MREMAP_MAYMOVE | MREMAP_FIXED, place)));
}

/* A mremap that fails leaves the old mapping. */
SITE static void leak_mremap_fail(void)
{
	char *mapping = check(MAP(2));

	if (mremap(mapping, 2 * page, opaque(SIZE_MAX / 4) & ~(page - 1), MREMAP_MAYMOVE) !=
	    MAP_FAILED)
		workload_die("a huge mremap did not fail");
}

SITE static void fail_mmap(void)
{
	if (mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
		workload_die("an empty mmap did not fail");
}

/* glibc only: musl's sbrk() refuses to move the break. */
SITE static void leak_sbrk(void)
{
#ifdef __GLIBC__
	if (sbrk(8192) == (void *)-1)
		workload_die("sbrk");
#endif
}

static const struct {
	const char *name;
	void (*run)(void);
	size_t pages; /* left by each call */
} sites[] = {
	{ "leak_mmap", leak_mmap, 3 },
	{ "leak_mmap_odd", leak_mmap_odd, 2 },
	{ "leak_cut_first", leak_cut_first, 19 },
	{ "leak_cut_middle", leak_cut_middle, 17 },
	{ "leak_cut_last", leak_cut_last, 18 },
	{ "leak_cut_thrice", leak_cut_thrice, 17 },
	{ "clean_in_parts", clean_in_parts, 0 },
	{ "clean_at_once", clean_at_once, 0 },
	{ "leak_cut_by_library", leak_cut_by_library, 7 },
	{ "clean_by_library", clean_by_library, 0 },
	{ "leak_cover_below", leak_cover_below, 2 },
	{ "leak_cover_above", NULL, 2 },
	{ "leak_mremap_grow", leak_mremap_grow, 9 },
	{ "leak_mremap_shrink", leak_mremap_shrink, 4 },
	{ "leak_mremap_move", leak_mremap_move, 6 },
	{ "map_pages", NULL, 0 },
	{ "leak_mremap_fail", leak_mremap_fail, 2 },
	{ "fail_mmap", fail_mmap, 0 },
#ifdef __GLIBC__
	{ "leak_sbrk", leak_sbrk, 2 },
#endif
};

static void phase_go(long number)
{
	size_t i, round;

	(void)number;
	for (round = 0; round < LEAKS; round++) {
		for (i = 0; i < sizeof(sites) / sizeof(sites[0]); i++) {
			free(malloc(200000));
			if (sites[i].run)
				sites[i].run();
		}
	}
	for (i = 0; i < sizeof(sites) / sizeof(sites[0]); i++)
		expect("mmap", sites[i].name, sites[i].pages ? LEAKS : 0,
		       LEAKS * sites[i].pages * page);
}

static void *thread_main(void *argument)
{
	void *block = malloc(1000000);

	keep(block);
	free(block);
	return argument;
}

static void phase_thread(long number)
{
	pthread_t thread;

	(void)number;
	if (pthread_create(&thread, NULL, thread_main, NULL) != 0)
		workload_die("pthread_create");
	pthread_join(thread, NULL);
	expect("mmap", "phase_thread", 0, 0);
}

static const struct workload_phase phases[] = {
	{ "go", phase_go },
	{ "thread", phase_thread },
};

int main(void)
{
	page = (size_t)sysconf(_SC_PAGESIZE);
	return WORKLOAD_SERVE(phases);
}
