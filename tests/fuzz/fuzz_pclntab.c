/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A function table of any content, and a stack of any content walked by it: nothing outside of them
 * is read, every walk ends, and what is found is in order. The input: 128 bytes of stack, then the
 * table, whose bytes serve as inline trees as well.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "golang/gosym.h"
#include "golang/unwind.h"

#define TEXT        0x400000
#define STACK       0xc000000000
#define STACK_BYTES 128
#define NR_PCS      64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void check_function(const struct pclntab *table, uint64_t pc)
{
	struct go_function function;
	uint32_t number;
	const char *file;
	int line;

	if (pclntab_function_at(table, pc, &function))
		return;
	require(pc >= function.entry && pc < function.end);
	require(strlen(function.name) < table->len);
	if (!pclntab_line(table, &function, pc, &file, &line))
		require(strlen(file) < table->len && line >= 0);
	pclntab_frame_bytes(table, &function, pc, &number);
	pclntab_inline_index(table, &function, pc, &number);
	pclntab_inline_tree(table, &function, &number);
	pclntab_inline_nr(table, &function);
}

static void check_stack(struct gosym *symbols, const uint8_t *bytes, uint64_t pc)
{
	struct stack_bytes stack = { STACK, bytes, STACK_BYTES };
	const struct stack *named;
	struct unwound unwound;
	enum unwind_end end = unwind_go(symbols, &stack, pc, pc & 1, &unwound);

	require(unwound.nr_pcs <= LB_MAX_FRAMES);
	require(end != UNWIND_TOO_DEEP || unwound.nr_pcs == LB_MAX_FRAMES);
	named = gosym_stack(symbols, unwound.pcs, unwound.nr_pcs, 0);
	require(named);
	for (size_t i = 0; i < named->nr_frames; i++)
		require(!named->frames[i].file || named->frames[i].function);
	gosym_start(symbols, pc);
	gosym_creator(symbols, pc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory memory = { .pid = getpid() };
	struct gosym symbols = { .memory = &memory };
	uint8_t *table;

	if (size <= STACK_BYTES)
		return 0;
	table = malloc(size - STACK_BYTES); /* of its own, so that its end is watched */
	require(table);
	memcpy(table, data + STACK_BYTES, size - STACK_BYTES);
	if (!pclntab_parse(table, size - STACK_BYTES, TEXT, &symbols.table)) {
		symbols.strings = strings_new();
		symbols.inline_trees = (uint64_t)(uintptr_t)table;
		gosym_find_marks(&symbols);
		for (uint64_t pc = TEXT; pc < TEXT + 4 * NR_PCS; pc += 4) {
			check_function(&symbols.table, pc);
			check_stack(&symbols, data, pc);
		}
		gosym_done(&symbols);
	}
	free(table);
	return 0;
}
