/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What elfutils makes of call frame information, compared with unwind rows. Both are carried out
 * on invented registers and an invented memory, so equal results mean equal rules.
 */
#ifndef TESTS_CFI_ORACLE_H
#define TESTS_CFI_ORACLE_H

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "elf/elf.h"
#include "unwind.h"

enum oracle_kind {
	ORACLE_GAP,     /* nothing known */
	ORACLE_END,     /* return address undefined */
	ORACLE_FRAME,   /* the caller's registers follow */
	ORACLE_FOREIGN, /* needs registers that an unwinder does not have, or is not computable */
};

struct oracle_registers {
	uint64_t pc, sp, bp;
};

struct oracle_frame {
	enum oracle_kind kind;
	struct oracle_registers caller;
	bool bp_known;
};

struct oracle_result {
	size_t nr_checked;
	size_t nr_different; /* of them: the two do not agree */
	size_t nr_bp_lost;   /* of them: equal but for the bp, which the rows do not tell */
	size_t nr_bad;       /* rows of type LB_RULE_BAD */
	uint64_t first_different;
};

#define STACK_DEPTH 16

static inline uint64_t oracle_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 32 ^ *state << 31;
}

/* The word that memory holds at @address. */
static uint64_t memory_at(uint64_t address)
{
	uint64_t state = address * 0x9e3779b97f4a7c15ULL;

	return oracle_random(&state);
}

/* --- the way of the rows --- */

struct plan {
	uint64_t cfa;
	uint32_t bp;
	int64_t bp_offset;
};

static uint64_t cfa_of(uint32_t type, const struct oracle_registers *registers, int64_t offset,
		       int64_t add)
{
	switch (type) {
	case LB_RULE_SP:
		return registers->sp + (uint64_t)offset;
	case LB_RULE_BP:
		return registers->bp + (uint64_t)offset;
	case LB_RULE_DEREF_SP:
		return memory_at(registers->sp + (uint64_t)offset) + (uint64_t)add;
	default:
		return memory_at(registers->bp + (uint64_t)offset) + (uint64_t)add;
	}
}

static struct plan plan_of(const struct unwind_rows *rows, uint32_t rule,
			   const struct oracle_registers *registers)
{
	uint32_t type = LB_RULE_TYPE(rule), bp = LB_RULE_BP_FIELD(rule);
	int64_t offset = LB_RULE_CFA(rule);
	struct plan plan = { .bp = bp };

	if (type == LB_RULE_WIDE) {
		const struct lb_wide *wide = &rows->wide[LB_RULE_INDEX(rule)];

		plan.cfa = cfa_of(wide->type, registers, wide->cfa_offset, wide->cfa_add);
		plan.bp = wide->bp;
		plan.bp_offset = wide->bp_offset;
		return plan;
	}
	if (type == LB_RULE_PLT) {
		plan.cfa = registers->sp + 8;
		if ((registers->pc & 15) >= LB_RULE_PLT_THRESHOLD(rule))
			plan.cfa += 8;
		return plan;
	}
	plan.cfa = cfa_of(type, registers, type == LB_RULE_DEREF_BP ? -offset : offset,
			  type == LB_RULE_DEREF_SP ? 8 : 0);
	if (bp != LB_BP_SAME && bp != LB_BP_AT_BP && bp != LB_BP_LOST) {
		plan.bp = LB_WIDE_BP_AT_CFA;
		plan.bp_offset = -8 * (int64_t)bp;
	}
	return plan;
}

static struct oracle_frame apply_signal(uint64_t ucontext)
{
	return (struct oracle_frame){
		.kind = ORACLE_FRAME,
		.caller = { .pc = memory_at(ucontext + LB_UCONTEXT_PC),
			    .sp = memory_at(ucontext + LB_UCONTEXT_SP),
			    .bp = memory_at(ucontext + LB_UCONTEXT_BP) },
		.bp_known = true,
	};
}

/* Carries a rule out as an unwinder does. */
static struct oracle_frame oracle_apply(const struct unwind_rows *rows, uint32_t rule,
					const struct oracle_registers *registers)
{
	struct oracle_frame frame = { .kind = ORACLE_FRAME, .bp_known = true };
	struct plan plan;

	switch (LB_RULE_TYPE(rule)) {
	case LB_RULE_NONE:
		return (struct oracle_frame){ .kind = ORACLE_GAP };
	case LB_RULE_END:
		return (struct oracle_frame){ .kind = ORACLE_END };
	case LB_RULE_SIGNAL:
		return apply_signal(registers->sp + LB_RULE_CFA(rule));
	case LB_RULE_BAD:
		return (struct oracle_frame){ .kind = ORACLE_FOREIGN };
	default:
		break;
	}
	plan = plan_of(rows, rule, registers);
	frame.caller.sp = plan.cfa;
	frame.caller.pc = memory_at(plan.cfa - 8);
	frame.caller.bp = registers->bp;
	if (plan.bp == LB_BP_LOST)
		frame.bp_known = false;
	else if (plan.bp == LB_BP_AT_BP)
		frame.caller.bp = memory_at(registers->bp);
	else if (plan.bp == LB_WIDE_BP_AT_CFA)
		frame.caller.bp = memory_at(plan.cfa + (uint64_t)plan.bp_offset);
	return frame;
}

