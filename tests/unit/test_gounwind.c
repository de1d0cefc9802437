/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Unwind rows and functions of Go programs, on ELF files made here. Their code has the form of that
 * of Go 1.19 and 1.23; it stands in this program and is never called.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <linux/types.h>
#include <string.h>

#include "base/base.h"
#include "elf/elf.h"
#include "unwind.h"

#define TEXT_AT       0x1000UL
#define SLOT_BYTES    128UL /* room of one function */
#define MAX_FUNCTIONS 8UL
#define TABLE_AT      0x2000UL
#define NAMES_AT      72UL /* in the table */
#define ENTRIES_AT    512UL
#define RECORDS_AT    (ENTRIES_AT + 8 * (MAX_FUNCTIONS + 1)) /* behind the last entry */
#define RECORD_BYTES  44UL
#define SYMBOLS_AT    0x3000UL
#define FILE_BYTES    0x4000UL

/* A function of that name between the labels NAME and NAME_end. */
#define CODE(name, text)                                                                           \
	extern const char name[], name##_end[];                                                    \
	__asm__(".pushsection .text\n" #name ":\n" text "\n" #name "_end:\n.popsection\n")

CODE(asmcgocall_119, "mov 8(%rsp), %rax; mov 16(%rsp), %rbx; mov %rsp, %rdx; mov %fs:-8, %rdi\n"
		     "mov 64(%rsp), %rsp; sub $64, %rsp; and $-16, %rsp; mov %rdi, 48(%rsp)\n"
		     "mov %rdi, 40(%rsp); call *%rax; mov 48(%rsp), %rdi; mov 8(%rdi), %rsi\n"
		     "sub 40(%rsp), %rsi; mov %rsi, %rsp; ret");
CODE(asmcgocall_123, "push %rbp; mov %rsp, %rbp; mov 16(%rsp), %rax; mov %rsp, %rdx\n"
		     "sub $16, %rsp; and $-16, %rsp; mov %rdi, 8(%rsp); mov %rdi, (%rsp)\n"
		     "call .; mov 8(%rsp), %rdi; mov 8(%rdi), %rsi; sub (%rsp), %rsi\n"
		     "mov %rsi, %rsp; pop %rbp; ret");
/* The depth would be that of something else than the return address or bp. */
CODE(asmcgocall_odd, "sub $24, %rsp; mov %rsp, %rdx; call .; mov 8(%rsp), %rdi\n"
		     "mov 8(%rdi), %rsi; sub (%rsp), %rsi; mov %rsi, %rsp; ret");
CODE(asmcgocall_twin, "push %rbp; mov %rsp, %rbp; sub $24, %rsp; call .; add $24, %rsp\n"
		      "pop %rbp; ret");
CODE(crosscall2_119, "sub $48, %rsp; mov %rbp, 40(%rsp); lea 40(%rsp), %rbp; mov %rbx, (%rsp)\n"
		     "sub $24, %rsp; call .; add $24, %rsp; ret");
CODE(crosscall2_123, "push %rbp; mov %rsp, %rbp; sub $48, %rsp; mov %rbp, 40(%rsp)\n"
		     "lea 40(%rsp), %rbp; sub $24, %rsp; call .; ret");
CODE(crosscall2_odd, "and $-16, %rsp; call .; ret");
CODE(cgocall_large, "push %rbp; mov %rsp, %rbp; add $-128, %rsp; call .; ret");
CODE(cgocallback_119, "sub $32, %rsp; mov %rbp, 24(%rsp); lea 24(%rsp), %rbp; call *%rax; ret");
CODE(cgocallback_123, "push %rbp; mov %rsp, %rbp; sub $24, %rsp; call *%rax; ret");
CODE(cgocallback_odd, "sub $32, %rsp; mov %rbp, 16(%rsp); lea 16(%rsp), %rbp; call *%rax; ret");
CODE(systemstack_119, "mov 8(%rsp), %rdi; call *%rdi; ret");
CODE(nothing, "nop; call .; ret");

struct function {
	const char *name;
	const char *code, *end;
};

#define FUNCTION(name, label) { name, label, label##_end }

static uint8_t file[FILE_BYTES];

static void put(size_t at, const void *bytes, size_t len)
{
	assert_true(at + len <= sizeof(file));
	memcpy(file + at, bytes, len);
}

static void put_u32(size_t at, uint32_t value)
{
	put(at, &value, sizeof(value));
}

static void put_u64(size_t at, uint64_t value)
{
	put(at, &value, sizeof(value));
}

static void put_headers(size_t nr_symbols, size_t strings_len)
{
	static const char names[] = "\0.text\0.symtab\0.strtab\0.go.buildinfo\0.rela.dyn";
	const Elf64_Phdr segment = { .p_type = PT_LOAD,
				     .p_flags = PF_R | PF_X,
				     .p_filesz = FILE_BYTES,
				     .p_memsz = FILE_BYTES };
	const size_t strings_at = SYMBOLS_AT + 0x400, names_at = SYMBOLS_AT + 0x800;
	const Elf64_Shdr sections[] = {
		{ .sh_type = SHT_NULL },
		{ .sh_name = 1,
		  .sh_type = SHT_PROGBITS,
		  .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
		  .sh_addr = TEXT_AT,
		  .sh_offset = TEXT_AT,
		  .sh_size = SLOT_BYTES * MAX_FUNCTIONS },
		{ .sh_name = 7,
		  .sh_type = SHT_SYMTAB,
		  .sh_offset = SYMBOLS_AT,
		  .sh_size = nr_symbols * sizeof(Elf64_Sym),
		  .sh_link = 3,
		  .sh_info = 1,
		  .sh_entsize = sizeof(Elf64_Sym) },
		{ .sh_name = 15,
		  .sh_type = SHT_STRTAB,
		  .sh_offset = strings_at,
		  .sh_size = strings_len },
		{ .sh_name = 15,
		  .sh_type = SHT_STRTAB,
		  .sh_offset = names_at,
		  .sh_size = sizeof(names) },
		{ .sh_name = 23, .sh_type = SHT_PROGBITS, .sh_offset = TEXT_AT, .sh_size = 1 },
		{ .sh_name = 37,
		  .sh_type = SHT_RELA,
		  .sh_flags = SHF_ALLOC,
		  .sh_offset = SYMBOLS_AT + 0xf00,
		  .sh_size = sizeof(Elf64_Rela),
		  .sh_entsize = sizeof(Elf64_Rela) },
	};
	const Elf64_Ehdr header = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(header),
		.e_shoff = SYMBOLS_AT + 0xa00,
		.e_ehsize = sizeof(header),
		.e_phentsize = sizeof(segment),
		.e_phnum = 1,
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = ARRAY_SIZE(sections),
		.e_shstrndx = 4,
	};

	put(0, &header, sizeof(header));
	put(sizeof(header), &segment, sizeof(segment));
	put(names_at, names, sizeof(names));
	put(header.e_shoff, sections, sizeof(sections));
}

