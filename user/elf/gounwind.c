/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Unwind rules for the functions of the Go runtime where stacks change or end. All other Go code
 * keeps frame pointers and needs none. What the rules need is read from the code of the functions,
 * because it differs between releases.
 *
 * Go 1.19 to 1.27, src/runtime/asm_amd64.s and src/runtime/cgo/asm_amd64.s: runs C on the thread's
 * stack (asmcgocall) from a goroutine's (cgocall); C calls Go (crosscall2), which continues on the
 * goroutine's stack (cgocallback).
 */
#include <Zydis/Zydis.h>
#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "elf/cfi.h"
#include "elf/image.h"

#define MAX_CODE_BYTES 4096
#define STACK_HI_AT    8 /* in struct g: src/runtime/runtime2.go; bpf/unwind.bpf.c counts on it */
#define BP_UNDER_RA    2 /* bp field of a rule: saved right below the return address */

struct insn {
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

struct go_code {
	ZydisDecoder decoder;
	uint8_t bytes[MAX_CODE_BYTES];
	size_t len, at;
};

/* --- instructions --- */

static bool code_load(const struct image *image, const struct symbol *symbol, struct go_code *code)
{
	long len = image_read(image, symbol->vaddr, code->bytes,
			      MIN(symbol->size, sizeof(code->bytes)));

	code->at = 0;
	code->len = len > 0 ? (size_t)len : 0;
	return len > 0 && ZYAN_SUCCESS(ZydisDecoderInit(&code->decoder, ZYDIS_MACHINE_MODE_LONG_64,
							ZYDIS_STACK_WIDTH_64));
}

static bool code_next(struct go_code *code, struct insn *ret_insn)
{
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&code->decoder, code->bytes + code->at,
						 code->len - code->at, &ret_insn->insn,
						 ret_insn->operands)))
		return false;
	code->at += ret_insn->insn.length;
	return true;
}

static bool is_register(const struct insn *insn, unsigned int operand, ZydisRegister reg)
{
	return insn->operands[operand].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       insn->operands[operand].reg.value == reg;
}

/* The 64-bit general register that an operand is; ZYDIS_REGISTER_NONE: it is none. */
static ZydisRegister register_of(const struct insn *insn, unsigned int operand)
{
	const ZydisDecodedOperand *found = &insn->operands[operand];

	if (found->type != ZYDIS_OPERAND_TYPE_REGISTER ||
	    ZydisRegisterGetClass(found->reg.value) != ZYDIS_REGCLASS_GPR64)
		return ZYDIS_REGISTER_NONE;
	return found->reg.value;
}

/* Is the operand [@base + *@ret_offset], without index and segment? */
static bool is_at(const struct insn *insn, unsigned int operand, ZydisRegister base,
		  int64_t *ret_offset)
{
	const ZydisDecodedOperand *found = &insn->operands[operand];

	if (found->type != ZYDIS_OPERAND_TYPE_MEMORY || found->mem.base != base ||
	    found->mem.index != ZYDIS_REGISTER_NONE || found->mem.segment == ZYDIS_REGISTER_FS ||
	    found->mem.segment == ZYDIS_REGISTER_GS)
		return false;
	*ret_offset = found->mem.disp.value;
	return true;
}

/* --- frames --- */

/* What the code before the first call does with the stack. */
struct go_frame {
	int64_t bytes;     /* that sp is below the return address */
	uint32_t bp;       /* where the caller's bp is saved: as in a rule, LB_BP_SAME: nowhere */
	bool bp_is_frame;  /* bp points to where it is saved */
	uint64_t ready_at; /* vaddr from which on all of this is so */
};

static uint32_t bp_field(const struct go_frame *frame, int64_t offset)
{
	int64_t below = frame->bytes + 8 - offset;

	return below > 0 && below % 8 == 0 && below / 8 < LB_BP_AT_BP ? (uint32_t)(below / 8)
								      : LB_BP_SAME;
}

