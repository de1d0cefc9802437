/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where to put a probe in a function, on any machine.
 *
 * A place serves when every call passes there exactly once and the needed arguments can still be
 * read. Both hold in the straight stretch from the entry to the first branch, if nothing in the
 * function jumps back into it. In that stretch the first instruction that the kernel emulates is
 * taken; when there is none, the first one that can be probed at all.
 */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "elf/instruction.h"

#define MAX_PROLOGUE       40      /* instructions looked at from the entry on */
#define MAX_FUNCTION_BYTES 65536UL /* code searched for jumps back to the entry */
#define MAX_THUNKS         8
#define MAX_INSTRUCTION    15
#define NR_ARGS            6

DEFINE_CLEANUP(bytes, uint8_t *, free(*value))

/* What is known before the instruction at @at. */
struct walk {
	size_t at;
	uint16_t held[NR_ARGS]; /* registers that hold each argument: bit 1 << enum lb_reg */
	int32_t sp_delta;
};

static int decode(const struct code *code, size_t at, struct instruction *ret_instruction)
{
	if (at >= code->len)
		return -ENOEXEC;
	if (code->machine == EM_AARCH64)
		return arm64_decode(code->bytes + at, code->len - at, ret_instruction);
	return x86_decode(code->bytes + at, code->len - at, ret_instruction);
}

/* Single-stepping costs about the same as simulation on arm64, and every instruction behind the
 * entry may be one that signs the return address: the first that can be probed is the best. */
static bool takes_first(const struct code *code)
{
	return code->machine == EM_AARCH64;
}

static struct walk walk_begin(void)
{
	struct walk walk = { 0 };

	for (unsigned int i = 0; i < NR_ARGS; i++)
		walk.held[i] = (uint16_t)(1U << (LB_REG_ARG0 + i));
	return walk;
}

static void walk_over(struct walk *walk, const struct instruction *instruction)
{
	uint16_t from = (uint16_t)(1U << instruction->copy_from);
	uint16_t to = (uint16_t)(1U << instruction->copy_to);
	bool copies = instruction->copy_from != LB_REG_NONE && instruction->copy_to != LB_REG_NONE;

	for (unsigned int i = 0; i < NR_ARGS; i++) {
		bool copied = copies && (walk->held[i] & from);

		walk->held[i] &= (uint16_t)~instruction->written;
		if (copied)
			walk->held[i] |= to;
	}
	walk->sp_delta += instruction->sp_change;
	walk->at += instruction->len;
}

/* The register to read argument @arg from: its own while that is intact. */
static uint8_t walk_register(const struct walk *walk, unsigned int arg)
{
	uint16_t held = walk->held[arg];

	if (held & (1U << (LB_REG_ARG0 + arg)))
		return (uint8_t)(LB_REG_ARG0 + arg);
	for (unsigned int reg = LB_REG_ARG0; reg <= LB_REG_R11; reg++)
		if (held & (1U << reg))
			return (uint8_t)reg;
	return LB_REG_NONE;
}

static bool walk_serves(const struct walk *walk, unsigned int args, bool need_return)
{
	if (walk->sp_delta < 0 || walk->sp_delta > (int32_t)LB_COOKIE_DELTA_MASK)
		return false;
	if (need_return && walk->sp_delta != 0)
		return false;
	for (unsigned int i = 0; i < NR_ARGS; i++)
		if ((args & (1U << i)) && !walk->held[i])
			return false;
	return true;
}

/*
 * The lowest place that the function jumps to, relative to its entry; INT64_MAX: none. A call to
 * the function's own entry is a call of its own and does not count. Without a known size the
 * function ends where nothing before jumps further and nothing falls through.
 */
static int64_t lowest_jump_target(const struct code *code)
{
	size_t resume = code->machine == EM_AARCH64 ? 4 : 1, at = 0;
	int64_t lowest = INT64_MAX, furthest = 0;

	while (at < code->len) {
		struct instruction instruction;

		if (decode(code, at, &instruction) < 0) {
			at += resume;
			continue;
		}
		if (instruction.has_target && instruction.flow != FLOW_CALL) {
			int64_t target = (int64_t)at + instruction.target;

			if (target >= 0 && target < (int64_t)code->len)
				lowest = MIN(lowest, target);
			if (instruction.flow == FLOW_COND)
				furthest = MAX(furthest, target);
		}
		at += instruction.len;
		if (!code->is_whole && (int64_t)at > furthest &&
		    (instruction.flow == FLOW_END || instruction.flow == FLOW_JUMP))
			break;
	}
	return lowest;
}

static struct placement placement_at(const struct code *code, const struct walk *walk,
				     const struct instruction *instruction)
{
	struct placement placement = {
		.vaddr = walk->at,
		.kind = instruction->cost == COST_EMULATED ? PLACEMENT_CHEAP : PLACEMENT_STEP,
		.sp_delta = (uint16_t)walk->sp_delta,
		.instruction_len = instruction->len,
	};

	for (unsigned int i = 0; i < NR_ARGS; i++)
		placement.arg_reg[i] = walk_register(walk, i);
	memcpy(placement.instruction, code->bytes + walk->at, instruction->len);
	return placement;
}

int placement_choose(const struct code *code, unsigned int args, bool need_return,
		     struct placement *ret_placement)
{
	int64_t reached_again = lowest_jump_target(code);
	struct walk walk = walk_begin();
	struct placement fallback = { 0 };
	struct instruction instruction;