/* --- the way of elfutils --- */

struct machine {
	const struct oracle_registers *registers;
	uint64_t cfa;
	uint64_t stack[STACK_DEPTH];
	size_t depth;
	bool foreign; /* met something else than sp, bp, pc and memory */
};

static void push(struct machine *machine, uint64_t value)
{
	if (machine->depth == STACK_DEPTH)
		machine->foreign = true;
	else
		machine->stack[machine->depth++] = value;
}

static uint64_t pop(struct machine *machine)
{
	if (machine->depth)
		return machine->stack[--machine->depth];
	machine->foreign = true;
	return 0;
}

static void push_register(struct machine *machine, uint64_t number, uint64_t offset)
{
	const struct oracle_registers *registers = machine->registers;

	if (number == 6)
		push(machine, registers->bp + offset);
	else if (number == 7)
		push(machine, registers->sp + offset);
	else if (number == 16)
		push(machine, registers->pc + offset);
	else
		machine->foreign = true;
}

static void binary(struct machine *machine, uint8_t atom)
{
	uint64_t right = pop(machine), left = pop(machine);

	switch (atom) {
	case DW_OP_and:
		push(machine, left & right);
		return;
	case DW_OP_ge:
		push(machine, (int64_t)left >= (int64_t)right);
		return;
	case DW_OP_shl:
		push(machine, left << (right & 63));
		return;
	case DW_OP_plus:
		push(machine, left + right);
		return;
	default:
		machine->foreign = true;
	}
}

static void operate(struct machine *machine, const Dwarf_Op *op)
{
	if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31)
		push_register(machine, op->atom - DW_OP_breg0, op->number);
	else if (op->atom == DW_OP_bregx)
		push_register(machine, op->number, op->number2);
	else if (op->atom >= DW_OP_lit0 && op->atom <= DW_OP_lit31)
		push(machine, op->atom - DW_OP_lit0);
	else if (op->atom == DW_OP_call_frame_cfa)
		push(machine, machine->cfa);
	else if (op->atom == DW_OP_plus_uconst)
		push(machine, pop(machine) + op->number);
	else if (op->atom == DW_OP_deref)
		push(machine, memory_at(pop(machine)));
	else
		binary(machine, op->atom);
}

/* The value, or what is at the location, that the operations describe. */
static uint64_t evaluate(struct machine *machine, const Dwarf_Op *ops, size_t nr_ops, bool is_value)
{
	machine->depth = 0;
	for (size_t i = 0; i < nr_ops; i++) {
		if (ops[i].atom == DW_OP_stack_value)
			is_value = true;
		else
			operate(machine, &ops[i]);
	}
	return is_value ? pop(machine) : memory_at(pop(machine));
}

enum recovery { RECOVERED, SAME, UNDEFINED, BROKEN };

static enum recovery recover(struct machine *machine, Dwarf_Frame *frame, int number,
			     uint64_t *ret_value)
{
	Dwarf_Op memory[3], *ops;
	size_t nr_ops;

	if (dwarf_frame_register(frame, number, memory, &ops, &nr_ops)) {
		machine->foreign = true;
		return BROKEN;
	}
	if (!nr_ops)
		return ops ? UNDEFINED : SAME;
	*ret_value = evaluate(machine, ops, nr_ops, false);
	return RECOVERED;
}

/* Are the return address and the caller's sp where the rows suppose them, or is it the frame of a
 * signal? */
static bool is_ordinary(struct machine *machine, Dwarf_Frame *frame, uint64_t pc)
{
	uint64_t sp = 0;
	bool is_signal;

	if (recover(machine, frame, 7, &sp) != RECOVERED || sp != machine->cfa)
		return false;
	dwarf_frame_info(frame, NULL, NULL, &is_signal);
	return is_signal || pc == memory_at(machine->cfa - 8);
}

