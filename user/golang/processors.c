/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The array of all p (Go 1.18 to 1.27 runtime/runtime2.go: allp). No symbol and no code is needed: it
 * is the slice among the variables whose elements are p's, numbered from 0 on, each with its pool of
 * defers in itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "golang/process.h"

#define HEAD_WORDS     32    /* of a p: number, status and, after a few words, p.deferpool */
#define NR_DEFERS      32    /* len(p.deferpoolbuf), which stands behind the slice of it */
#define LAST_STATUS    3     /* _Pgcstop; _Pdead is one that GOMAXPROCS has no place for any more */
#define MAX_CANDIDATES 65536 /* slices looked at */

static bool is_processor(struct golang *golang, uint64_t address, uint32_t number)
{
	uint64_t words[HEAD_WORDS];

	if (!address || address % 8 ||
	    memory_read(&golang->memory, address, words, sizeof(words)) ||
	    (uint32_t)words[0] != number || words[0] >> 32 > LAST_STATUS)
		return false;
	for (size_t i = 1; i + 3 <= HEAD_WORDS; i++)
		if (words[i] == address + (i + 3) * 8 && words[i + 1] <= NR_DEFERS &&
		    words[i + 2] == NR_DEFERS)
			return true;
	return false;
}

static bool is_last(struct golang *golang, uint64_t array, uint64_t nr)
{
	uint64_t address;

	return !memory_read(&golang->memory, array + (nr - 1) * 8, &address, sizeof(address)) &&
	       is_processor(golang, address, (uint32_t)nr - 1);
}

struct candidates {
	unsigned int left; /* slices that may still be looked at */
	uint64_t array;    /* of the best so far; 0: none */
	uint64_t nr;
};

/* allp, or a copy of it that a thread keeps, which may be from when there were less. */
static void consider(struct golang *golang, void *context, uint64_t at, const uint64_t slice[3])
{
	struct candidates *candidates = context;
	uint64_t first;

	(void)at;
	if (slice[0] < 4096 || slice[0] % 8 || slice[1] <= candidates->nr || slice[1] > slice[2] ||
	    slice[2] > MAX_PROCESSORS || !candidates->left)
		return;
	candidates->left--;
	if (memory_read(&golang->memory, slice[0], &first, sizeof(first)) ||
	    !is_processor(golang, first, 0) || !is_last(golang, slice[0], slice[1]))
		return;
	candidates->array = slice[0];
	candidates->nr = slice[1];
}

int processors_read(struct golang *golang, uint64_t **ret_processors, size_t *ret_nr)
{
	struct candidates found = { .left = MAX_CANDIDATES };
	int err = variables_search(golang, consider, &found);
	uint64_t *processors;

	if (err || !found.nr)
		return err ? err : -ENOENT;
	processors = malloc(found.nr * sizeof(*processors));
	if (!processors)
		return -ENOMEM;
	err = memory_read(&golang->memory, found.array, processors, found.nr * sizeof(*processors));
	for (size_t i = 0; i < found.nr && !err; i++)
		if (!is_processor(golang, processors[i], (uint32_t)i))
			err = -ENOENT;
	if (err) {
		free(processors);
		return err == -EFAULT ? -ENOENT : err;
	}
	*ret_processors = processors;
	*ret_nr = found.nr;
	return 0;
}