/* By how much the instruction moves sp down; false: in a way that is not known. */
static bool sp_moves(const struct insn *insn, int64_t *ret_bytes)
{
	int64_t offset;

	*ret_bytes = 0;
	switch (insn->insn.mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
	case ZYDIS_MNEMONIC_PUSHFQ:
		*ret_bytes = 8;
		return insn->insn.operand_width == 64;
	case ZYDIS_MNEMONIC_SUB:
	case ZYDIS_MNEMONIC_ADD:
		if (!is_register(insn, 0, ZYDIS_REGISTER_RSP))
			return true;
		if (insn->operands[1].type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
			return false;
		*ret_bytes = insn->insn.mnemonic == ZYDIS_MNEMONIC_SUB
				     ? insn->operands[1].imm.value.s
				     : -insn->operands[1].imm.value.s;
		return true;
	case ZYDIS_MNEMONIC_LEA:
		if (!is_register(insn, 0, ZYDIS_REGISTER_RSP))
			return true;
		if (!is_at(insn, 1, ZYDIS_REGISTER_RSP, &offset))
			return false;
		*ret_bytes = -offset;
		return true;
	default:
		break;
	}
	for (unsigned int i = 0; i < insn->insn.operand_count; i++)
		if (is_register(insn, i, ZYDIS_REGISTER_RSP) &&
		    (insn->operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			return false;
	return true;
}

/* Notes when the instruction saves bp or points it to where it is saved. frame->bytes is that before
 * the instruction. Returns whether it does. */
static bool note_bp(const struct insn *insn, struct go_frame *frame)
{
	ZydisMnemonic mnemonic = insn->insn.mnemonic;
	int64_t offset = 0;

	if (frame->bp == LB_BP_SAME) {
		if (mnemonic == ZYDIS_MNEMONIC_PUSH && is_register(insn, 0, ZYDIS_REGISTER_RBP))
			frame->bp = bp_field(frame, -8);
		else if (mnemonic == ZYDIS_MNEMONIC_MOV &&
			 is_at(insn, 0, ZYDIS_REGISTER_RSP, &offset) &&
			 is_register(insn, 1, ZYDIS_REGISTER_RBP))
			frame->bp = bp_field(frame, offset);
		return frame->bp != LB_BP_SAME;
	}
	if (frame->bp_is_frame || !is_register(insn, 0, ZYDIS_REGISTER_RBP))
		return false;
	if ((mnemonic == ZYDIS_MNEMONIC_MOV && is_register(insn, 1, ZYDIS_REGISTER_RSP)) ||
	    (mnemonic == ZYDIS_MNEMONIC_LEA && is_at(insn, 1, ZYDIS_REGISTER_RSP, &offset)))
		frame->bp_is_frame = bp_field(frame, offset) == frame->bp;
	return frame->bp_is_frame;
}

/* Follows the code straight down to the first call. */
static bool frame_read(struct go_code *code, uint64_t start, struct go_frame *ret_frame)
{
	struct go_frame frame = { .bp = LB_BP_SAME, .ready_at = start };
	struct insn insn;
	int64_t bytes;

	while (code_next(code, &insn)) {
		bool saves;

		if (insn.insn.meta.category == ZYDIS_CATEGORY_CALL) {
			*ret_frame = frame;
			return true;
		}
		if (insn.insn.meta.category == ZYDIS_CATEGORY_RET || !sp_moves(&insn, &bytes))
			return false;
		saves = note_bp(&insn, &frame);
		frame.bytes += bytes;
		if (frame.bytes < 0 || frame.bytes > LB_RULE_FIELD_MAX)
			return false;
		if (bytes || saves)
			frame.ready_at = start + code->at;
	}
	return false;
}

/* --- rules --- */

/* Where the stack ends: the first function of a goroutine, of a thread, or one that has left the
 * goroutine's stack for good. */
static uint32_t rule_of_end(struct go_code *code, struct go_rule *rule)
{
	(void)code;
	(void)rule;
	return LB_RULE_END;
}

/* The frame by sp: C code or another frame pointer than Go's may have been there before. */
static uint32_t rule_of_frame(struct go_code *code, struct go_rule *rule)
{
	struct go_frame frame;

	if (!frame_read(code, rule->start, &frame) || frame.bytes % 8)
		return LB_RULE_BAD;
	rule->start = frame.ready_at;
	return LB_RULE(LB_RULE_SP, frame.bytes + 8, frame.bp);
}

/* What it calls runs on another stack with the frame pointer of this one. */
static uint32_t rule_of_switch(struct go_code *code, struct go_rule *rule)
{
	struct go_frame frame;

	if (!frame_read(code, rule->start, &frame) || !frame.bp_is_frame || frame.bp != BP_UNDER_RA)
		return LB_RULE_NONE;
	return LB_RULE_SWITCH;
}

/* The same, but without frame pointer (until Go 1.20) there is no way back to the goroutine. */
static uint32_t rule_of_systemstack(struct go_code *code, struct go_rule *rule)
{
	uint32_t found = rule_of_switch(code, rule);

	return found == LB_RULE_NONE ? LB_RULE_END : found;
}

/* What is known after some instructions of asmcgocall. */
struct cgocall {
	int64_t bytes;          /* that sp was below the return address when it was copied */
	bool has_bp;            /* and bp had been pushed last */
	bool sp_copied;         /* into the register from which the depth is computed */
	ZydisRegister g, hi;    /* registers that hold g, and g.stack.hi */
	int64_t g_at, depth_at; /* offsets from sp when the C function has returned */
	bool found;
};

/* Up to the copy of sp. Returns false when the stack moves in an unknown way. */
static bool cgocall_note_entry(struct cgocall *call, const struct insn *insn)
{
	ZydisRegister target = register_of(insn, 0);
	int64_t bytes;

	if (insn->insn.mnemonic == ZYDIS_MNEMONIC_MOV && target != ZYDIS_REGISTER_NONE &&
	    target != ZYDIS_REGISTER_RBP && is_register(insn, 1, ZYDIS_REGISTER_RSP)) {
		call->sp_copied = true;
		return call->bytes == (call->has_bp ? 8 : 0);
	}
	if (!sp_moves(insn, &bytes))
		return false;
	call->bytes += bytes;
	call->has_bp |= insn->insn.mnemonic == ZYDIS_MNEMONIC_PUSH &&
			is_register(insn, 0, ZYDIS_REGISTER_RBP);
	return true;
}

/* After it: g is loaded from the stack, stack.hi from g, and the depth on the stack subtracted from
 * that. */
static void cgocall_note_return(struct cgocall *call, const struct insn *insn)
{
	ZydisRegister target = register_of(insn, 0);
	bool loads = insn->insn.mnemonic == ZYDIS_MNEMONIC_MOV && target != ZYDIS_REGISTER_NONE;
	int64_t offset;

	if (loads && is_at(insn, 1, ZYDIS_REGISTER_RSP, &offset)) {
		call->g = target;
		call->g_at = offset;
		call->hi = ZYDIS_REGISTER_NONE;
	} else if (loads && call->g != ZYDIS_REGISTER_NONE && is_at(insn, 1, call->g, &offset) &&
		   offset == STACK_HI_AT) {
		call->hi = target;
	} else if (insn->insn.mnemonic == ZYDIS_MNEMONIC_SUB && target == call->hi &&
		   target != ZYDIS_REGISTER_NONE &&
		   is_at(insn, 1, ZYDIS_REGISTER_RSP, &call->depth_at)) {
		call->found = true;
	}
}

static bool is_slot(int64_t offset)
{
	return offset >= 0 && offset % 8 == 0 && offset / 8 <= LB_RULE_FIELD_MAX;
}

/* NONE, which stops the unwinder there because stacks lie far from each other, when the code is not
 * what we know. */
static uint32_t rule_of_cgocall(struct go_code *code, struct go_rule *rule)
{
	struct cgocall call = { .g = ZYDIS_REGISTER_NONE, .hi = ZYDIS_REGISTER_NONE };
	struct insn insn;

	(void)rule;
	while (!call.found && code_next(code, &insn)) {
		if (call.sp_copied)
			cgocall_note_return(&call, &insn);
		else if (!cgocall_note_entry(&call, &insn))
			return LB_RULE_NONE;
	}
	if (!call.found || !is_slot(call.g_at) || !is_slot(call.depth_at))
		return LB_RULE_NONE;
	return LB_RULE(call.has_bp ? LB_RULE_GO_FRAME : LB_RULE_GO, call.depth_at, call.g_at / 8);
}

/* --- the functions --- */

static const struct special {
	const char *name;
	uint32_t (*rule_of)(struct go_code *code, struct go_rule *rule);
} specials[] = {
	{ "runtime.asmcgocall", rule_of_cgocall },
	{ "runtime.cgocall", rule_of_frame },
	{ "runtime.cgocallback", rule_of_switch },
	{ "crosscall2", rule_of_frame },
	{ "runtime.systemstack", rule_of_systemstack },
	{ "runtime.goexit", rule_of_end },
	{ "runtime.mcall", rule_of_end },
	{ "runtime.morestack", rule_of_end },
	{ "runtime.mstart", rule_of_end },
	{ "runtime.rt0_go", rule_of_end },
};

struct gathering {
	const struct image *image;
	struct go_rules *rules;
};

/* Functions of assembler have a twin of the same name that only adapts the arguments; in symbol
 * tables the real one is marked. */
static bool is_named(const struct symbol *symbol, const char *name)
{
	size_t len = strlen(name);

	return !strncmp(symbol->name, name, len) &&
	       (!symbol->name[len] || !strcmp(symbol->name + len, ".abi0"));
}

static int gather(const struct symbol *symbol, void *context)
{
	struct gathering *gathering = context;
	struct go_rules *rules = gathering->rules;
	struct go_rule rule = { .start = symbol->vaddr, .end = symbol->vaddr + symbol->size };
	struct go_code code;

	for (size_t i = 0; i < ARRAY_SIZE(specials); i++) {
		if (!is_named(symbol, specials[i].name) ||
		    !code_load(gathering->image, symbol, &code))
			continue;
		rule.rule = specials[i].rule_of(&code, &rule);
		if (rule.rule != LB_RULE_NONE)
			rules->rules[rules->nr_rules++] = rule;
	}
	return rules->nr_rules < ARRAY_SIZE(rules->rules) ? 0 : 1;
}

int go_rules_find(struct image *image, struct go_rules *ret_rules)
{
	struct gathering gathering = { image, ret_rules };
	int err;

	ret_rules->nr_rules = 0;
	err = image_for_each_function(image, gather, &gathering);
	return err == -ENOMEM ? err : 0;
}