	if (decode(code, 0, &instruction) < 0)
		return -ENOEXEC;
	for (unsigned int i = 0; i < MAX_PROLOGUE; i++) {
		if (decode(code, walk.at, &instruction) < 0 || reached_again <= (int64_t)walk.at)
			break;
		if (instruction.cost != COST_REFUSED && walk_serves(&walk, args, need_return)) {
			struct placement here = placement_at(code, &walk, &instruction);

			if (here.kind == PLACEMENT_CHEAP || takes_first(code)) {
				*ret_placement = here;
				return 0;
			}
			if (!fallback.instruction_len)
				fallback = here;
		}
		if (instruction.flow != FLOW_NEXT || instruction.frame_lost)
			break;
		walk_over(&walk, &instruction);
	}
	if (!fallback.instruction_len)
		return -ENOTSUP;
	*ret_placement = fallback;
	return 0;
}

int placement_first_branch(const struct code *code, bool past_checks, int64_t *ret_target)
{
	struct instruction instruction;
	size_t at = 0;

	for (unsigned int i = 0; i < MAX_PROLOGUE && decode(code, at, &instruction) == 0; i++) {
		bool check = instruction.flow == FLOW_COND && past_checks;

		if (instruction.flow != FLOW_NEXT && !check) {
			if (!instruction.has_target || instruction.flow == FLOW_COND)
				return -ENOENT;
			*ret_target = (int64_t)at + instruction.target;
			return 0;
		}
		at += instruction.len;
	}
	return -ENOENT;
}

/* Reads the code of the function at @vaddr, at most @size bytes. */
static int code_read(struct image *image, uint64_t vaddr, uint64_t size, uint8_t **ret_bytes,
		     struct code *ret_code)
{
	uint64_t wanted = size && size < MAX_FUNCTION_BYTES ? size : MAX_FUNCTION_BYTES;
	uint8_t *bytes __cleanup_of(bytes) = NULL;
	long got;

	if (!image_is_executable(image, vaddr))
		return -ENOEXEC;
	bytes = malloc(wanted);
	if (!bytes)
		return -ENOMEM;
	got = image_read(image, vaddr, bytes, wanted);
	if (got <= 0)
		return -ENOEXEC;
	ret_code->machine = image_machine(image);
	ret_code->bytes = bytes;
	ret_code->len = (size_t)got;
	ret_code->is_whole = size > 0;
	*ret_bytes = take(bytes);
	return 0;
}

int placement_find(struct image *image, uint64_t vaddr, uint64_t size, unsigned int args,
		   bool need_return, struct placement *ret_placement)
{
	uint8_t *bytes __cleanup_of(bytes) = NULL;
	struct placement placement;
	struct code code = { 0 };
	int err;

	err = code_read(image, vaddr, size, &bytes, &code);
	if (err < 0)
		return err;
	err = placement_choose(&code, args, need_return, &placement);
	if (err < 0)
		return err;
	placement.vaddr += vaddr;
	if (image_vaddr_to_offset(image, placement.vaddr, &placement.offset) < 0)
		return -ENOEXEC;
	*ret_placement = placement;
	return 0;
}

int placement_leads_to(struct image *image, uint64_t vaddr, bool past_checks,
		       struct entry *ret_entry)
{
	uint8_t bytes[MAX_PROLOGUE * MAX_INSTRUCTION];
	struct code code = { .machine = image_machine(image), .bytes = bytes };
	int64_t target;
	long got;
	int err;

	if (!image_is_executable(image, vaddr))
		return -ENOENT;
	got = image_read(image, vaddr, bytes, sizeof(bytes));
	if (got <= 0)
		return -ENOENT;
	code.len = (size_t)got;
	err = placement_first_branch(&code, past_checks, &target);
	if (err < 0)
		return err;
	ret_entry->vaddr = vaddr + (uint64_t)target;
	ret_entry->plt_name = image_plt_target(image, ret_entry->vaddr);
	return 0;
}

/* One hop: where the function at @vaddr jumps to when it does nothing else. */
static int thunk_target(const struct image *image, uint64_t vaddr, uint64_t *ret_target)
{
	uint8_t bytes[4 * MAX_INSTRUCTION];
	struct code code = { .machine = image_machine(image), .bytes = bytes };
	struct instruction instruction;
	size_t at = 0;
	long got;

	if (!image_is_executable(image, vaddr))
		return -ENOENT;
	got = image_read(image, vaddr, bytes, sizeof(bytes));
	if (got <= 0)
		return -ENOENT;
	code.len = (size_t)got;
	while (decode(&code, at, &instruction) == 0) {
		if (instruction.flow == FLOW_JUMP && instruction.has_target) {
			*ret_target = vaddr + at + (uint64_t)instruction.target;
			return 0;
		}
		if (!instruction.is_filler)
			break;
		at += instruction.len;
	}
	return -ENOENT;
}

int placement_resolve(struct image *image, uint64_t vaddr, struct entry *ret_entry)
{
	struct entry entry = { .vaddr = vaddr };

	if (!image_is_executable(image, vaddr))
		return -ENOEXEC;
	for (unsigned int i = 0; i < MAX_THUNKS; i++) {
		entry.plt_name = image_plt_target(image, entry.vaddr);
		if (entry.plt_name || thunk_target(image, entry.vaddr, &entry.vaddr) < 0)
			break;
	}
	*ret_entry = entry;
	return 0;
}
