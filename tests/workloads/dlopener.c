/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Loads a library that brings its own allocator: dlopener LIBRARY. Phases: load, work (the library
 * leaks), own (the program leaks from its own allocator), unload.
 */
#include <dlfcn.h>

#include "workload.h"

static const char *library;
static void *handle;
static void (*work)(void);

SITE static void leak_own(void)
{
	keep(malloc(70));
}

static void phase_load(long number)
{
	(void)number;
	handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		fprintf(stderr, "%s\n", dlerror());
		exit(3);
	}
	*(void **)&work = dlsym(handle, "plugin_work");
	if (!work)
		workload_die("dlsym");
}

static void phase_work(long number)
{
	(void)number;
	work();
}

static void phase_own(long number)
{
	(void)number;
	for (unsigned int i = 0; i < LEAKS; i++)
		leak_own();
	expect("heap", "leak_own", LEAKS, LEAKS * 70);
}

static void phase_unload(long number)
{
	(void)number;
	dlclose(handle);
}

static const struct workload_phase phases[] = {
	{ "load", phase_load },
	{ "work", phase_work },
	{ "own", phase_own },
	{ "unload", phase_unload },
};

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s LIBRARY\n", argv[0]);
		return 2;
	}
	library = argv[1];
	return WORKLOAD_SERVE(phases);
}
