/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Call frame information made by hand: what no compiler here emits, and what is damaged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cfi_writer.h"

/* Compiles what was written and frees it. */
static struct unwind_rows *compile(struct writer *writer)
{
	struct unwind_rows *rows = compile_sections(writer, NULL);

	buf_done(&writer->buf);
	return rows;
}

#define SP(bytes) LB_RULE(LB_RULE_SP, bytes, 0)

static void assert_rule(const struct unwind_rows *rows, uint64_t vaddr, uint32_t rule)
{
	assert_int_equal(unwind_rows_find(rows, vaddr), rule);
}

/* --- formats --- */

static void check_format(enum format format)
{
	struct writer writer = { .format = format };
	struct unwind_rows *rows;

	put_cie(&writer, CIE_BODY);
	put_fde(&writer, CODE, 16, "\x41\x0e\x10\x86\2\x42\x0d\6\x4c\x0c\7\x08\xc6");
	put_fde(&writer, CODE + 32, 16, "");
	rows = compile(&writer);
	assert_rule(rows, CODE - 1, LB_RULE_NONE);
	assert_rule(rows, CODE, SP(8));
	assert_rule(rows, CODE + 1, LB_RULE(LB_RULE_SP, 16, 2));
	assert_rule(rows, CODE + 3, LB_RULE(LB_RULE_BP, 16, 2));
	assert_rule(rows, CODE + 14, LB_RULE(LB_RULE_BP, 16, 2));
	assert_rule(rows, CODE + 15, SP(8));
	assert_rule(rows, CODE + 16, LB_RULE_NONE);
	assert_rule(rows, CODE + 32, SP(8));
	assert_rule(rows, CODE + 48, LB_RULE_NONE);
	assert_rule(rows, 0, LB_RULE_NONE);
	assert_rule(rows, BASE + (1ULL << 32), LB_RULE_NONE);
	assert_int_equal(rows->nr_rows, 7);
	assert_int_equal(rows->stats.nr_functions, 2);
	assert_int_equal(unwind_rows_bytes(rows), 56);
	unwind_rows_free(rows);
}

static void test_formats(void **state)
{
	(void)state;
	check_format(EH_FRAME);
	check_format(DEBUG_FRAME);
	check_format(DEBUG_FRAME_64);
}

/* Version 3 has a LEB128 return column, version 4 the sizes of an address and a segment too. */
static void test_versions(void **state)
{
	struct writer writer = { .format = DEBUG_FRAME };
	struct unwind_rows *rows;

	(void)state;
	put_cie(&writer, "\3\0\1\x78\x90\0\x0c\7\x08\x90\1");
	put_fde(&writer, CODE, 16, "");
	put_cie(&writer, "\4\0\x08\0\1\x78\x10\x0c\7\x10\x90\1");
	put_fde(&writer, CODE + 16, 16, "");
	put_cie(&writer, "\4\0\4\0\1\x78\x10\x0c\7\x10\x90\1"); /* addresses of 4 bytes */
	put_fde(&writer, CODE + 32, 16, "");
	put_cie(&writer, "\5\0\1\x78\x10\x0c\7\x10\x90\1"); /* no such version */
	put_fde(&writer, CODE + 32, 16, "");
	rows = compile(&writer);
	assert_rule(rows, CODE, SP(8));
	assert_rule(rows, CODE + 16, SP(16));
	assert_rule(rows, CODE + 32, LB_RULE_NONE);
	assert_int_equal(rows->stats.defects[UNWIND_DEFECT_CIE], 2);
	unwind_rows_free(rows);
}