static struct oracle_frame evaluate_frame(Dwarf_Frame *frame,
					  const struct oracle_registers *registers)
{
	struct machine machine = { .registers = registers };
	struct oracle_frame result = { .kind = ORACLE_FRAME, .bp_known = true };
	enum recovery recovery;
	Dwarf_Op *ops;
	size_t nr_ops;

	result.caller.bp = registers->bp;
	if (dwarf_frame_cfa(frame, &ops, &nr_ops) || !nr_ops)
		machine.foreign = true;
	else
		machine.cfa = evaluate(&machine, ops, nr_ops, true);
	result.caller.sp = machine.cfa;
	recovery = recover(&machine, frame, 16, &result.caller.pc);
	if (recovery == UNDEFINED)
		return (struct oracle_frame){ .kind = ORACLE_END };
	if (recovery != RECOVERED || machine.foreign ||
	    !is_ordinary(&machine, frame, result.caller.pc))
		return (struct oracle_frame){ .kind = ORACLE_FOREIGN };
	recovery = recover(&machine, frame, 6, &result.caller.bp);
	result.bp_known = (recovery == RECOVERED || recovery == SAME) && !machine.foreign;
	return result;
}

struct oracle {
	Dwarf_CFI *eh_frame;
	Dwarf *dwarf; /* NULL: none */
	Dwarf_CFI *debug_frame;
	uint64_t random;
	const struct unwind_rows *rows;
	struct oracle_result result;
};

static struct oracle_frame oracle_frame_at(struct oracle *oracle,
					   const struct oracle_registers *registers)
{
	struct oracle_frame result = { .kind = ORACLE_GAP };
	Dwarf_Frame *frame;

	if (dwarf_cfi_addrframe(oracle->eh_frame, registers->pc, &frame) &&
	    dwarf_cfi_addrframe(oracle->debug_frame, registers->pc, &frame))
		return result;
	result = evaluate_frame(frame, registers);
	free(frame);
	return result;
}

/* Rows may tell less about bp, but nothing else than elfutils. */
static bool is_equal(const struct oracle_frame *ours, const struct oracle_frame *theirs)
{
	if (ours->kind != theirs->kind)
		return false;
	if (ours->kind != ORACLE_FRAME)
		return true;
	return ours->caller.pc == theirs->caller.pc && ours->caller.sp == theirs->caller.sp &&
	       (!ours->bp_known || (theirs->bp_known && ours->caller.bp == theirs->caller.bp));
}

static void compare_at(struct oracle *oracle, uint64_t pc)
{
	struct oracle_registers registers = {
		.pc = pc,
		.sp = oracle_random(&oracle->random),
		.bp = oracle_random(&oracle->random),
	};
	uint32_t rule = unwind_rows_find(oracle->rows, pc);
	struct oracle_frame ours = oracle_apply(oracle->rows, rule, &registers);
	struct oracle_frame theirs = oracle_frame_at(oracle, &registers);

	if (!is_equal(&ours, &theirs) && !oracle->result.nr_different++)
		oracle->result.first_different = pc;
	if (ours.kind == ORACLE_FRAME && !ours.bp_known && theirs.bp_known)
		oracle->result.nr_bp_lost++;
	oracle->result.nr_checked++;
}

static void compare_all(struct oracle *oracle, size_t nr_random)
{
	const struct unwind_rows *rows = oracle->rows;
	uint64_t low = rows->base + rows->rows[0].pc;
	uint64_t high = rows->base + rows->rows[rows->nr_rows - 1].pc;

	for (size_t i = 0; i < rows->nr_rows; i++) {
		uint64_t pc = rows->base + rows->rows[i].pc;

		compare_at(oracle, pc - 1);
		compare_at(oracle, pc);
		compare_at(oracle, pc + 1);
		if (LB_RULE_TYPE(rows->rows[i].rule) == LB_RULE_PLT)
			for (uint64_t k = 2; k < 16; k++)
				compare_at(oracle, pc + k);
		oracle->result.nr_bad += LB_RULE_TYPE(rows->rows[i].rule) == LB_RULE_BAD;
	}
	for (size_t i = 0; i < nr_random; i++)
		compare_at(oracle, low - 64 + oracle_random(&oracle->random) % (high - low + 128));
}

/* Compares at the first address of each row, at both neighbours of it, and at @nr_random more.
 * There must be rows. */
static void oracle_compare(Elf *elf, const struct unwind_rows *rows, size_t nr_random,
			   struct oracle_result *ret_result)
{
	struct oracle oracle = { .rows = rows, .random = 42 };

	oracle.eh_frame = dwarf_getcfi_elf(elf);
	oracle.dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
	oracle.debug_frame = oracle.dwarf ? dwarf_getcfi(oracle.dwarf) : NULL;
	compare_all(&oracle, nr_random);
	dwarf_cfi_end(oracle.eh_frame);
	dwarf_end(oracle.dwarf);
	*ret_result = oracle.result;
}

#endif
