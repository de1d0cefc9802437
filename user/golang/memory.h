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

#endif