/* What is restored is what the CIE says, not nothing. */
static void test_restore(void **state)
{
	struct writer writer = { .format = EH_FRAME };
	struct unwind_rows *rows;

	(void)state;
	put_cie(&writer, CIE_BODY "\x86\2");
	put_fde(&writer, CODE, 16, "\x86\3\x41\xc6\x41\x86\4\x41\6\6");
	rows = compile(&writer);
	assert_rule(rows, CODE, LB_RULE(LB_RULE_SP, 8, 3));
	assert_rule(rows, CODE + 1, LB_RULE(LB_RULE_SP, 8, 2));
	assert_rule(rows, CODE + 2, LB_RULE(LB_RULE_SP, 8, 4));
	assert_rule(rows, CODE + 3, LB_RULE(LB_RULE_SP, 8, 2));
	unwind_rows_free(rows);
}

#define SIGNAL_CFA "\x0f\4\x77\xa0\1\6"
#define SIGNAL_RA  "\x10\x10\3\x77\xa8\1"
#define SIGNAL_BP  "\x10\6\3\x77\xf8\0"

/* Signal frames are known by their form; one of any other form stops the unwinder. */
static void test_signal(void **state)
{
	struct writer writer = { .format = EH_FRAME };
	struct unwind_rows *rows;

	(void)state;
	put_cie(&writer, "\1zRS\0\1\x78\x10\1\0\x0c\7\x08\x90\1");
	put_fde(&writer, CODE, 16, "\0" SIGNAL_CFA SIGNAL_RA SIGNAL_BP);
	put_fde(&writer, CODE + 16, 16,
		"\0\x0f\4\x77\xb0\1\6\x10\x10\3\x77\xb8\1\x10\6\3\x77\x88\1");
	put_fde(&writer, CODE + 32, 16, "\0");
	put_fde(&writer, CODE + 48, 16, "\0" SIGNAL_CFA SIGNAL_BP);
	put_fde(&writer, CODE + 64, 16, "\0" SIGNAL_CFA SIGNAL_RA "\x10\6\3\x77\xf0\0");
	put_fde(&writer, CODE + 80, 16, "\0\x0f\4\x76\xa0\1\6" SIGNAL_RA SIGNAL_BP);
	put_fde(&writer, CODE + 96, 16, "\0" SIGNAL_CFA "\x10\x10\3\x77\xa0\1" SIGNAL_BP);
	rows = compile(&writer);
	assert_rule(rows, CODE, LB_RULE(LB_RULE_SIGNAL, 0, 0));
	assert_rule(rows, CODE + 16, LB_RULE(LB_RULE_SIGNAL, 16, 0));
	for (uint64_t vaddr = CODE + 32; vaddr < CODE + 112; vaddr++)
		assert_rule(rows, vaddr, LB_RULE_BAD);
	assert_int_equal(rows->stats.defects[UNWIND_DEFECT_SIGNAL], 5);
	unwind_rows_free(rows);
}

/* Advances of all sizes, the last beyond the end; DW_CFA_set_loc. */
static void test_locations(void **state)
{
	struct writer writer = { .format = EH_FRAME };
	struct unwind_rows *rows;

	(void)state;
	put_cie(&writer, CIE_BODY);
	put_fde(&writer, CODE, 0x20000,
		"\x02\x80\x0e\x10\x03\x80\x10\x0e\x18\x04\0\0\1\0\x0e\x20"
		"\x01\x00\x00\x42\0\0\0\0\0\x0e\x28\x04\xff\xff\xff\xff\x0e\x30");
	rows = compile(&writer);
	assert_rule(rows, CODE + 0x7f, SP(8));
	assert_rule(rows, CODE + 0x80, SP(16));
	assert_rule(rows, CODE + 0x1100, SP(24));
	assert_rule(rows, CODE + 0x11100, SP(32));
	assert_rule(rows, 0x420000, SP(40));
	assert_rule(rows, CODE + 0x1ffff, SP(40));
	assert_rule(rows, CODE + 0x20000, LB_RULE_NONE);
	unwind_rows_free(rows);
}

/* --- several ranges --- */

