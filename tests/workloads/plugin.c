/* SPDX-License-Identifier: GPL-2.0-only */
/* A library that brings its own allocator and leaks from it. The build says how it is linked. */
#include "workload.h"

#ifdef PREFIX
void *je_malloc(size_t size);
void je_free(void *block);
#define malloc je_malloc
#define free   je_free
#endif

void plugin_work(void);

SITE static void leak_in_plugin(void)
{
	keep(malloc(140));
}

__attribute__((visibility("default"))) void plugin_work(void)
{
	for (unsigned int i = 0; i < LEAKS; i++) {
		leak_in_plugin();
		free(malloc(1000 + i));
	}
	expect("heap", "leak_in_plugin", LEAKS, LEAKS * 140);
}