static void put_code(const struct function *functions, size_t nr)
{
	memset(file, 0, sizeof(file));
	memset(file + TEXT_AT, 0xcc, SLOT_BYTES * MAX_FUNCTIONS);
	assert_true(nr <= MAX_FUNCTIONS);
	for (size_t i = 0; i < nr; i++) {
		size_t len = (size_t)(functions[i].end - functions[i].code);

		assert_true(len && len <= SLOT_BYTES);
		put(TEXT_AT + i * SLOT_BYTES, functions[i].code, len);
	}
}

static void put_symbols(const struct function *functions, size_t nr)
{
	size_t len = 1 + sizeof("runtime.text");

	put(SYMBOLS_AT + 0x401, "runtime.text", sizeof("runtime.text"));
	for (size_t i = 0; i <= nr; i++) {
		bool is_text = i == nr;
		Elf64_Sym symbol = {
			.st_name = is_text ? 1 : (Elf64_Word)len,
			.st_info = ELF64_ST_INFO(STB_LOCAL, STT_FUNC),
			.st_shndx = 1,
			.st_value = TEXT_AT + (is_text ? 0 : i * SLOT_BYTES),
			.st_size = is_text ? 0 : SLOT_BYTES,
		};

		put(SYMBOLS_AT + (i + 1) * sizeof(symbol), &symbol, sizeof(symbol));
		if (is_text)
			break;
		put(SYMBOLS_AT + 0x400 + len, functions[i].name, strlen(functions[i].name) + 1);
		len += strlen(functions[i].name) + 1;
	}
	put_headers(nr + 2, len);
}

