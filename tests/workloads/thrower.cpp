/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An allocator of the program's own, whose operator new throws when its pool is used up, though the
 * machine has memory. Phase: go NUMBER (of blocks asked for; more than there is room for).
 */
#include <cerrno>
#include <new>

#include "workload.h"

namespace
{

constexpr size_t POOL_BYTES = 1 << 20, NEW_BYTES = POOL_BYTES / 2, BLOCK_BYTES = 1 << 15;
alignas(16) char pool[POOL_BYTES];
size_t used;

void *pool_take(size_t bytes, size_t limit)
{
	void *block = &pool[used];

	bytes = (bytes + 15) & ~static_cast<size_t>(15);
	if (used + bytes > limit)
		return nullptr;
	used += bytes;
	return block;
}

} // namespace

extern "C" {

SITE void *malloc(size_t bytes)
{
	return pool_take(bytes, POOL_BYTES);
}

SITE void free(void *block)
{
	keep(block);
}

SITE void *calloc(size_t count, size_t bytes)
{
	return malloc(count * bytes);
}

SITE void *realloc(void *old, size_t bytes)
{
	char *block = static_cast<char *>(malloc(bytes));

	for (size_t i = 0; block && old && i < bytes; i++)
		block[i] = static_cast<char *>(old)[i];
	return block;
}
}

SITE void *operator new(size_t bytes)
{
	void *block = pool_take(bytes, NEW_BYTES);

	if (!block)
		throw std::bad_alloc();
	return block;
}

void operator delete(void *block) noexcept
{
	free(block);
}

void operator delete(void *block, size_t) noexcept
{
	free(block);
}

namespace
{

void phase_go(long number)
{
	long caught = 0;

	for (long i = 0; i < number; i++) {
		try {
			keep(::operator new(BLOCK_BYTES));
		} catch (const std::bad_alloc &) {
			caught++;
		}
	}
	if (!caught)
		workload_die("the pool was not used up");
}

const struct workload_phase phases[] = {
	{ "go", phase_go },
};

} // namespace

int main()
{
	return WORKLOAD_SERVE(phases);
}
