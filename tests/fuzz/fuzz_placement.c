/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Code of any content: a chosen place lies inside it, begins an instruction on the way from the
 * entry, and keeps what was asked for. First byte of the input: bit 0: AArch64; bit 1: the return
 * address is needed; bit 2: the size is known; bit 3: checks are passed by. Second byte: the
 * arguments. The rest is the code.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "elf/instruction.h"

#define MAX_BYTES 4096 /* more only takes longer */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static int decode(const struct code *code, size_t at, struct instruction *ret_instruction)
{
	if (code->machine == EM_AARCH64)
		return arm64_decode(code->bytes + at, code->len - at, ret_instruction);
	return x86_decode(code->bytes + at, code->len - at, ret_instruction);
}

static void check(const struct code *code, unsigned int args, bool need_return,
		  const struct placement *placement)
{
	struct instruction instruction;
	size_t at = 0;

	require(placement->vaddr < code->len);
	require(!need_return || placement->sp_delta == 0);
	for (unsigned int i = 0; i < 6; i++)
		require(!(args & (1U << i)) || placement->arg_reg[i] != LB_REG_NONE);
	while (at < placement->vaddr) {
		require(decode(code, at, &instruction) == 0 && instruction.flow == FLOW_NEXT);
		at += instruction.len;
	}
	require(at == placement->vaddr && decode(code, at, &instruction) == 0);
	require(instruction.cost != COST_REFUSED);
	require(instruction.len == placement->instruction_len);
	require(memcmp(code->bytes + at, placement->instruction, instruction.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct placement placement;
	struct code code = { 0 };
	unsigned int args;
	bool need_return;
	int64_t target;

	if (size < 3)
		return 0;
	code.machine = data[0] & 1 ? EM_AARCH64 : EM_X86_64;
	need_return = data[0] & 2;
	code.is_whole = data[0] & 4;
	args = data[1] & 0x3f;
	code.bytes = data + 2;
	code.len = size - 2 < MAX_BYTES ? size - 2 : MAX_BYTES;
	if (placement_choose(&code, args, need_return, &placement) == 0)
		check(&code, args, need_return, &placement);
	placement_first_branch(&code, data[0] & 8, &target);
	return 0;
}
