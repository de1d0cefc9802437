/* SPDX-License-Identifier: GPL-2.0-only */
#include "golang/memory.h"

#include <errno.h>
#include <limits.h>
#include <sys/uio.h>

#include "base/base.h"

#define MAX_PIECES 1024 /* ranges per system call: UIO_MAXIOV of the kernel */

int memory_read(struct memory *memory, uint64_t address, void *bytes, size_t len)
{
	struct span span = { .address = address, .bytes = bytes, .len = len };
	int err = memory_read_spans(memory, &span, 1);

	if (err)
		return err;
	return span.done ? 0 : -EFAULT;
}

/* Reads the first spans, up to one that can not be read. Returns how many were read or -errno. */
static long read_some(struct memory *memory, struct span *spans, size_t nr_spans)
{
	struct iovec local[MAX_PIECES], remote[MAX_PIECES];
	size_t nr = MIN(nr_spans, (size_t)MAX_PIECES), i;
	ssize_t left;

	if (!nr)
		return 0;
	for (i = 0; i < nr; i++) {
		local[i] = (struct iovec){ spans[i].bytes, spans[i].len };
		remote[i] = (struct iovec){ (void *)(uintptr_t)spans[i].address, spans[i].len };
	}
	memory->nr_calls++;
	left = process_vm_readv(memory->pid, local, nr, remote, nr, 0);
	if (left < 0)
		return errno == EFAULT ? 0 : -errno;
	for (i = 0; i < nr && (size_t)left >= spans[i].len; i++) {
		left -= (ssize_t)spans[i].len;
		spans[i].done = true;
	}
	return (long)i;
}

int memory_read_spans(struct memory *memory, struct span *spans, size_t nr_spans)
{
	size_t i;

	for (i = 0; i < nr_spans; i++)
		spans[i].done = false;
	for (i = 0; i < nr_spans;) {
		size_t wanted = MIN(nr_spans - i, (size_t)MAX_PIECES);
		long nr = read_some(memory, spans + i, wanted);

		if (nr < 0)
			return (int)nr;
		i += (size_t)nr + ((size_t)nr < wanted);
	}
	return 0;
}
