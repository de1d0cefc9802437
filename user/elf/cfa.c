/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The call frame instruction machine, as much of it as rows can hold: the CFA and where the
 * caller's bp, sp and return address are.
 * DWARF 5, 6.4.2 Call Frame Instructions; LSB 5.0 Core, 10.5.2 (DW_CFA_GNU_*).
 */
#include "elf/cfi.h"

#include <dwarf.h>
#include <errno.h>
#include <string.h>

static struct cfa_register *state_register(struct cfa_state *state, uint64_t dwarf_register)
{
	switch (dwarf_register) {
	case CFI_DWARF_BP:
		return &state->bp;
	case CFI_DWARF_SP:
		return &state->sp;
	case CFI_DWARF_RA:
		return &state->ra;
	default:
		return NULL;
	}
}

static void machine_set(struct cfa_machine *machine, uint64_t dwarf_register, enum cfa_saved saved,
			int64_t offset)
{
	struct cfa_register *target = state_register(&machine->state, dwarf_register);

	if (target)
		*target = (struct cfa_register){ .saved = saved, .offset = offset };
}

static void machine_restore(struct cfa_machine *machine, uint64_t dwarf_register)
{
	static const struct cfa_state unset;
	struct cfa_state initial = machine->initial ? *machine->initial : unset;
	struct cfa_register *target = state_register(&machine->state, dwarf_register);

	if (target)
		*target = *state_register(&initial, dwarf_register);
}

/* A factored operand; wraps around on nonsense, which then fits no rule. */
static int64_t machine_scale(const struct cfa_machine *machine, uint64_t factored)
{
	return (int64_t)(factored * (uint64_t)machine->data_align);
}

static void machine_move(struct cfa_machine *machine, uint64_t delta)
{
	uint64_t left = machine->end - machine->pc;
	uint64_t bytes;

	if (__builtin_mul_overflow(delta, machine->code_align, &bytes) || bytes > left)
		bytes = left;
	machine->pc += bytes;
}

static int machine_set_location(struct cfa_machine *machine)
{
	uint64_t pc = cfi_pointer(machine->section, &machine->code, machine->encoding);

	if (pc < machine->pc)
		return -EBADMSG;
	machine->pc = pc < machine->end ? pc : machine->end;
	return 0;
}

static void machine_define(struct cfa_machine *machine, uint64_t dwarf_register, int64_t offset)
{
	struct cfi_expr *cfa = &machine->state.cfa;

	*cfa = (struct cfi_expr){ .kind = CFI_EXPR_ADDRESS, .offset = offset };
	if (dwarf_register > UINT8_MAX)
		cfa->kind = CFI_EXPR_OTHER;
	else
		cfa->dwarf_register = (uint8_t)dwarf_register;
}

/* Saved at the address that an expression yields. */
static void machine_set_expression(struct cfa_machine *machine)
{
	uint64_t dwarf_register = cursor_uleb(&machine->code);
	uint64_t len = cursor_uleb(&machine->code);
	struct cfi_expr expr = cfi_expr_parse(cursor_slice(&machine->code, len));
	struct cfa_register *target = state_register(&machine->state, dwarf_register);

	if (!target)
		return;
	*target = (struct cfa_register){ .saved = CFA_SAVED_OTHER };
	if (expr.kind == CFI_EXPR_ADDRESS) {
		target->saved = CFA_SAVED_AT_EXPR;
		target->base = expr.dwarf_register;
		target->offset = expr.offset;
	}
}

static int machine_remember(struct cfa_machine *machine)
{
	if (machine->depth == CFA_STACK_DEPTH)
		return -EBADMSG;
	machine->stack[machine->depth++] = machine->state;
	return 0;
}

static int machine_recall(struct cfa_machine *machine)
{
	if (machine->depth == 0)
		return -EBADMSG;
	machine->state = machine->stack[--machine->depth];
	return 0;
}