/* In any order; the one that starts last wins, of equal ones the first. */
static void test_overlaps(void **state)
{
	struct writer writer = { .format = EH_FRAME };
	struct unwind_rows *rows;

	(void)state;
	put_cie(&writer, CIE_BODY);
	put_fde(&writer, CODE + 32, 8, "\x0e\x20");
	put_fde(&writer, CODE, 64, "\x0e\x10\x68\x0e\x18");
	put_fde(&writer, CODE + 32, 16, "\x0e\x28");
	put_fde(&writer, CODE + 64, 0, "\x0e\x30");
	rows = compile(&writer);
	assert_rule(rows, CODE, SP(16));
	assert_rule(rows, CODE + 31, SP(16));
	assert_rule(rows, CODE + 32, SP(32));
	assert_rule(rows, CODE + 40, LB_RULE_NONE);
	assert_rule(rows, CODE + 64, LB_RULE_NONE);
	assert_int_equal(rows->nr_rows, 3);
	unwind_rows_free(rows);
}

/* .debug_frame fills the gaps of .eh_frame and nothing else. */
static void test_precedence(void **state)
{
	struct writer eh = { .format = EH_FRAME }, debug = { .format = DEBUG_FRAME };
	struct unwind_rows *rows;

	(void)state;
	put_cie(&eh, CIE_BODY);
	put_fde(&eh, CODE + 16, 16, "");
	put_cie(&debug, CIE_BODY);
	put_fde(&debug, CODE, 48, "\x0e\x10\x64\x0e\x18");
	rows = compile_sections(&eh, &debug);
	assert_rule(rows, CODE, SP(16));
	assert_rule(rows, CODE + 16, SP(8));
	assert_rule(rows, CODE + 31, SP(8));
	assert_rule(rows, CODE + 32, SP(16));
	assert_rule(rows, CODE + 36, SP(24));
	assert_rule(rows, CODE + 48, LB_RULE_NONE);
	assert_int_equal(rows->nr_rows, 5);
	unwind_rows_free(rows);
	buf_done(&eh.buf);
	buf_done(&debug.buf);
}

/* A terminator ends a section of unknown length only. */
static void test_terminator(void **state)
{
	struct writer writer = { .format = EH_FRAME };
	struct cfi_source source = { .nr_sections = 1, .base = BASE, .low = CODE, .high = LIMIT };
	struct unwind_rows *rows = NULL;

	(void)state;
	put_cie(&writer, CIE_BODY);
	put_fde(&writer, CODE, 16, "");
	put(&writer, 0, 4);
	put_fde(&writer, CODE + 16, 16, "\x0e\x10");
	source.sections[0] = section_of(&writer);
	assert_int_equal(cfi_compile(&source, &rows), 0);
	assert_rule(rows, CODE + 16, SP(16));
	rows = unwind_rows_free(rows);
	source.sections[0].open_end = true;
	assert_int_equal(cfi_compile(&source, &rows), 0);
	assert_rule(rows, CODE, SP(8));
	assert_rule(rows, CODE + 16, LB_RULE_NONE);
	unwind_rows_free(rows);
	buf_done(&writer.buf);
}

/* --- damage --- */

/* One function with @code stops the unwinder; its neighbour is not touched. */
static void check_bad_code(const char *code, size_t len)
{
	struct writer writer = { .format = EH_FRAME };
	struct unwind_rows *rows;

	put_cie(&writer, CIE_BODY);
	put_fde_bytes(&writer, CODE, 16, code, len);
	put_fde(&writer, CODE + 16, 16, "");
	rows = compile(&writer);
	assert_rule(rows, CODE, LB_RULE_BAD);
	assert_rule(rows, CODE + 15, LB_RULE_BAD);
	assert_rule(rows, CODE + 16, SP(8));
	assert_int_equal(rows->nr_rows, 3);
	assert_int_equal(rows->stats.defects[UNWIND_DEFECT_INSTRUCTION], 1);
	unwind_rows_free(rows);
}

#define BAD_CODE(code) check_bad_code(code, sizeof(code) - 1)

