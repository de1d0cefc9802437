/* SPDX-License-Identifier: GPL-2.0-only */
/* Reading the memory of another process; private to the module. */
#ifndef GOLANG_MEMORY_H
#define GOLANG_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct memory {
	pid_t pid;
	uint64_t nr_calls; /* system calls made */
};

/* A range to read and where it goes. */
struct span {
	uint64_t address;
	void *bytes;
	size_t len;
	bool done; /* result: all of it was read */
};

/* Reads exactly @len bytes. -EFAULT: not (all) mapped, -ESRCH: ended, -EPERM: no right. */
int memory_read(struct memory *memory, uint64_t address, void *bytes, size_t len);

/* Reads many ranges with as few system calls as can be and marks those that were read. 0 or -errno
 * (then nothing can be read of the process any more). */
int memory_read_spans(struct memory *memory, struct span *spans, size_t nr_spans);

#define WINDOW_BYTES (8UL << 20)

/* Structures of the same kind: what is known of each begins with its address. */
struct places {
	void *items;     /* sorted by address */
	size_t nr;       /* of them */
	size_t stride;   /* bytes of an item */
	size_t len;      /* bytes of a structure: those to read */
	uint8_t *window; /* WINDOW_BYTES to read into */
};

/* Sorts the items. */
void places_sort(const struct places *places);
/* Takes over what was read of @item; @bytes: NULL when it could not be. 0, or -errno to end. */
typedef int (*memory_take)(void *context, void *item, const uint8_t *bytes);

/* Reads all of them in a few large pieces, since they often lie close together, and hands them over
 * in their order. 0, what @hand_over returned, or -errno when nothing can be read any more. */
int memory_read_places(struct memory *memory, const struct places *places, memory_take hand_over,
		       void *context);

#endif
