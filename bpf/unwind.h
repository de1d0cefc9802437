/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The contract of both sides about unwinding: what the loader compiles from call frame
 * information and the BPF unwinder executes. Plain C without includes, as leakbpf.h.
 *
 * A table is sorted by pc; a row holds from its pc up to the next row's pc. Tables are for
 * x86-64. The 8-byte row and the type field are not tied to it; another architecture would give
 * the two 14-bit fields another meaning (aarch64: CFA and link register slot).
 *
 * Words: sp, bp and pc are the registers of the frame at hand, the callee-saved state that the
 * walk has rebuilt so far. The CFA is the caller's sp. But where a type says otherwise the return
 * address is at CFA - 8.
 */
#ifndef LEAKBPF_UNWIND_H
#define LEAKBPF_UNWIND_H

struct lb_row {
	__u32 pc;   /* offset from the base of the image */
	__u32 rule; /* LB_RULE() */
};

/*
 * How to get from a frame to its caller. "cfa" and "bp" are the two fields of a rule; the first
 * is in bytes here (stored divided by 8).
 */
enum lb_rule_type {
	LB_RULE_NONE,     /* nothing known (JIT, Go text, assembler): use the frame pointer */
	LB_RULE_SP,       /* CFA = sp + cfa */
	LB_RULE_BP,       /* CFA = bp + cfa */
	LB_RULE_DEREF_SP, /* CFA = *(sp + cfa) + 8 (OpenSSL's assembler) */
	LB_RULE_DEREF_BP, /* CFA = *(bp - cfa) (realigned stack, old sp kept in the frame) */
	LB_RULE_PLT,      /* CFA = sp + 8, and 8 more when (pc & 15) >= LB_RULE_PLT_THRESHOLD */
	LB_RULE_SIGNAL,   /* registers are in the ucontext at sp + cfa: LB_UCONTEXT_* */
	LB_RULE_GO,       /* runtime.asmcgocall: depth at sp + cfa, g at sp + LB_RULE_GO_G */
	LB_RULE_GO_FRAME, /* the same, and the depth leads to its saved bp */
	LB_RULE_SWITCH,   /* CFA = bp + 16, bp was saved at *bp; it lies on another stack (Go) */
	LB_RULE_END,      /* outermost frame: the stack is complete */
	LB_RULE_BAD,      /* described, but not in these terms: stop, the stack is incomplete */
	LB_RULE_WIDE,     /* entry LB_RULE_INDEX of the wide table */
	LB_RULE_MAX,
};

/*
 * bits 0-3   enum lb_rule_type
 * bits 4-17  cfa / 8 (LB_RULE_PLT: the threshold; LB_RULE_WIDE: bits 4-31 are the index)
 * bits 18-31 bp: 0: unchanged; LB_BP_AT_BP: at *bp; LB_BP_LOST: not known;
 *            else it was saved at CFA - 8 * bp (LB_RULE_GO, LB_RULE_GO_FRAME: offset of g / 8)
 */
#define LB_RULE_TYPE_MASK 0xfU
#define LB_RULE_CFA_SHIFT 4
#define LB_RULE_BP_SHIFT  18
#define LB_RULE_FIELD_MAX 0x3fffU

#define LB_BP_SAME  0U
#define LB_BP_AT_BP 0x3ffeU
#define LB_BP_LOST  0x3fffU

#define LB_RULE(type, cfa_bytes, bp)                                                               \
	((__u32)(type) | (__u32)(cfa_bytes) / 8 << LB_RULE_CFA_SHIFT |                             \
	 (__u32)(bp) << LB_RULE_BP_SHIFT)
#define LB_RULE_TYPE(rule)          ((rule) & LB_RULE_TYPE_MASK)
#define LB_RULE_CFA(rule)           (((rule) >> LB_RULE_CFA_SHIFT & LB_RULE_FIELD_MAX) * 8)
#define LB_RULE_BP_FIELD(rule)      ((rule) >> LB_RULE_BP_SHIFT)
#define LB_RULE_PLT_THRESHOLD(rule) ((rule) >> LB_RULE_CFA_SHIFT & LB_RULE_FIELD_MAX)
#define LB_RULE_GO_G(rule)          (((rule) >> LB_RULE_BP_SHIFT) * 8)
#define LB_RULE_INDEX(rule)         ((rule) >> LB_RULE_CFA_SHIFT)
#define LB_RULE_AT_INDEX(index)     ((__u32)LB_RULE_WIDE | (__u32)(index) << LB_RULE_CFA_SHIFT)
/* The same rule of a table whose wide entries were appended to another table of @by entries. */
#define LB_RULE_REBASE(rule, by)                                                                   \
	(LB_RULE_TYPE(rule) == LB_RULE_WIDE ? LB_RULE_AT_INDEX(LB_RULE_INDEX(rule) + (by)) : (rule))

/* Offsets in struct ucontext. Linux, arch/x86/include/uapi/asm/sigcontext.h, struct sigcontext_64
 * at 40 bytes into include/uapi/asm-generic/ucontext.h, struct ucontext. */
#define LB_UCONTEXT_BP 120
#define LB_UCONTEXT_SP 160
#define LB_UCONTEXT_PC 168

/* What does not fit into a row: frames over 128 KB, odd offsets. Few per image, or none. */
struct lb_wide {
	__s32 cfa_offset; /* CFA = register + cfa_offset, or *(register + cfa_offset) + cfa_add */
	__s32 cfa_add;
	__s32 bp_offset; /* bp was saved at CFA + bp_offset, when bp is LB_WIDE_BP_AT_CFA */
	__u16 type;      /* LB_RULE_SP, LB_RULE_BP, LB_RULE_DEREF_SP or LB_RULE_DEREF_BP */
	__u16 bp;        /* LB_BP_SAME, LB_BP_AT_BP, LB_BP_LOST or LB_WIDE_BP_AT_CFA */
};

#define LB_WIDE_BP_AT_CFA 1U

/*
 * The executable segments of one process, sorted by address, as an array map of its own; element
 * 0 is no segment but holds their number in start. Likewise row 0 of a table's map holds the
 * number of rows in pc.
 */
struct lb_segment {
	__u64 start, end; /* addresses in the process */
	__u64 base;       /* address of the image's base: row pc = address - base */
	__u32 table;      /* id of the table; 0: none (JIT, unreadable file) */
	__u32 zero;
};

_Static_assert(sizeof(struct lb_segment) == 32, "lb_segment");
_Static_assert(sizeof(struct lb_row) == 8, "lb_row");
_Static_assert(sizeof(struct lb_wide) == 16, "lb_wide");
_Static_assert(LB_RULE_MAX <= LB_RULE_TYPE_MASK + 1, "lb_rule_type");

#endif