/* The runtime's table instead of symbols. @text: as in the file. */
static void put_table(const struct function *functions, size_t nr, uint64_t text)
{
	const uint8_t magic[] = { 0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8 };
	size_t name_at = 0;

	put(TABLE_AT, magic, sizeof(magic));
	put_u64(TABLE_AT + 8, nr);
	put_u64(TABLE_AT + 24, text);
	put_u64(TABLE_AT + 32, NAMES_AT);
	for (size_t at = 40; at < 64; at += 8)
		put_u64(TABLE_AT + at, NAMES_AT); /* units, files, values: not looked at */
	put_u64(TABLE_AT + 64, ENTRIES_AT);
	for (size_t i = 0; i < nr; i++) {
		size_t record = RECORDS_AT - ENTRIES_AT + i * RECORD_BYTES;

		put_u32(TABLE_AT + ENTRIES_AT + i * 8, (uint32_t)(i * SLOT_BYTES));
		put_u32(TABLE_AT + ENTRIES_AT + i * 8 + 4, (uint32_t)record);
		put_u32(TABLE_AT + ENTRIES_AT + record, (uint32_t)(i * SLOT_BYTES));
		put_u32(TABLE_AT + ENTRIES_AT + record + 4, (uint32_t)name_at);
		put(TABLE_AT + NAMES_AT + name_at, functions[i].name,
		    strlen(functions[i].name) + 1);
		name_at += strlen(functions[i].name) + 1;
	}
	put_u32(TABLE_AT + ENTRIES_AT + nr * 8, (uint32_t)(nr * SLOT_BYTES));
	put_headers(0, 1);
}

/* Opens the file as it is. */
static struct image *open_file(void)
{
	struct image *image = NULL;

	assert_int_equal(image_open_memory(file, sizeof(file), &image), 0);
	assert_true(image_is_go(image));
	return image;
}

/* The rule at the end of the function number @slot. */
static uint32_t rule_in(const struct unwind_rows *rows, size_t slot)
{
	return unwind_rows_find(rows, TEXT_AT + slot * SLOT_BYTES + SLOT_BYTES - 1);
}

static struct unwind_rows *rows_of_file(void)
{
	struct image *image = open_file();
	struct unwind_rows *rows = NULL;

	assert_int_equal(image_unwind_rows(image, &rows), 0);
	image_free(image);
	return rows;
}

static void test_go_119(void **state)
{
	static const struct function functions[] = {
		FUNCTION("runtime.asmcgocall.abi0", asmcgocall_119),
		FUNCTION("crosscall2", crosscall2_119),
		FUNCTION("runtime.cgocallback.abi0", cgocallback_119),
		FUNCTION("runtime.systemstack.abi0", systemstack_119),
		FUNCTION("runtime.goexit.abi0", nothing),
		FUNCTION("main.main", nothing),
	};
	struct unwind_rows *rows;

	(void)state;
	put_code(functions, ARRAY_SIZE(functions));
	put_symbols(functions, ARRAY_SIZE(functions));
	rows = rows_of_file();
	assert_int_equal(rule_in(rows, 0), LB_RULE(LB_RULE_GO, 40, 48 / 8));
	assert_int_equal(rule_in(rows, 1), LB_RULE(LB_RULE_SP, 48 + 24 + 8, 2));
	assert_int_equal(rule_in(rows, 2), LB_RULE_SWITCH);
	assert_int_equal(rule_in(rows, 3), LB_RULE_END);
	assert_int_equal(rule_in(rows, 4), LB_RULE_END);
	assert_int_equal(rule_in(rows, 5), LB_RULE_NONE);
	/* the frame is not there yet */
	assert_int_equal(unwind_rows_find(rows, TEXT_AT + SLOT_BYTES), LB_RULE_NONE);
	unwind_rows_free(rows);
}

