/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * x86-64 instructions as placement sees them. Which ones the kernel emulates, steps or refuses
 * mirrors Linux 6.18 arch/x86/kernel/uprobes.c: is_prefix_bad(), good_insns_64, good_2byte_insns,
 * branch_setup_xol_ops() and push_setup_xol_ops(). Where kernels differ the strictest is mirrored:
 * one refused place makes a whole uprobe.multi link fail.
 */
#include <Zydis/Zydis.h>
#include <errno.h>

#include "base/base.h"
#include "elf/instruction.h"

struct decoded {
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	const uint8_t *bytes;
};

struct opcode_range {
	uint8_t first, last;
};

/* good_insns_64 has a 0 for these (the rows of invalid, port and privileged opcodes). */
static const struct opcode_range refused_one_byte[] = {
	{ 0x06, 0x07 }, { 0x0e, 0x0f }, { 0x16, 0x17 }, { 0x1e, 0x1f }, { 0x26, 0x27 },
	{ 0x2e, 0x2f }, { 0x36, 0x37 }, { 0x3e, 0x3f }, { 0x40, 0x4f }, { 0x60, 0x62 },
	{ 0x66, 0x67 }, { 0x6c, 0x6f }, { 0x82, 0x82 }, { 0x9a, 0x9a }, { 0xc4, 0xc5 },
	{ 0xcc, 0xcf }, { 0xd4, 0xd6 }, { 0xe4, 0xe7 }, { 0xea, 0xea }, { 0xec, 0xf1 },
	{ 0xf4, 0xf4 }, { 0xfa, 0xfb },
};

/* good_2byte_insns likewise, opcodes after 0f. */
static const struct opcode_range refused_two_byte[] = {
	{ 0x00, 0x0d }, { 0x18, 0x18 }, { 0x24, 0x27 }, { 0x30, 0x30 },
	{ 0x34, 0x3f }, { 0x78, 0x7d }, { 0xa6, 0xa7 }, { 0xae, 0xae },
	{ 0xb8, 0xb8 }, { 0xd0, 0xd0 }, { 0xf0, 0xf0 }, { 0xff, 0xff },
};

static bool in_ranges(uint8_t opcode, const struct opcode_range *ranges, size_t nr_ranges)
{
	for (size_t i = 0; i < nr_ranges; i++)
		if (opcode >= ranges[i].first && opcode <= ranges[i].last)
			return true;
	return false;
}

static bool has_prefix(const struct decoded *decoded, uint8_t prefix)
{
	for (size_t i = 0; i < decoded->insn.raw.prefix_count; i++)
		if (decoded->insn.raw.prefixes[i].value == prefix)
			return true;
	return false;
}

/* is_prefix_bad(): segment overrides but fs and gs, and lock. */
static bool has_refused_prefix(const struct decoded *decoded)
{
	static const uint8_t refused[] = { 0x26, 0x2e, 0x36, 0x3e, 0xf0 };

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (has_prefix(decoded, refused[i]))
			return true;
	return false;
}

static bool has_rex(const struct decoded *decoded)
{
	return decoded->insn.attributes & ZYDIS_ATTRIB_HAS_REX;
}

static bool is_opcode(const struct decoded *decoded, ZydisOpcodeMap map, uint8_t first,
		      uint8_t last)
{
	return decoded->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
	       decoded->insn.opcode_map == map && decoded->insn.opcode >= first &&
	       decoded->insn.opcode <= last;
}

/* 90 (also 66 90 and pause), and 0f 1f /0. */
static bool is_nop(const struct decoded *decoded)
{
	if (is_opcode(decoded, ZYDIS_OPCODE_MAP_DEFAULT, 0x90, 0x90))
		return !has_rex(decoded);
	return is_opcode(decoded, ZYDIS_OPCODE_MAP_0F, 0x1f, 0x1f) &&
	       decoded->insn.raw.modrm.reg == 0;
}