static void test_bad_instructions(void **state)
{
	char remember[2 * CFA_STACK_DEPTH];

	(void)state;
	BAD_CODE("\x41\x3f");               /* no such instruction */
	BAD_CODE("\x41\x0e");               /* without its operand */
	BAD_CODE("\x41\x0e\x80\x80");       /* operand without an end */
	BAD_CODE("\x41\x0f\x7f\x77\0");     /* expression longer than what is left */
	BAD_CODE("\x41\x0b");               /* nothing was remembered */
	BAD_CODE("\x41\x0f\1\x50\x0e\x10"); /* offset of a CFA that has none */
	BAD_CODE("\1\0\0\x40\0\0\0\0\0");   /* backwards */
	BAD_CODE("\x0e\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\0"); /* over 64 bits */
	memset(remember, DW_CFA_remember_state, sizeof(remember));
	check_bad_code(remember, sizeof(remember));
}

/* One CIE whose functions cannot be read. */
static void check_bad_cie(const char *body, size_t len)
{
	struct writer writer = { .format = EH_FRAME };
	struct unwind_rows *rows;

	put_cie_bytes(&writer, body, len);
	put_fde(&writer, CODE, 16, "");
	rows = compile(&writer);
	assert_int_equal(rows->nr_rows, 0);
	assert_int_equal(rows->stats.defects[UNWIND_DEFECT_CIE], 1);
	unwind_rows_free(rows);
}

#define BAD_CIE(body) check_bad_cie(body, sizeof(body) - 1)

static void test_bad_cies(void **state)
{
	char big[1024] = CIE_BODY;

	(void)state;
	BAD_CIE("");
	BAD_CIE("\1zR");                                             /* letters without an end */
	BAD_CIE("\1\0\1\x78\x1e\x0c\7\x08\x90\1");                   /* return column 30 */
	BAD_CIE("\1eh\0\0\0\0\0\0\0\0\0\1\x78\x10\x0c\7\x08\x90\1"); /* of gcc 2 */
	BAD_CIE("\1zX\0\1\x78\x10\1\0\x0c\7\x08\x90\1");             /* letter X */
	BAD_CIE("\1zR\0\1\x78\x10\1\x30\x0c\7\x08\x90\1");           /* relative to what? */
	BAD_CIE("\1zR\0\1\x78\x10\x7f\0\x0c\7\x08\x90\1");           /* longer than the CIE */
	BAD_CIE("\1\0\1\x78\x10\x0c\7\x08\x90\1\x3f");               /* unknown instruction */
	check_bad_cie(big, sizeof(big));
}

/* Ranges that are empty, not in code, too far from the base, or wrap around. */
static void test_bad_ranges(void **state)
{
	struct writer writer = { .format = EH_FRAME };
	struct unwind_rows *rows;

	(void)state;
	put_cie(&writer, CIE_BODY);
	put_fde(&writer, 0, 16, "");
	put_fde(&writer, CODE - 8, 16, "");
	put_fde(&writer, LIMIT - 8, 16, "");
	put_fde(&writer, CODE, UINT64_MAX, "");
	rows = compile(&writer);
	assert_int_equal(rows->nr_rows, 0);
	assert_int_equal(rows->stats.defects[UNWIND_DEFECT_RANGE], 4);
	unwind_rows_free(rows);
}