static const struct function functions_123[] = {
	FUNCTION("runtime.asmcgocall", asmcgocall_123),
	FUNCTION("runtime.asmcgocall", asmcgocall_twin),
	FUNCTION("crosscall2", crosscall2_123),
	FUNCTION("runtime.cgocallback", cgocallback_123),
	FUNCTION("runtime.systemstack", cgocallback_123),
	FUNCTION("runtime.cgocall", cgocall_large),
	FUNCTION("runtime.mstart", nothing),
	FUNCTION("runtime.goexitx", nothing),
};

static void check_rows_123(const struct unwind_rows *rows)
{
	assert_int_equal(rule_in(rows, 0), LB_RULE(LB_RULE_GO_FRAME, 0, 8 / 8));
	assert_int_equal(rule_in(rows, 1), LB_RULE_NONE);
	assert_int_equal(rule_in(rows, 2), LB_RULE(LB_RULE_SP, 8 + 48 + 24 + 8, 2));
	assert_int_equal(rule_in(rows, 3), LB_RULE_SWITCH);
	assert_int_equal(rule_in(rows, 4), LB_RULE_SWITCH);
	assert_int_equal(rule_in(rows, 5), LB_RULE(LB_RULE_SP, 8 + 128 + 8, 2));
	assert_int_equal(rule_in(rows, 6), LB_RULE_END);
	assert_int_equal(rule_in(rows, 7), LB_RULE_NONE);
}

/* Without symbols, by the runtime's own table. */
static void test_go_123_stripped(void **state)
{
	struct unwind_rows *rows;
	struct symbol symbol;
	struct image *image;

	(void)state;
	put_code(functions_123, ARRAY_SIZE(functions_123));
	put_table(functions_123, ARRAY_SIZE(functions_123), TEXT_AT);
	rows = rows_of_file();
	check_rows_123(rows);
	unwind_rows_free(rows);
	image = open_file();
	assert_int_equal(image_symbol_at(image, TEXT_AT + 3 * SLOT_BYTES + 5, &symbol), 0);
	assert_string_equal(symbol.name, "runtime.cgocallback");
	assert_int_equal(symbol.size, SLOT_BYTES);
	assert_true(image_may_be_go_code(image, TEXT_AT));
	assert_true(image_may_be_go_code(image, TEXT_AT + 8 * SLOT_BYTES - 1));
	assert_false(image_may_be_go_code(image, TEXT_AT - 1));
	assert_false(image_may_be_go_code(image, TEXT_AT + 8 * SLOT_BYTES));
	image_free(image);
}

/* The dynamic linker fills in where the code is. */
static void test_relocated(void **state)
{
	Elf64_Rela relocation = {
		.r_offset = TABLE_AT + 24,
		.r_info = ELF64_R_INFO(0, R_X86_64_RELATIVE),
		.r_addend = TEXT_AT,
	};
	struct unwind_rows *rows;

	(void)state;
	put_code(functions_123, ARRAY_SIZE(functions_123));
	put_table(functions_123, ARRAY_SIZE(functions_123), UINT64_MAX);
	put(SYMBOLS_AT + 0xf00, &relocation, sizeof(relocation));
	rows = rows_of_file();
	check_rows_123(rows);
	unwind_rows_free(rows);
	relocation.r_offset++;
	put(SYMBOLS_AT + 0xf00, &relocation, sizeof(relocation));
	rows = rows_of_file();
	assert_int_equal(rows->nr_rows, 0);
	unwind_rows_free(rows);
}

