/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The array of all g (Go 1.23 runtime/proc.go: allgs, allgptr, allglen). No symbol is needed: the
 * code of runtime.forEachGRace() reads allglen, then allgptr; where that can not be decoded, allgs
 * is the slice among the variables whose elements are g's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "golang/process.h"

#define CODE_BYTES     96
#define MAX_VARIABLES  (64UL << 20) /* bytes that are looked through */
#define MAX_CANDIDATES 65536
#define MIN_GOROUTINES 3 /* main and those of the garbage collector are always there */

/* Is this the address of a runtime.g? */
static bool is_g(struct golang *golang, uint64_t address)
{
	uint64_t words[G_SCHED_G / 8 + 1];

	return address && address % 8 == 0 &&
	       !memory_read(&golang->memory, address, words, sizeof(words)) &&
	       words[G_SCHED_G / 8] == address && words[G_STACK_LOW / 8] <= words[G_STACK_HIGH / 8];
}

/* Does an array of @length g's begin at @address? */
static bool is_table(struct golang *golang, uint64_t address, uint64_t length)
{
	uint64_t elements[MIN_GOROUTINES];

	if (length < MIN_GOROUTINES || length > MAX_GOROUTINES || address % 8 ||
	    memory_read(&golang->memory, address, elements, sizeof(elements)))
		return false;
	for (size_t i = 0; i < MIN_GOROUTINES; i++)
		if (!is_g(golang, elements[i]))
			return false;
	return true;
}

int allgs_read_extent(struct golang *golang, uint64_t *ret_address, uint64_t *ret_length)
{
	uint64_t address, length;
	struct span spans[] = {
		/* the length first: the runtime stores it last when the array grows */
		{ .address = golang->length_address, .bytes = &length, .len = sizeof(length) },
		{ .address = golang->table_address, .bytes = &address, .len = sizeof(address) },
	};
	int err = memory_read_spans(&golang->memory, spans, ARRAY_SIZE(spans));

	if (err)
		return err;
	if (!spans[0].done || !spans[1].done)
		return -EFAULT;
	*ret_address = address;
	*ret_length = length;
	return 0;
}

static bool try_addresses(struct golang *golang, uint64_t table_address, uint64_t length_address)
{
	uint64_t address, length;

	golang->table_address = table_address;
	golang->length_address = length_address;
	return !allgs_read_extent(golang, &address, &length) && is_table(golang, address, length);
}

/* x86-64: the first two of "mov disp32(%rip), register" (REX.W 8b /r, mod 00, rm 101). What is
 * taken for one by mistake does not lead to an array of g's. */
static bool find_in_code(struct golang *golang)
{
	struct go_function function;
	uint8_t code[CODE_BYTES];
	uint64_t found[2];
	size_t nr = 0;

	if (golang->link_register ||
	    pclntab_function_named(&golang->symbols.table, "runtime.forEachGRace", &function) ||
	    memory_read(&golang->memory, function.entry, code, sizeof(code)))
		return false;
	for (size_t i = 0; i + 7 <= sizeof(code) && nr < 2; i++) {
		int32_t displacement;

		if ((code[i] != 0x48 && code[i] != 0x4c) || code[i + 1] != 0x8b ||
		    (code[i + 2] & 0xc7) != 0x05)
			continue;
		memcpy(&displacement, code + i + 3, sizeof(displacement));
		i += 6;
		found[nr++] = function.entry + i + 1 + (uint64_t)(int64_t)displacement;
	}
	return nr == 2 && try_addresses(golang, found[1], found[0]);
}

struct candidates {
	unsigned int left; /* slices that may still be looked at */
	uint64_t address;  /* of the best so far; 0: none */
	bool has_room;     /* its capacity is more than its length */
};

/* allgs, or what the garbage collector copies it to while it runs (runtime.work.stackRoots), which
 * has no room to grow. */
static void consider(struct golang *golang, void *context, uint64_t at, const uint64_t slice[3])
{
	struct candidates *candidates = context;
	bool has_room = slice[1] < slice[2];

	if (slice[0] < 4096 || slice[0] % 8 || slice[1] < MIN_GOROUTINES || slice[1] > slice[2] ||
	    slice[2] > MAX_GOROUTINES || !candidates->left ||
	    (candidates->address && (candidates->has_room || !has_room)))
		return;
	candidates->left--;
	if (!is_table(golang, slice[0], slice[1]))
		return;
	candidates->address = at;
	candidates->has_room = has_room;
}

static int search_range(struct golang *golang, const struct range *range, slice_test test,
			void *context)
{
	size_t len = MIN(range->end - range->start, MAX_VARIABLES);
	uint64_t *words = malloc(len + 1);
	int err;

	if (!words)
		return -ENOMEM;
	err = memory_read(&golang->memory, range->start, words, len);
	for (size_t i = 0; !err && i + 3 <= len / 8; i++)
		test(golang, context, range->start + i * 8, words + i);
	free(words);
	return err == -EFAULT ? 0 : err;
}

int variables_search(struct golang *golang, slice_test test, void *context)
{
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(golang->module.data) && !err; i++)
		err = search_range(golang, &golang->module.data[i], test, context);
	return err;
}

static bool find_in_variables(struct golang *golang)
{
	struct candidates candidates = { .left = MAX_CANDIDATES };

	return !variables_search(golang, consider, &candidates) && candidates.address &&
	       try_addresses(golang, candidates.address, candidates.address + 8);
}

int allgs_find(struct golang *golang)
{
	return find_in_code(golang) || find_in_variables(golang) ? 0 : -ENOENT;
}
