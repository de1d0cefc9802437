/* SPDX-License-Identifier: GPL-2.0-only */
#include "golang/memory.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "base/base.h"

#define MAX_PIECES      1024 /* ranges per system call: UIO_MAXIOV of the kernel */
#define MAX_PIECE_BYTES (1UL << 20)
#define MAX_GAP_BYTES   1024 /* between structures that are read in one piece */

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

/* --- many structures of one kind --- */

static int compare_addresses(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

void places_sort(const struct places *places)
{
	qsort(places->items, places->nr, places->stride, compare_addresses);
}

static void *item_at(const struct places *places, size_t index)
{
	return (char *)places->items + index * places->stride;
}

static uint64_t address_at(const struct places *places, size_t index)
{
	return *(const uint64_t *)item_at(places, index);
}

/* Plans to read those from number @first on. Returns the number of the first one that does not fit
 * any more. */
static size_t plan_window(const struct places *places, size_t first, struct span *spans,
			  size_t *ret_nr_spans)
{
	size_t used = 0, nr = 0, i;

	for (i = first; i < places->nr; i++) {
		uint64_t address = address_at(places, i);
		struct span *last = nr ? &spans[nr - 1] : NULL;
		uint64_t distance = last ? address - last->address : 0;
		bool joins =
			last && distance < MAX_PIECE_BYTES && distance <= last->len + MAX_GAP_BYTES;
		size_t more = joins ? distance + places->len - last->len : places->len;

		if (used + more > WINDOW_BYTES || (!joins && nr == MAX_PIECES))
			break;
		if (joins)
			last->len += more;
		else
			spans[nr++] = (struct span){ .address = address,
						     .bytes = places->window + used,
						     .len = places->len };
		used += more;
	}
	*ret_nr_spans = nr;
	return i;
}

int memory_read_places(struct memory *memory, const struct places *places, memory_take hand_over,
		       void *context)
{
	struct span spans[MAX_PIECES];
	size_t first = 0, end, nr_spans;
	int err = 0;

	while (first < places->nr && !err) {
		const struct span *span = spans;

		end = plan_window(places, first, spans, &nr_spans);
		err = memory_read_spans(memory, spans, nr_spans);
		for (; first < end && !err; first++) {
			uint64_t address = address_at(places, first);

			while (address - span->address >= span->len)
				span++;
			err = hand_over(context, item_at(places, first),
					span->done ? (const uint8_t *)span->bytes +
							     (address - span->address)
						   : NULL);
		}
	}
	return err;
}