/* Code of another form gets no rule that could be wrong. */
static void test_unknown_code(void **state)
{
	static const struct function functions[] = {
		FUNCTION("runtime.asmcgocall", asmcgocall_odd),
		FUNCTION("crosscall2", crosscall2_odd),
		FUNCTION("runtime.cgocallback", cgocallback_odd),
		FUNCTION("runtime.cgocall", asmcgocall_119),
	};
	struct unwind_rows *rows;

	(void)state;
	put_code(functions, ARRAY_SIZE(functions));
	put_symbols(functions, ARRAY_SIZE(functions));
	rows = rows_of_file();
	assert_int_equal(rule_in(rows, 0), LB_RULE_NONE);
	assert_int_equal(rule_in(rows, 1), LB_RULE_BAD);
	assert_int_equal(rule_in(rows, 2), LB_RULE_NONE);
	assert_int_equal(rule_in(rows, 3), LB_RULE_BAD);
	unwind_rows_free(rows);
}

static int count(const struct symbol *symbol, void *context)
{
	assert_true(*symbol->name);
	++*(size_t *)context;
	return 0;
}

static size_t nr_functions_of_file(void)
{
	struct image *image = open_file();
	size_t nr = 0;

	image_for_each_function(image, count, &nr);
	assert_true(image_may_be_go_code(image, TEXT_AT));
	image_free(image);
	return nr;
}

static void put_good_table(void)
{
	put_code(functions_123, ARRAY_SIZE(functions_123));
	put_table(functions_123, ARRAY_SIZE(functions_123), TEXT_AT);
}

/* Damage takes away what it hits and nothing else. */
static void test_damaged_table(void **state)
{
	static const struct {
		size_t at;
		uint32_t value;
		size_t nr_left;
	} damages[] = {
		{ 8, 7, 7 },                       /* number of functions: one fewer */
		{ 8, UINT32_MAX, 0 },              /* more than there is room for */
		{ 8, 0, 0 },                       /* none */
		{ 12, UINT32_MAX, 0 },             /* its upper half */
		{ 24, FILE_BYTES, 0 },             /* code outside of the file */
		{ 32, UINT32_MAX, 0 },             /* names outside of the table */
		{ 32, 8, 0 },                      /* names inside of the header */
		{ 64, UINT32_MAX, 0 },             /* entries outside */
		{ 0, 0xfffffffa, 0 },              /* the table of Go 1.16 */
		{ ENTRIES_AT, SLOT_BYTES, 7 },     /* a function that ends where it starts */
		{ ENTRIES_AT + 4, UINT32_MAX, 7 }, /* its record outside */
		{ RECORDS_AT, 1, 7 },              /* a record that is not its own */
		{ RECORDS_AT + 4, UINT32_MAX, 7 }, /* its name outside */
		{ RECORDS_AT + 4, 18, 7 },         /* its name empty */
	};

	(void)state;
	put_good_table();
	assert_int_equal(nr_functions_of_file(), 8);
	for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
		put_good_table();
		put_u32(TABLE_AT + damages[i].at, damages[i].value);
		assert_int_equal(nr_functions_of_file(), damages[i].nr_left);
	}
}

/* More of what looks like a table than is tried, then the real one. */
static void test_decoys(void **state)
{
	static const uint8_t magic[] = { 0xf0, 0xff, 0xff, 0xff, 0, 0, 1, 8 };

	(void)state;
	put_good_table();
	for (size_t i = 0; i < 15; i++)
		put(0x400 + i * 8, magic, sizeof(magic));
	assert_int_equal(nr_functions_of_file(), 8);
	put(0x400 + 15 * 8, magic, sizeof(magic));
	assert_int_equal(nr_functions_of_file(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_go_119),        cmocka_unit_test(test_go_123_stripped),
		cmocka_unit_test(test_relocated),     cmocka_unit_test(test_unknown_code),
		cmocka_unit_test(test_damaged_table), cmocka_unit_test(test_decoys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