/* The opcodes of branch_setup_xol_ops(). */
static bool is_emulated_branch(const struct decoded *decoded)
{
	return is_opcode(decoded, ZYDIS_OPCODE_MAP_DEFAULT, 0x70, 0x7f) ||
	       is_opcode(decoded, ZYDIS_OPCODE_MAP_DEFAULT, 0xe8, 0xe9) ||
	       is_opcode(decoded, ZYDIS_OPCODE_MAP_DEFAULT, 0xeb, 0xeb) ||
	       is_opcode(decoded, ZYDIS_OPCODE_MAP_0F, 0x80, 0x8f);
}

/* push_setup_xol_ops(): one byte, or two with the rex prefix 41. */
static bool is_emulated_push(const struct decoded *decoded)
{
	if (!is_opcode(decoded, ZYDIS_OPCODE_MAP_DEFAULT, 0x50, 0x57))
		return false;
	return decoded->insn.length == 1 ||
	       (decoded->insn.length == 2 && decoded->bytes[0] == 0x41);
}

static bool is_steppable(const struct decoded *decoded)
{
	if (decoded->insn.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return false;
	if (decoded->insn.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT)
		/* A nop opcode with a rex prefix is an xchg that old kernels take for a nop. */
		return decoded->insn.opcode != 0x90 &&
		       !in_ranges(decoded->insn.opcode, refused_one_byte,
				  ARRAY_SIZE(refused_one_byte));
	return decoded->insn.opcode_map == ZYDIS_OPCODE_MAP_0F &&
	       !in_ranges(decoded->insn.opcode, refused_two_byte, ARRAY_SIZE(refused_two_byte));
}

static enum probe_cost cost_of(const struct decoded *decoded)
{
	if (has_refused_prefix(decoded))
		return COST_REFUSED;
	if (is_nop(decoded) || is_emulated_push(decoded))
		return COST_EMULATED;
	if (is_emulated_branch(decoded))
		return has_prefix(decoded, 0x66) ? COST_REFUSED : COST_EMULATED;
	return is_steppable(decoded) ? COST_STEPPED : COST_REFUSED;
}

static enum flow flow_of(const struct decoded *decoded)
{
	bool direct = decoded->operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
		      decoded->operands[0].imm.is_relative;

	switch (decoded->insn.meta.category) {
	case ZYDIS_CATEGORY_COND_BR:
		return FLOW_COND;
	case ZYDIS_CATEGORY_UNCOND_BR:
		return direct ? FLOW_JUMP : FLOW_END;
	case ZYDIS_CATEGORY_CALL:
		return FLOW_CALL;
	case ZYDIS_CATEGORY_RET:
	case ZYDIS_CATEGORY_SYSCALL:
	case ZYDIS_CATEGORY_SYSRET:
	case ZYDIS_CATEGORY_INTERRUPT:
		return FLOW_END;
	default:
		break;
	}
	switch (decoded->insn.mnemonic) {
	case ZYDIS_MNEMONIC_HLT:
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2:
		return FLOW_END;
	default:
		return FLOW_NEXT;
	}
}

/* enum lb_reg of the 64-bit register around @reg; LB_REG_NONE: not one that can be told of. */
static uint8_t reg_of(ZydisRegister reg)
{
	switch (ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg)) {
	case ZYDIS_REGISTER_RDI:
		return LB_REG_ARG0;
	case ZYDIS_REGISTER_RSI:
		return LB_REG_ARG1;
	case ZYDIS_REGISTER_RDX:
		return LB_REG_ARG2;
	case ZYDIS_REGISTER_RCX:
		return LB_REG_ARG3;
	case ZYDIS_REGISTER_R8:
		return LB_REG_ARG4;
	case ZYDIS_REGISTER_R9:
		return LB_REG_ARG5;
	case ZYDIS_REGISTER_RAX:
		return LB_REG_RET;
	case ZYDIS_REGISTER_R10:
		return LB_REG_R10;
	case ZYDIS_REGISTER_R11:
		return LB_REG_R11;
	default:
		return LB_REG_NONE;
	}
}

static bool writes(const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE);
}

