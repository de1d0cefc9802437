/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Unwind rows against elfutils, for whole libraries and for odd functions of this program.
 * With file names as arguments it checks these and prints a table of sizes and times.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/base.h"
#include "cfi_oracle.h"

#define NR_RANDOM 20000

/*
 * Never called: code whose call frame information has every form that compilers rarely use. Each
 * nop is a row of its own; test_self compares them all.
 */
#define BEGIN(name)                                                                                \
	".pushsection .text\n.globl " #name "\n.type " #name ", @function\n" #name                 \
	": .cfi_startproc\n"
#define END "nop; .cfi_endproc; .popsection\n"

extern const char odd_offsets[], odd_registers[], odd_nesting[], odd_expressions[], odd_plt[];
extern const char odd_signal[];

__asm__(BEGIN(odd_offsets) "nop; .cfi_def_cfa_offset 131064\n"
			   "nop; .cfi_def_cfa_offset 131072\n"
			   "nop; .cfi_def_cfa_offset 1000000\n"
			   "nop; .cfi_offset 6, -200000\n"
			   "nop; .cfi_offset 6, -24\n"
			   "nop; .cfi_def_cfa_offset 12\n"
			   "nop; .cfi_offset 6, 16\n"
			   "nop; .cfi_def_cfa 6, -16\n"
			   "nop; .cfi_def_cfa_offset 0\n"
			   "nop; .cfi_same_value 6\n" END);
__asm__(BEGIN(odd_registers) "nop; .cfi_register 6, 3\n"
			     "nop; .cfi_restore 6\n"
			     "nop; .cfi_undefined 6\n"
			     "nop; .cfi_same_value 6\n"
			     "nop; .cfi_escape 0x14, 6, 2\n" /* DW_CFA_val_offset */
			     "nop; .cfi_offset 6, -16\n"
			     "nop; .cfi_def_cfa_register 10\n"
			     "nop; .cfi_def_cfa_register 6\n"
			     "nop; .cfi_register 16, 1\n"
			     "nop; .cfi_offset 16, -16\n"
			     "nop; .cfi_offset 16, -8; .cfi_offset 7, -24\n"
			     "nop; .cfi_restore 7; .cfi_undefined 16\n"
			     "nop; .cfi_offset 16, -8\n" END);
__asm__(BEGIN(odd_nesting) "nop; .cfi_def_cfa_offset 16\n"
			   "nop; .cfi_remember_state; .cfi_offset 6, -16\n"
			   "nop; .cfi_remember_state; .cfi_def_cfa_register 6\n"
			   "nop; .cfi_restore_state\n"
			   "nop; .cfi_def_cfa_offset 80\n"
			   "nop; .cfi_restore_state\n" END);
__asm__(BEGIN(odd_instructions) "nop; .cfi_escape 0x2e, 0x90, 1\n" /* DW_CFA_GNU_args_size */
				"nop; .cfi_escape 0x12, 7, 0x7e\n" /* DW_CFA_def_cfa_sf */
				"nop; .cfi_escape 0x13, 0x7c\n"    /* DW_CFA_def_cfa_offset_sf */
				"nop; .cfi_escape 0x11, 6, 2\n"    /* DW_CFA_offset_extended_sf */
				"nop; .skip 70; .cfi_def_cfa_offset 24\n"
				"nop; .skip 300; .cfi_def_cfa_offset 32\n"
				"nop; .skip 70000; .cfi_def_cfa_offset 40\n" END);