/* One of the two parts of a CFA that is a register and an offset. */
static int machine_redefine(struct cfa_machine *machine, uint64_t dwarf_register, int64_t offset)
{
	if (machine->state.cfa.kind != CFI_EXPR_ADDRESS)
		return -EBADMSG;
	machine_define(machine, dwarf_register, offset);
	return 0;
}

/* Instructions that say where the CFA is. -ENOENT: @opcode is none of them. */
static int execute_cfa(struct cfa_machine *machine, uint8_t opcode)
{
	struct cursor *code = &machine->code;
	struct cfi_expr *cfa = &machine->state.cfa;
	uint64_t operand;

	switch (opcode) {
	case DW_CFA_def_cfa:
		operand = cursor_uleb(code);
		machine_define(machine, operand, (int64_t)cursor_uleb(code));
		return 0;
	case DW_CFA_def_cfa_sf:
		operand = cursor_uleb(code);
		machine_define(machine, operand,
			       machine_scale(machine, (uint64_t)cursor_sleb(code)));
		return 0;
	case DW_CFA_def_cfa_register:
		return machine_redefine(machine, cursor_uleb(code), cfa->offset);
	case DW_CFA_def_cfa_offset:
		return machine_redefine(machine, cfa->dwarf_register, (int64_t)cursor_uleb(code));
	case DW_CFA_def_cfa_offset_sf:
		operand = (uint64_t)cursor_sleb(code);
		return machine_redefine(machine, cfa->dwarf_register,
					machine_scale(machine, operand));
	case DW_CFA_def_cfa_expression:
		operand = cursor_uleb(code);
		*cfa = cfi_expr_parse(cursor_slice(code, operand));
		return 0;
	default:
		return -ENOENT;
	}
}

/* Instructions that say where one register is. */
static int execute_register(struct cfa_machine *machine, uint8_t opcode)
{
	struct cursor *code = &machine->code;
	uint64_t target = cursor_uleb(code);

	switch (opcode) {
	case DW_CFA_offset_extended:
		machine_set(machine, target, CFA_SAVED_AT_CFA,
			    machine_scale(machine, cursor_uleb(code)));
		return 0;
	case DW_CFA_offset_extended_sf:
		machine_set(machine, target, CFA_SAVED_AT_CFA,
			    machine_scale(machine, (uint64_t)cursor_sleb(code)));
		return 0;
	case DW_CFA_GNU_negative_offset_extended:
		machine_set(machine, target, CFA_SAVED_AT_CFA,
			    machine_scale(machine, -cursor_uleb(code)));
		return 0;
	case DW_CFA_restore_extended:
		machine_restore(machine, target);
		return 0;
	case DW_CFA_undefined:
		machine_set(machine, target, CFA_SAVED_UNDEFINED, 0);
		return 0;
	case DW_CFA_same_value:
		machine_set(machine, target, CFA_SAVED_SAME, 0);
		return 0;
	case DW_CFA_register:
	case DW_CFA_val_offset:
	case DW_CFA_val_offset_sf:
		cursor_uleb(code); /* of either sign: only its length matters */
		machine_set(machine, target, CFA_SAVED_OTHER, 0);
		return 0;
	case DW_CFA_val_expression:
		cursor_slice(code, cursor_uleb(code));
		machine_set(machine, target, CFA_SAVED_OTHER, 0);
		return 0;
	default:
		return -EBADMSG;
	}
}

/* Instructions whose opcode has a byte of its own. */
static int execute_extended(struct cfa_machine *machine, uint8_t opcode)
{
	int err;

	switch (opcode) {
	case DW_CFA_nop:
		return 0;
	case DW_CFA_set_loc:
		return machine_set_location(machine);
	case DW_CFA_advance_loc1:
		machine_move(machine, cursor_fixed(&machine->code, 1));
		return 0;
	case DW_CFA_advance_loc2:
		machine_move(machine, cursor_fixed(&machine->code, 2));
		return 0;
	case DW_CFA_advance_loc4:
		machine_move(machine, cursor_fixed(&machine->code, 4));
		return 0;
	case DW_CFA_remember_state:
		return machine_remember(machine);
	case DW_CFA_restore_state:
		return machine_recall(machine);
	case DW_CFA_expression:
		machine_set_expression(machine);
		return 0;
	case DW_CFA_GNU_args_size:
		cursor_uleb(&machine->code);
		return 0;
	default:
		err = execute_cfa(machine, opcode);
		return err == -ENOENT ? execute_register(machine, opcode) : err;
	}
}

