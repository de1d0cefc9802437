/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Private to elf/: the parts that compile call frame information into unwind rows.
 *
 *   unwind.c finds the sections -> ehframe.c walks CIEs and FDEs -> cfa.c runs their
 *   instructions -> rule.c turns each state into a rule -> builder.c collects the rules ->
 *   rows.c sorts them into a table
 *
 * gounwind.c makes rules of Go code, which has no such information.
 */
#ifndef ELF_CFI_H
#define ELF_CFI_H

#include <linux/types.h>

#include "elf/elf.h"
#include "unwind.h"

/* --- cursor.c: reads untrusted bytes; after an overrun it is bad and yields zeros --- */
struct cursor {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;
};

size_t cursor_left(const struct cursor *cursor);
uint64_t cursor_fixed(struct cursor *cursor, size_t nr_bytes); /* at most 8, little-endian */
uint64_t cursor_uleb(struct cursor *cursor);                   /* bad when over 64 bits */
int64_t cursor_sleb(struct cursor *cursor);
/* Cuts the next @nr_bytes off into a cursor of their own. */
struct cursor cursor_slice(struct cursor *cursor, uint64_t nr_bytes);

/* --- one section --- */
struct cfi_section {
	const uint8_t *bytes;
	size_t len;
	uint64_t vaddr; /* of the first byte; 0 for .debug_frame */
	bool is_debug;  /* .debug_frame, else .eh_frame */
	bool open_end;  /* the real length is not known: a terminator ends it */
};

/* Reads a pointer encoded as @encoding says (DW_EH_PE_*). */
uint64_t cfi_pointer(const struct cfi_section *section, struct cursor *cursor, uint8_t encoding);
/* May pointers of instruction ranges be encoded so? */
bool cfi_encoding_is_known(uint8_t encoding);

/* --- cfa.c: the state of the call frame instruction machine --- */
enum { CFI_DWARF_BP = 6, CFI_DWARF_SP = 7, CFI_DWARF_RA = 16 };

/* The few forms of DWARF expressions that compilers, linkers and assemblers use. */
enum cfi_expr_kind {
	CFI_EXPR_OTHER,
	CFI_EXPR_ADDRESS, /* register + offset */
	CFI_EXPR_DEREF,   /* *(register + offset) + add */
	CFI_EXPR_PLT,     /* the linker's for .plt; offset: its threshold */
};

struct cfi_expr {
	enum cfi_expr_kind kind;
	uint8_t dwarf_register;
	int64_t offset;
	int64_t add;
};

struct cfi_expr cfi_expr_parse(struct cursor code);

enum cfa_saved {
	CFA_SAVED_UNSET,     /* not mentioned */
	CFA_SAVED_SAME,      /* unchanged */
	CFA_SAVED_UNDEFINED, /* not recoverable */
	CFA_SAVED_AT_CFA,    /* at CFA + offset */
	CFA_SAVED_AT_EXPR,   /* at the address register + offset */
	CFA_SAVED_OTHER,     /* any other way */
};

struct cfa_register {
	enum cfa_saved saved;
	uint8_t base; /* DWARF register of CFA_SAVED_AT_EXPR */
	int64_t offset;
};

struct cfa_state {
	struct cfi_expr cfa;
	struct cfa_register bp, sp, ra;
};

#define CFA_STACK_DEPTH 32 /* of remembered states */

struct cfa_machine {
	const struct cfi_section *section;
	struct cursor code;
	uint64_t pc;  /* the state holds from here */
	uint64_t end; /* of the range; pc never passes it */
	uint64_t code_align;
	int64_t data_align;
	uint8_t encoding; /* of the pointer of DW_CFA_set_loc */
	struct cfa_state state;
	const struct cfa_state *initial; /* NULL while the initial one is being built */
	struct cfa_state stack[CFA_STACK_DEPTH];
	unsigned int depth;
};

/* Executes instructions until pc moves on; at the end of the code it moves to the end. Returns 0,
 * or -EBADMSG: damaged or unknown instruction. */
int cfa_advance(struct cfa_machine *machine);

/* --- builder.c: the ranges of one section, in order of arrival --- */
struct row_range {
	uint32_t start, end; /* as in rows */
	uint32_t first_row;
	uint32_t nr_rows;
};

/* Of one image: 64 MB. A library with a million has some 70 MB of code. */
#define CFI_MAX_ROWS (8U << 20)
#define CFI_MAX_WIDE 256U

struct row_builder {
	uint64_t base;      /* vaddr that pc 0 of a row stands for */
	uint64_t low, high; /* code lies in [low, high) */
	int error;          /* 0 or -ENOMEM, after which nothing more is added */
	struct lb_row *rows;
	size_t nr_rows, rows_capacity;
	struct row_range *ranges;
	size_t nr_ranges, ranges_capacity;
	struct lb_wide *wide;
	size_t nr_wide, wide_capacity;
	struct unwind_stats stats;
};

void row_builder_done(struct row_builder *builder);
/* Starts the range [start, end). Returns UNWIND_OK or the reason why it cannot be taken. */
enum unwind_defect row_builder_begin(struct row_builder *builder, uint64_t start, uint64_t end);
/* From @pc on, up to the next one, @rule holds in the range last begun. */
enum unwind_defect row_builder_add(struct row_builder *builder, uint64_t pc, uint32_t rule);
/* Replaces all that was added to the range last begun; the unwinder will stop there. */
void row_builder_spoil(struct row_builder *builder);

/* --- rule.c --- */
/* The rule for @state; adds to the wide table and to the defects of @builder. */
uint32_t rule_from_state(struct row_builder *builder, const struct cfa_state *state,
			 bool is_signal);

/* --- ehframe.c --- */
/* Adds the ranges of @section to @builder. What is damaged is skipped and counted. */
void cfi_walk(const struct cfi_section *section, struct row_builder *builder);

/* --- gounwind.c: functions of the Go runtime that no call frame information describes --- */
struct go_rule {
	uint64_t start, end;
	uint32_t rule;
};

struct go_rules {
	struct go_rule rules[32];
	size_t nr_rules;
};

/* Fills @ret_rules for a Go image. 0 or -ENOMEM. */
int go_rules_find(struct image *image, struct go_rules *ret_rules);

/* --- rows.c --- */
struct cfi_source {
	struct go_rules go;             /* has precedence over sections */
	struct cfi_section sections[2]; /* the first has precedence */
	size_t nr_sections;
	uint64_t base;      /* vaddr that pc 0 of a row is to stand for */
	uint64_t low, high; /* code lies in [low, high) */
};

/* Compiles sections into a table. Returns 0 or -ENOMEM. */
int cfi_compile(const struct cfi_source *source, struct unwind_rows **ret_rows);

#endif