/* DW_CFA_def_cfa_expression and DW_CFA_expression */
__asm__(BEGIN(
	odd_expressions) "nop; .cfi_escape 0x0f, 3, 0x76, 0x78, 6\n"        /* CFA = *(bp - 8) */
			 "nop; .cfi_escape 0x10, 6, 2, 0x76, 0\n"           /* bp at *bp */
			 "nop; .cfi_escape 0x0f, 5, 0x77, 16, 6, 0x23, 8\n" /* CFA = *(sp + 16) + 8 */
			 "nop; .cfi_escape 0x0f, 5, 0x77, 16, 6, 0x23, 24\n"
			 "nop; .cfi_escape 0x10, 6, 2, 0x76, 8\n"    /* bp at *(bp + 8) */
			 "nop; .cfi_escape 0x0f, 3, 0x76, 0x7c, 6\n" /* CFA = *(bp - 4) */
			 "nop; .cfi_escape 0x10, 6, 2, 0x77, 8\n"    /* bp at *(sp + 8) */
			 "nop; .cfi_escape 0x10, 6, 2, 0x77, 0\n"    /* bp at *sp */
			 "nop; .cfi_escape 0x0f, 3, 0x70, 0, 6\n"    /* CFA = *ax */
			 "nop; .cfi_escape 0x0f, 2, 0x77, 24\n"      /* CFA = sp + 24 */
			 "nop; .cfi_same_value 6\n" END);
/* The linker's expression with thresholds 9 and 10 */
__asm__(BEGIN(odd_plt) "nop; .cfi_escape 0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x39, 0x2a, 0x33, "
		       "0x24, 0x22\n"
		       "nop; .skip 15; .cfi_escape 0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3a, "
		       "0x2a, 0x33, 0x24, 0x22\n"
		       "nop; .skip 15\n" END);
/* As glibc's __restore_rt. */
__asm__(BEGIN(odd_signal) ".cfi_signal_frame\n"
			  ".cfi_escape 0x0f, 4, 0x77, 0xa0, 1, 6\n"  /* CFA */
			  ".cfi_escape 0x10, 16, 3, 0x77, 0xa8, 1\n" /* return address */
			  ".cfi_escape 0x10, 6, 3, 0x77, 0xf8, 0\n"  /* bp */
			  ".cfi_escape 0x10, 7, 3, 0x77, 0xa0, 1\n"  /* sp */
	END);

static void print_heading(void)
{
	printf("%-28s %9s %7s %8s %9s %6s %5s %5s %5s %8s %s\n", "image", "section", "fdes", "rows",
	       "bytes", "ms", "wide", "bad", "bp?", "checked", "different");
}

static void print_result(const char *path, const struct unwind_rows *rows,
			 const struct oracle_result *result)
{
	const struct unwind_stats *stats = &rows->stats;
	const char *name = strrchr(path, '/');

	printf("%-28.28s %9zu %7zu %8zu %9zu %6.1f %5zu %5zu %5zu %8zu %zu", name ? name + 1 : path,
	       stats->section_bytes, stats->nr_functions, rows->nr_rows, unwind_rows_bytes(rows),
	       (double)stats->parse_ns / 1e6, rows->nr_wide, result->nr_bad, result->nr_bp_lost,
	       result->nr_checked, result->nr_different);
	if (result->nr_different)
		printf(" (first at %#llx)", (unsigned long long)result->first_different);
	for (size_t i = 0; i < UNWIND_DEFECT_MAX; i++)
		if (stats->defects[i])
			printf(" [%s: %zu]", unwind_defect_name(i), stats->defects[i]);
	printf("\n");
}

/* Compares the rows of @image, which is also @elf. */
static struct oracle_result check_image(const char *name, struct image *image, Elf *elf)
{
	struct oracle_result result = { 0 };
	struct unwind_rows *rows = NULL;

	assert_int_equal(image_unwind_rows(image, &rows), 0);
	assert_non_null(elf);
	if (rows->nr_rows)
		oracle_compare(elf, rows, NR_RANDOM, &result);
	print_result(name, rows, &result);
	unwind_rows_free(rows);
	return result;
}

static struct oracle_result check_file(const char *path)
{
	int fd __cleanup_fd = open(path, O_RDONLY | O_CLOEXEC);
	struct oracle_result result;
	struct image *image = NULL;
	Elf *elf;

	assert_int_equal(image_open(path, &image), 0);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	result = check_image(path, image, elf);
	elf_end(elf);
	image_free(image);
	return result;
}

/* The path of a library that this process can load. */
static const char *path_of_library(const char *soname)
{
	struct link_map *map = NULL;
	void *handle = dlopen(soname, RTLD_NOW);

	assert_non_null(handle);
	assert_int_equal(dlinfo(handle, RTLD_DI_LINKMAP, &map), 0);
	return map->l_name;
}

