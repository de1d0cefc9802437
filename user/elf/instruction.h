/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One decoded instruction, as far as probe placement needs it; private to elf/.
 * Two decoders fill it; placement.c reasons about it and knows no machine.
 */
#ifndef ELF_INSTRUCTION_H
#define ELF_INSTRUCTION_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "elf/elf.h"
#include "leakbpf.h"

/* Where execution goes after the instruction. */
enum flow {
	FLOW_NEXT, /* to the next one */
	FLOW_COND, /* there, or to the target */
	FLOW_JUMP, /* to the target */
	FLOW_CALL, /* to the target, and back */
	FLOW_END,  /* elsewhere: return, indirect jump, system call, trap */
};

/* What a uprobe on it costs. */
enum probe_cost {
	COST_EMULATED, /* the kernel does its work itself */
	COST_STEPPED,  /* the kernel single-steps a copy of it */
	COST_REFUSED,  /* the kernel refuses it, or probing it would change what it does */
};

struct instruction {
	uint8_t len;
	enum flow flow;
	enum probe_cost cost;
	bool has_target;   /* direct branch */
	int64_t target;    /* relative to the start of this instruction */
	bool is_filler;    /* does nothing: nop, endbr64, bti */
	uint16_t written;  /* registers that lose their value: bit 1 << enum lb_reg */
	uint8_t copy_from; /* enum lb_reg: it is a plain 64-bit copy between registers */
	uint8_t copy_to;
	int32_t sp_change; /* bytes that the stack grows by */
	bool frame_lost; /* after it the return address can not be found, or must not be changed */
};

/* Decode the instruction at @bytes. -ENOEXEC: not one, or cut off after @len bytes. */
int x86_decode(const uint8_t *bytes, size_t len, struct instruction *ret_instruction);
int arm64_decode(const uint8_t *bytes, size_t len, struct instruction *ret_instruction);

/* The code of one function, from its first instruction on. */
struct code {
	unsigned int machine; /* EM_X86_64 or EM_AARCH64 */
	const uint8_t *bytes;
	size_t len;
	bool is_whole; /* @len is the function's size; else the end is found by its branches */
};

/* placement_find() on bytes: vaddr is relative to the code's start, offset is 0. */
int placement_choose(const struct code *code, unsigned int args, bool need_return,
		     struct placement *ret_placement);
/* placement_find_go() and placement_find_call() on bytes. */
int placement_choose_go(const struct code *code, struct placement *ret_placement,
			bool *ret_at_branch);
int placement_choose_call(const struct code *code, int64_t target, struct placement *ret_placement);
/* The target, relative to the code's start, of the first direct call or jump, when every path
 * reaches it; conditional branches before it are passed by when @past_checks. -ENOENT: none. */
int placement_first_branch(const struct code *code, bool past_checks, int64_t *ret_target);

#endif