/* A section cut anywhere yields what is whole; heap copies let a sanitizer see overruns. */
static void test_cut(void **state)
{
	struct writer writer = { .format = EH_FRAME };
	struct cfi_source source = { .nr_sections = 1, .base = BASE, .low = CODE, .high = LIMIT };
	size_t nr_functions = 0;

	(void)state;
	put_cie(&writer, "\1zPLR\0\1\x78\x10\7\x9b\1\2\3\4\x1b\x1b\x0c\7\x08\x90\1");
	put_entry(&writer, writer.buf.len + 4, "\0\0\0\0\x10\0\0\0\4\1\2\3\4\x41\x0e\x10", 16);
	put_entry(&writer, writer.buf.len + 4, "\0\1\0\0\x10\0\0\0\4\1\2\3\4\x41\x0e\x10", 16);
	for (size_t len = 1; len <= writer.buf.len; len++) {
		struct unwind_rows *rows = NULL;
		uint8_t *copy = malloc(len);

		assert_non_null(copy);
		memcpy(copy, writer.buf.data, len);
		source.sections[0] = (struct cfi_section){ copy, len, CODE, false, false };
		assert_int_equal(cfi_compile(&source, &rows), 0);
		assert_in_range(rows->stats.nr_functions, nr_functions, nr_functions + 1);
		nr_functions = rows->stats.nr_functions;
		unwind_rows_free(rows);
		free(copy);
	}
	assert_int_equal(nr_functions, 2);
	buf_done(&writer.buf);
}

/* The side table has an end. */
static void test_wide_limit(void **state)
{
	struct writer writer = { .format = EH_FRAME }, code = { 0 };
	struct unwind_rows *rows;

	(void)state;
	put_cie(&writer, CIE_BODY);
	for (uint64_t offset = 1; offset < 8 * (CFI_MAX_WIDE + 10); offset += 8) {
		put(&code, 0x0e41, 2);
		put(&code, 0x80 | (offset & 0x7f), 1);
		put(&code, offset >> 7, 1);
	}
	put_fde_bytes(&writer, CODE, CFI_MAX_WIDE + 11, code.buf.data, code.buf.len);
	rows = compile(&writer);
	buf_done(&code.buf);
	assert_int_equal(rows->nr_wide, CFI_MAX_WIDE);
	assert_int_equal(rows->wide[1].cfa_offset, 9);
	assert_rule(rows, CODE + 2, LB_RULE_AT_INDEX(1));
	assert_rule(rows, CODE + CFI_MAX_WIDE + 1, LB_RULE_BAD);
	assert_int_equal(rows->stats.defects[UNWIND_DEFECT_CFA_OFFSET], 10);
	unwind_rows_free(rows);
}

/* A function that finds no room any more has no rules, and what follows it none either. */
static void test_full(void **state)
{
	const uint64_t behind = CODE + CFI_MAX_ROWS + 100;
	struct writer writer = { .format = EH_FRAME }, code = { 0 };
	struct cfi_source source = {
		.nr_sections = 1, .base = BASE, .low = CODE, .high = behind + 100
	};
	struct unwind_rows *rows = NULL;

	(void)state;
	put_cie(&writer, CIE_BODY);
	for (size_t row = 1; row < CFI_MAX_ROWS; row++)
		put(&code, row % 2 ? 0x100e41 : 0x180e41, 3);
	put_fde_bytes(&writer, CODE, CFI_MAX_ROWS, code.buf.data, code.buf.len);
	put_fde(&writer, behind, 10, "");
	source.sections[0] = section_of(&writer);
	assert_int_equal(cfi_compile(&source, &rows), 0);
	buf_done(&code.buf);
	buf_done(&writer.buf);
	assert_rule(rows, CODE, SP(8));
	assert_rule(rows, behind - 1, LB_RULE_NONE);
	assert_rule(rows, behind, LB_RULE_BAD);
	assert_rule(rows, behind + 10, LB_RULE_NONE);
	unwind_rows_free(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),          cmocka_unit_test(test_versions),
		cmocka_unit_test(test_locations),        cmocka_unit_test(test_signal),
		cmocka_unit_test(test_restore),          cmocka_unit_test(test_overlaps),
		cmocka_unit_test(test_precedence),       cmocka_unit_test(test_terminator),
		cmocka_unit_test(test_bad_instructions), cmocka_unit_test(test_bad_cies),
		cmocka_unit_test(test_bad_ranges),       cmocka_unit_test(test_cut),
		cmocka_unit_test(test_wide_limit),       cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
