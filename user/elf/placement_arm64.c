/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * AArch64 instructions as placement sees them; encodings after the Arm Architecture Reference
 * Manual (DDI 0487), chapter C4. Which ones the kernel simulates, steps or refuses mirrors Linux
 * 6.18 arch/arm64/kernel/probes/decode-insn.c: arm_probe_decode_insn(),
 * aarch64_insn_is_steppable() and include/asm/insn.h: aarch64_insn_is_steppable_hint().
 *
 * The return address is in the link register until the function saves it, so only instructions
 * that write that register (or sign it: paciasp) end the stretch in which a probe may stand.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "elf/instruction.h"

#define REG_LINK  30
#define REG_SP    31
#define NOP       0xd503201fU
#define HINT_MASK 0xfffff01fU /* without the 7 bits that number the hint */

/* Hints with an effect on the link register: xpaclri, paciaz, paciasp, pacibz, pacibsp, auti*. */
#define HINT_XPACLRI  7
#define HINT_PAC_LOW  24
#define HINT_PAC_HIGH 31

struct pattern {
	uint32_t mask, value;
	enum flow flow;
	enum probe_cost cost;
	uint8_t target_bits; /* width of the branch offset in instructions; 0: none */
	uint8_t target_shift;
};

/* First match counts. */
static const struct pattern branch_patterns[] = {
	{ 0xfc000000, 0x14000000, FLOW_JUMP, COST_EMULATED, 26, 0 }, /* b */
	{ 0xfc000000, 0x94000000, FLOW_CALL, COST_EMULATED, 26, 0 }, /* bl */
	{ 0xff000010, 0x54000000, FLOW_COND, COST_EMULATED, 19, 5 }, /* b.cond */
	{ 0xff000010, 0x54000010, FLOW_COND, COST_REFUSED, 19, 5 },  /* bc.cond */
	{ 0x7e000000, 0x34000000, FLOW_COND, COST_EMULATED, 19, 5 }, /* cbz, cbnz */
	{ 0x7e000000, 0x36000000, FLOW_COND, COST_EMULATED, 14, 5 }, /* tbz, tbnz */
	{ 0xfffffc1f, 0xd61f0000, FLOW_END, COST_EMULATED, 0, 0 },   /* br */
	{ 0xfffffc1f, 0xd63f0000, FLOW_CALL, COST_EMULATED, 0, 0 },  /* blr */
	{ 0xfffffc1f, 0xd65f0000, FLOW_END, COST_EMULATED, 0, 0 },   /* ret */
	{ 0xfe000000, 0xd6000000, FLOW_END, COST_REFUSED, 0, 0 },    /* retaa, braa, eret ... */
	{ 0xff000000, 0xd4000000, FLOW_END, COST_REFUSED, 0, 0 },    /* svc, brk, hlt ... */
	{ 0xffff0000, 0x00000000, FLOW_END, COST_REFUSED, 0, 0 },    /* udf */
};

/* What is no branch and yet not stepped. */
static const struct pattern plain_patterns[] = {
	{ 0x1f000000, 0x10000000, FLOW_NEXT, COST_EMULATED, 0, 0 }, /* adr, adrp */
	{ 0x3b000000, 0x18000000, FLOW_NEXT, COST_REFUSED, 0, 0 },  /* ldr, prfm (literal) */
	{ 0x3f000000, 0x08000000, FLOW_NEXT, COST_REFUSED, 0, 0 },  /* ldxr, stxr, ldar, cas */
	{ 0xfff00000, 0xd5300000, FLOW_NEXT, COST_REFUSED, 0, 0 },  /* mrs */
	{ 0xfff00000, 0xd5100000, FLOW_NEXT, COST_REFUSED, 0, 0 },  /* msr (register) */
	{ 0xfff8f01f, 0xd500401f, FLOW_NEXT, COST_REFUSED, 0, 0 },  /* msr (immediate) */
};

static const struct pattern *match(const struct pattern *patterns, size_t nr, uint32_t word)
{
	for (size_t i = 0; i < nr; i++)
		if ((word & patterns[i].mask) == patterns[i].value)
			return &patterns[i];
	return NULL;
}

static uint32_t field(uint32_t word, unsigned int shift, unsigned int bits)
{
	return word >> shift & ((1U << bits) - 1);
}

static int64_t branch_target(uint32_t word, const struct pattern *pattern)
{
	int64_t offset = field(word, pattern->target_shift, pattern->target_bits);
	int64_t sign = 1LL << (pattern->target_bits - 1);

	return ((offset ^ sign) - sign) * 4;
}

/* x0-x5 are the arguments and x0 the result; others can not be told of in a cookie. */
static uint16_t reg_bit(uint32_t reg)
{
	return reg < 6 ? (uint16_t)(1U << (LB_REG_ARG0 + reg)) : 0;
}

/* A hint: bti, nop and the signing of pointers are stepped, wfe and its like refused. */
static void note_hint(uint32_t word, struct instruction *instruction)
{
	uint32_t hint = field(word, 5, 7);
	bool bti = (hint & ~6U) == 32;
	bool sign_link = hint >= HINT_PAC_LOW && hint <= HINT_PAC_HIGH;
	bool sign_x17 = hint == 8 || hint == 10 || hint == 12 || hint == 14;

	instruction->is_filler = word == NOP || bti;
	instruction->frame_lost = sign_link || hint == HINT_XPACLRI;
	instruction->cost = word == NOP || bti || sign_link || sign_x17 || hint == HINT_XPACLRI
				    ? COST_STEPPED
				    : COST_REFUSED;
}

static void note_written(uint32_t reg, struct instruction *instruction)
{
	instruction->written |= reg_bit(reg);
	if (reg == REG_LINK)
		instruction->frame_lost = true;
}

/* Which registers a plain instruction may write: not exact (a store is taken for a load), but
 * never too few. */
static void note_registers(uint32_t word, struct instruction *instruction)
{
	bool load_store = (word & 0x0a000000) == 0x08000000;
	bool literal = (word & 0x3b000000) == 0x18000000;
	bool exclusive = (word & 0x3f000000) == 0x08000000;
	bool pair = (word & 0x3a000000) == 0x28000000;

	note_written(field(word, 0, 5), instruction);
	if (load_store && !literal)
		note_written(field(word, 5, 5), instruction); /* base, written back */
	if (exclusive || pair)
		note_written(field(word, 10, 5), instruction); /* second of the pair */
	if (exclusive)
		note_written(field(word, 16, 5), instruction); /* status */
}

static void note_plain(uint32_t word, struct instruction *instruction)
{
	const struct pattern *pattern = match(plain_patterns, ARRAY_SIZE(plain_patterns), word);

	instruction->flow = FLOW_NEXT;
	instruction->cost = pattern ? pattern->cost : COST_STEPPED;
	if ((word & HINT_MASK) == 0xd503201fU) {
		note_hint(word, instruction);
		return;
	}
	note_registers(word, instruction);
}

int arm64_decode(const uint8_t *bytes, size_t len, struct instruction *ret_instruction)
{
	struct instruction result = { .len = 4 };
	const struct pattern *branch;
	uint32_t word;

	if (len < sizeof(word))
		return -ENOEXEC;
	memcpy(&word, bytes, sizeof(word));
	word = le32toh(word);
	branch = match(branch_patterns, ARRAY_SIZE(branch_patterns), word);
	if (!branch) {
		note_plain(word, &result);
	} else {
		result.flow = branch->flow;
		result.cost = branch->cost;
		result.has_target = branch->target_bits > 0;
		if (result.has_target)
			result.target = branch_target(word, branch);
	}
	*ret_instruction = result;
	return 0;
}
