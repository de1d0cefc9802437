/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Turns a state of the call frame instruction machine into a rule of bpf/unwind.h.
 */
#include "elf/cfi.h"

#include <errno.h>
#include <string.h>

#include "base/base.h"

static uint32_t rule_bad(struct row_builder *builder, enum unwind_defect defect)
{
	builder->stats.defects[defect]++;
	return LB_RULE_BAD;
}

static bool fits_i32(int64_t value)
{
	return value >= INT32_MIN && value <= INT32_MAX;
}

/* The frame of a signal handler's trampoline: registers in a ucontext relative to sp.
 * glibc 2.36, sysdeps/unix/sysv/linux/x86_64/libc_sigaction.c, do_cfa_expr and do_expr. */
static uint32_t rule_of_signal(struct row_builder *builder, const struct cfa_state *state)
{
	const struct cfi_expr *cfa = &state->cfa;
	int64_t ucontext = (int64_t)((uint64_t)cfa->offset - LB_UCONTEXT_SP);
	bool known = cfa->kind == CFI_EXPR_DEREF && cfa->dwarf_register == CFI_DWARF_SP &&
		     cfa->add == 0 && ucontext >= 0 && ucontext % 8 == 0 &&
		     ucontext / 8 <= LB_RULE_FIELD_MAX;

	if (!known || state->ra.saved != CFA_SAVED_AT_EXPR || state->ra.base != CFI_DWARF_SP ||
	    state->ra.offset != ucontext + LB_UCONTEXT_PC)
		return rule_bad(builder, UNWIND_DEFECT_SIGNAL);
	if (state->bp.saved != CFA_SAVED_AT_EXPR || state->bp.base != CFI_DWARF_SP ||
	    state->bp.offset != ucontext + LB_UCONTEXT_BP)
		return rule_bad(builder, UNWIND_DEFECT_SIGNAL);
	return LB_RULE(LB_RULE_SIGNAL, ucontext, 0);
}

static void wide_set_bp(struct row_builder *builder, const struct cfa_register *bp,
			struct lb_wide *wide)
{
	switch (bp->saved) {
	case CFA_SAVED_UNSET:
	case CFA_SAVED_SAME:
		wide->bp = LB_BP_SAME;
		return;
	case CFA_SAVED_AT_CFA:
		if (!fits_i32(bp->offset))
			break;
		wide->bp = LB_WIDE_BP_AT_CFA;
		wide->bp_offset = (int32_t)bp->offset;
		return;
	case CFA_SAVED_AT_EXPR:
		if (bp->base != CFI_DWARF_BP || bp->offset != 0)
			break;
		wide->bp = LB_BP_AT_BP;
		return;
	default:
		break;
	}
	wide->bp = LB_BP_LOST;
	builder->stats.defects[UNWIND_DEFECT_BP_LOST]++;
}

/* Returns UNWIND_OK or the reason why the CFA cannot be told. */
static enum unwind_defect wide_set_cfa(const struct cfi_expr *cfa, struct lb_wide *wide)
{
	bool is_sp = cfa->dwarf_register == CFI_DWARF_SP;

	if (cfa->kind != CFI_EXPR_ADDRESS && cfa->kind != CFI_EXPR_DEREF)
		return UNWIND_DEFECT_CFA_EXPRESSION;
	if (!is_sp && cfa->dwarf_register != CFI_DWARF_BP)
		return UNWIND_DEFECT_CFA_REGISTER;
	if (!fits_i32(cfa->offset) || !fits_i32(cfa->add))
		return UNWIND_DEFECT_CFA_OFFSET;
	if (cfa->kind == CFI_EXPR_ADDRESS)
		wide->type = is_sp ? LB_RULE_SP : LB_RULE_BP;
	else
		wide->type = is_sp ? LB_RULE_DEREF_SP : LB_RULE_DEREF_BP;
	wide->cfa_offset = (int32_t)cfa->offset;
	wide->cfa_add = (int32_t)cfa->add;
	return UNWIND_OK;
}

/* Fits the two fields of a row? */
static bool wide_pack(const struct lb_wide *wide, uint32_t *ret_rule)
{
	int64_t cfa =
		wide->type == LB_RULE_DEREF_BP ? -(int64_t)wide->cfa_offset : wide->cfa_offset;
	int32_t add = wide->type == LB_RULE_DEREF_SP ? 8 : 0;
	uint32_t bp = wide->bp;

	if (wide->cfa_add != add || cfa < 0 || cfa % 8 || cfa / 8 > LB_RULE_FIELD_MAX)
		return false;
	if (wide->bp == LB_WIDE_BP_AT_CFA) {
		int64_t below = -(int64_t)wide->bp_offset;

		if (below <= 0 || below % 8 || below / 8 >= LB_BP_AT_BP)
			return false;
		bp = (uint32_t)(below / 8);
	}
	*ret_rule = LB_RULE(wide->type, cfa, bp);
	return true;
}

/* The rule that refers to an equal entry of the wide table, which is added when there is none. */
static uint32_t wide_intern(struct row_builder *builder, const struct lb_wide *wide)
{
	size_t i;

	for (i = builder->nr_wide; i-- > 0;) {
		if (!memcmp(&builder->wide[i], wide, sizeof(*wide)))
			return LB_RULE_AT_INDEX(i);
	}
	if (builder->nr_wide == CFI_MAX_WIDE)
		return rule_bad(builder, UNWIND_DEFECT_CFA_OFFSET);
	if (vec_reserve((void **)&builder->wide, &builder->wide_capacity, builder->nr_wide + 1,
			sizeof(*wide))) {
		builder->error = -ENOMEM;
		return LB_RULE_BAD;
	}
	builder->wide[builder->nr_wide] = *wide;
	return LB_RULE_AT_INDEX(builder->nr_wide++);
}

static uint32_t rule_of_plt(struct row_builder *builder, const struct cfa_state *state)
{
	if (state->bp.saved != CFA_SAVED_UNSET && state->bp.saved != CFA_SAVED_SAME)
		return rule_bad(builder, UNWIND_DEFECT_CFA_EXPRESSION);
	return LB_RULE(LB_RULE_PLT, state->cfa.offset * 8, 0);
}

uint32_t rule_from_state(struct row_builder *builder, const struct cfa_state *state, bool is_signal)
{
	struct lb_wide wide = { 0 };
	enum unwind_defect defect;
	uint32_t rule;

	if (is_signal)
		return rule_of_signal(builder, state);
	if (state->ra.saved == CFA_SAVED_UNDEFINED)
		return LB_RULE_END;
	if (state->ra.saved != CFA_SAVED_AT_CFA || state->ra.offset != -8 ||
	    state->sp.saved != CFA_SAVED_UNSET)
		return rule_bad(builder, UNWIND_DEFECT_RETURN_ADDRESS);
	if (state->cfa.kind == CFI_EXPR_PLT)
		return rule_of_plt(builder, state);
	defect = wide_set_cfa(&state->cfa, &wide);
	if (defect)
		return rule_bad(builder, defect);
	wide_set_bp(builder, &state->bp, &wide);
	return wide_pack(&wide, &rule) ? rule : wide_intern(builder, &wide);
}