static bool writes_sp(const struct decoded *decoded)
{
	for (size_t i = 0; i < decoded->insn.operand_count; i++)
		if (writes(&decoded->operands[i]) &&
		    ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64,
						     decoded->operands[i].reg.value) ==
			    ZYDIS_REGISTER_RSP)
			return true;
	return false;
}

static void note_registers(const struct decoded *decoded, struct instruction *instruction)
{
	const ZydisDecodedOperand *to = &decoded->operands[0], *from = &decoded->operands[1];

	for (size_t i = 0; i < decoded->insn.operand_count; i++)
		if (writes(&decoded->operands[i]))
			instruction->written |=
				(uint16_t)(1U << reg_of(decoded->operands[i].reg.value));
	instruction->written &= (uint16_t)~(1U << LB_REG_NONE);
	if (decoded->insn.mnemonic != ZYDIS_MNEMONIC_MOV ||
	    to->type != ZYDIS_OPERAND_TYPE_REGISTER || from->type != ZYDIS_OPERAND_TYPE_REGISTER ||
	    ZydisRegisterGetClass(to->reg.value) != ZYDIS_REGCLASS_GPR64 ||
	    ZydisRegisterGetClass(from->reg.value) != ZYDIS_REGCLASS_GPR64)
		return;
	instruction->copy_to = reg_of(to->reg.value);
	instruction->copy_from = reg_of(from->reg.value);
}

/* The immediate of "sub $imm, %rsp" and the like; false: too big for any sane frame. */
static bool small_immediate(const ZydisDecodedOperand *operand, int32_t *ret_value)
{
	if (operand->type != ZYDIS_OPERAND_TYPE_IMMEDIATE || operand->imm.value.s < -0x10000 ||
	    operand->imm.value.s > 0x10000)
		return false;
	*ret_value = (int32_t)operand->imm.value.s;
	return true;
}

/* How the stack pointer moves; only moves by a constant can be followed. */
static void note_stack(const struct decoded *decoded, struct instruction *instruction)
{
	const ZydisDecodedOperand *to = &decoded->operands[0];
	bool to_sp = to->type == ZYDIS_OPERAND_TYPE_REGISTER && to->reg.value == ZYDIS_REGISTER_RSP;
	int32_t amount = 0;

	if (!writes_sp(decoded))
		return;
	if (decoded->insn.mnemonic == ZYDIS_MNEMONIC_PUSH)
		instruction->sp_change = decoded->insn.operand_width / 8;
	else if (decoded->insn.mnemonic == ZYDIS_MNEMONIC_POP && !to_sp)
		instruction->sp_change = -(decoded->insn.operand_width / 8);
	else if (decoded->insn.mnemonic == ZYDIS_MNEMONIC_SUB && to_sp &&
		 small_immediate(&decoded->operands[1], &amount))
		instruction->sp_change = amount;
	else if (decoded->insn.mnemonic == ZYDIS_MNEMONIC_ADD && to_sp &&
		 small_immediate(&decoded->operands[1], &amount))
		instruction->sp_change = -amount;
	else
		instruction->frame_lost = true;
}

int x86_decode(const uint8_t *bytes, size_t len, struct instruction *ret_instruction)
{
	struct decoded decoded = { .bytes = bytes };
	struct instruction result = { 0 };
	ZydisDecoder decoder;

	if (!ZYAN_SUCCESS(
		    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)) ||
	    !ZYAN_SUCCESS(
		    ZydisDecoderDecodeFull(&decoder, bytes, len, &decoded.insn, decoded.operands)))
		return -ENOEXEC;
	result.len = decoded.insn.length;
	result.flow = flow_of(&decoded);
	result.cost = cost_of(&decoded);
	result.is_filler = is_nop(&decoded) || decoded.insn.mnemonic == ZYDIS_MNEMONIC_ENDBR64;
	if (decoded.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
	    decoded.operands[0].imm.is_relative) {
		result.has_target = true;
		result.target = (int64_t)result.len + decoded.operands[0].imm.value.s;
	}
	note_registers(&decoded, &result);
	note_stack(&decoded, &result);
	*ret_instruction = result;
	return 0;
}