static int execute(struct cfa_machine *machine)
{
	uint8_t byte = (uint8_t)cursor_fixed(&machine->code, 1);
	uint8_t operand = byte & 0x3f;
	int err = 0;

	switch (byte & 0xc0) {
	case DW_CFA_advance_loc:
		machine_move(machine, operand);
		break;
	case DW_CFA_offset:
		machine_set(machine, operand, CFA_SAVED_AT_CFA,
			    machine_scale(machine, cursor_uleb(&machine->code)));
		break;
	case DW_CFA_restore:
		machine_restore(machine, operand);
		break;
	default:
		err = execute_extended(machine, byte);
	}
	return machine->code.bad ? -EBADMSG : err;
}

int cfa_advance(struct cfa_machine *machine)
{
	uint64_t pc = machine->pc;
	int err;

	while (machine->pc == pc) {
		if (!cursor_left(&machine->code)) {
			machine->pc = machine->end;
			return 0;
		}
		err = execute(machine);
		if (err)
			return err;
	}
	return 0;
}

/* What follows DW_OP_breg7 8 in the expression of .plt: rip & 15 >= threshold ? 8 : 0, with the
 * threshold taken out. binutils 2.40, bfd/elfxx-x86.c and elf64-x86-64.c,
 * elf_x86_64_eh_frame_lazy_plt (11), _lazy_bnd_plt (5), _lazy_ibt_plt (9 or 10). */
static bool expr_is_plt(struct cursor code, int64_t *ret_threshold)
{
	static const uint8_t head[] = { DW_OP_breg0 + CFI_DWARF_RA, 0, DW_OP_lit0 + 15, DW_OP_and };
	static const uint8_t tail[] = { DW_OP_ge, DW_OP_lit0 + 3, DW_OP_shl, DW_OP_plus };
	const uint8_t *threshold = code.at + sizeof(head);

	if (cursor_left(&code) != sizeof(head) + 1 + sizeof(tail))
		return false;
	if (memcmp(code.at, head, sizeof(head)) || memcmp(threshold + 1, tail, sizeof(tail)))
		return false;
	if (*threshold < DW_OP_lit0 || *threshold > DW_OP_lit0 + 15)
		return false;
	*ret_threshold = *threshold - DW_OP_lit0;
	return true;
}

struct cfi_expr cfi_expr_parse(struct cursor code)
{
	struct cfi_expr expr = { .kind = CFI_EXPR_OTHER };
	uint8_t opcode = (uint8_t)cursor_fixed(&code, 1);

	if (opcode < DW_OP_breg0 || opcode > DW_OP_breg31)
		return expr;
	expr.dwarf_register = opcode - DW_OP_breg0;
	expr.offset = cursor_sleb(&code);
	if (!cursor_left(&code) && !code.bad) {
		expr.kind = CFI_EXPR_ADDRESS;
		return expr;
	}
	if (opcode == DW_OP_breg0 + CFI_DWARF_SP && expr.offset == 8 &&
	    expr_is_plt(code, &expr.offset)) {
		expr.kind = CFI_EXPR_PLT;
		return expr;
	}
	if (cursor_fixed(&code, 1) != DW_OP_deref)
		return expr;
	if (cursor_left(&code)) {
		if (cursor_fixed(&code, 1) != DW_OP_plus_uconst)
			return expr;
		expr.add = (int64_t)cursor_uleb(&code);
	}
	if (!cursor_left(&code) && !code.bad)
		expr.kind = CFI_EXPR_DEREF;
	return expr;
}