/* All of a library equals elfutils, and nearly all of it can be unwound. */
static void check_library(const char *soname)
{
	struct oracle_result result = check_file(path_of_library(soname));

	assert_true(result.nr_checked > NR_RANDOM);
	assert_int_equal(result.nr_different, 0);
	assert_int_equal(result.nr_bp_lost, 0);
	assert_in_range(result.nr_bad, 0, result.nr_checked / 1000);
}

static void test_libc(void **state)
{
	(void)state;
	check_library("libc.so.6");
}

static void test_dynamic_linker(void **state)
{
	(void)state;
	check_library("ld-linux-x86-64.so.2");
}

static void test_libstdcxx(void **state)
{
	(void)state;
	check_library("libstdc++.so.6");
}

static void test_self(void **state)
{
	struct oracle_result result = check_file("/proc/self/exe");

	(void)state;
	assert_int_equal(result.nr_different, 0);
	assert_true(result.nr_checked > NR_RANDOM);
}

/* How many bytes of the function at @start, of which @size are looked at, have a rule of @type? */
static size_t count_rules(const struct unwind_rows *rows, uint64_t start, uint64_t size,
			  uint32_t type)
{
	size_t count = 0;

	for (uint64_t vaddr = start; vaddr < start + size; vaddr++)
		count += LB_RULE_TYPE(unwind_rows_find(rows, vaddr)) == type;
	return count;
}

/* The odd functions came out as the types that they were written for. */
static void test_types(void **state)
{
	const uint64_t load = getauxval(AT_PHDR) - sizeof(Elf64_Ehdr);
	struct unwind_rows *rows = NULL;
	struct image *image = NULL;

	(void)state;
	assert_int_equal(image_open("/proc/self/exe", &image), 0);
	assert_int_equal(image_unwind_rows(image, &rows), 0);
	assert_int_equal(count_rules(rows, (uint64_t)odd_offsets - load, 11, LB_RULE_WIDE), 8);
	assert_int_equal(count_rules(rows, (uint64_t)odd_registers - load, 14, LB_RULE_BAD), 4);
	assert_int_equal(count_rules(rows, (uint64_t)odd_registers - load, 14, LB_RULE_END), 1);
	assert_int_equal(count_rules(rows, (uint64_t)odd_nesting - load, 7, LB_RULE_SP), 6);
	assert_int_equal(count_rules(rows, (uint64_t)odd_nesting - load, 7, LB_RULE_BP), 1);
	assert_int_equal(count_rules(rows, (uint64_t)odd_expressions - load, 12, LB_RULE_BAD), 1);
	assert_int_equal(count_rules(rows, (uint64_t)odd_plt - load, 33, LB_RULE_PLT), 32);
	assert_int_equal(count_rules(rows, (uint64_t)odd_signal - load, 1, LB_RULE_SIGNAL), 1);
	unwind_rows_free(rows);
	image_free(image);
}

static void test_vdso(void **state)
{
	char *bytes = (char *)getauxval(AT_SYSINFO_EHDR);
	size_t len = 2 * (size_t)sysconf(_SC_PAGESIZE);
	struct oracle_result result;
	struct image *image = NULL;
	Elf *elf;

	(void)state;
	if (!bytes)
		skip();
	assert_int_equal(image_open_memory(bytes, len, &image), 0);
	elf = elf_memory(bytes, len);
	result = check_image("[vdso]", image, elf);
	assert_int_equal(result.nr_different, 0);
	assert_true(result.nr_checked > NR_RANDOM);
	elf_end(elf);
	image_free(image);
}

static int check_files(int nr_paths, char **paths)
{
	size_t nr_different = 0;

	print_heading();
	for (int i = 0; i < nr_paths; i++)
		nr_different += check_file(paths[i]).nr_different;
	return nr_different != 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_libc),      cmocka_unit_test(test_dynamic_linker),
		cmocka_unit_test(test_libstdcxx), cmocka_unit_test(test_self),
		cmocka_unit_test(test_vdso),      cmocka_unit_test(test_types),
	};

	elf_version(EV_CURRENT);
	if (argc > 1)
		return check_files(argc - 1, argv + 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
