/* SPDX-License-Identifier: GPL-2.0-only */
/* Allocates at changing depths, in code without frame pointers. */
#include <stdint.h>
#include <stdlib.h>

static volatile unsigned int seed = 1;

static unsigned int next(void)
{
	seed = seed * 1103515245 + 12345;
	return seed >> 16;
}

static void *touch(size_t bytes)
{
	char *block = malloc(bytes);

	if (block)
		block[0] = 1;
	return block;
}

__attribute__((noinline)) static uintptr_t descend(unsigned int depth, unsigned int words)
{
	volatile uintptr_t local[words % 32 + 1];

	local[words % 32] = depth;
	if (depth == 0) {
		void *block = touch(16 + words);

		local[0] = (uintptr_t)block;
		free(block);
		return local[0];
	}
	return descend(depth - 1, next()) + local[words % 32];
}

int main(void)
{
	uintptr_t sum = 0;

	for (;;)
		sum += descend(next() % 90, next());
	return (int)sum;
}
