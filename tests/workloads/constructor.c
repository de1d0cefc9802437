/* SPDX-License-Identifier: GPL-2.0-only */
/* Leaks before main() and at once ends: 7 blocks of 1000 bytes, then 5 of 300. */
#include <stdlib.h>

static void *volatile kept;

__attribute__((constructor, noinline)) static void leak_in_constructor(void)
{
	int i;

	for (i = 0; i < 7; i++)
		kept = malloc(1000);
}

__attribute__((noinline)) static void leak_in_main(void)
{
	int i;

	for (i = 0; i < 5; i++)
		kept = malloc(300);
}

int main(void)
{
	leak_in_main();
	return 4;
}
