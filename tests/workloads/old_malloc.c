/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small allocator of the program's own, with cfree as the C libraries of old had it: none of its
 * functions goes on to another. Blocks are powers of two and come back to lists. For one thread.
 */
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#define ARENA_BYTES (64UL << 20)
#define CLASSES     20
#define EXPORTED    __attribute__((visibility("default"), noipa))

/* What stands in front of every block. */
struct header {
	struct header *next; /* while it is not in use */
	size_t class;        /* it has room for SMALLEST << class bytes */
};

#define SMALLEST 16UL

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *block, size_t size);
void free(void *block);
void cfree(void *block);

static struct header *unused[CLASSES];
static char *arena;
static size_t used_bytes;

static struct header *carve(size_t class)
{
	size_t bytes = sizeof(struct header) + (SMALLEST << class);
	struct header *header;

	if (!arena) {
		arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			     -1, 0);
		if (arena == MAP_FAILED)
			arena = NULL;
	}
	if (!arena || bytes > ARENA_BYTES - used_bytes)
		return NULL;
	header = (struct header *)(arena + used_bytes);
	used_bytes += bytes;
	header->class = class;
	return header;
}

static void *take(size_t size)
{
	struct header *header;
	size_t class = 0;

	while (class < CLASSES && SMALLEST << class < size)
		class ++;
	if (class == CLASSES)
		return NULL;
	header = unused[class];
	if (header)
		unused[class] = header->next;
	else
		header = carve(class);
	return header ? header + 1 : NULL;
}

static void give_back(void *block)
{
	struct header *header = (struct header *)block - 1;

	if (!block)
		return;
	header->next = unused[header->class];
	unused[header->class] = header;
}

EXPORTED void *malloc(size_t size)
{
	return take(size);
}

EXPORTED void *calloc(size_t count, size_t size)
{
	size_t bytes;
	void *block = __builtin_mul_overflow(count, size, &bytes) ? NULL : take(bytes);

	return block ? memset(block, 0, bytes) : NULL;
}

EXPORTED void *realloc(void *block, size_t size)
{
	void *moved = take(size);
	size_t room;

	if (!moved || !block)
		return moved;
	room = SMALLEST << ((struct header *)block - 1)->class;
	memcpy(moved, block, room < size ? room : size);
	give_back(block);
	return moved;
}

EXPORTED void free(void *block)
{
	give_back(block);
}

EXPORTED void cfree(void *block)
{
	give_back(block);
}
