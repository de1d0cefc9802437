/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The segments and unwind tables of processes. With process ids as arguments it prints what the
 * tables of these processes cost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "proc/proc.h"
#include "unwind.h"

/* One that nothing else needs, so that it can be unloaded. */
#define LIBRARY  "libBrokenLocale.so.1"
#define FUNCTION "__ctype_get_mb_cur_max"

/* The segment that holds @address; one that ends at 0 when there is none. */
static struct lb_segment segment_at(const struct unwind_space *space, uint64_t address)
{
	for (size_t i = 0; i < space->nr_segments; i++)
		if (address >= space->segments[i].start && address < space->segments[i].end)
			return space->segments[i];
	return (struct lb_segment){ 0 };
}

/* The rule at an address, found as the kernel side does. */
static uint32_t rule_at(const struct unwind_tables *tables, const struct unwind_space *space,
			uint64_t address)
{
	struct lb_segment segment = segment_at(space, address);
	const struct unwind_table *table = tables->first;

	while (table && table->id != segment.table)
		table = table->next;
	assert_non_null(table);
	return table ? unwind_rows_find(table->rows, address - segment.base + table->rows->base)
		     : LB_RULE_BAD;
}

/* The first instruction of a function has the caller right above the stack pointer. */
static void assert_entry(const struct unwind_tables *tables, const struct unwind_space *space,
			 uint64_t address)
{
	assert_int_equal(rule_at(tables, space, address), LB_RULE(LB_RULE_SP, 8, 0));
}

static void test_self(void **state)
{
	struct unwind_tables tables = { 0 };
	struct unwind_space space = { 0 };
	struct unwind_totals totals;

	(void)state;
	assert_int_equal(unwind_space_refresh(&space, &tables, getpid()), 1);
	assert_entry(&tables, &space, (uint64_t)&test_self);
	assert_entry(&tables, &space, (uint64_t)dlsym(RTLD_DEFAULT, "qsort"));
	assert_int_equal(segment_at(&space, (uint64_t)&tables).end, 0);
	for (size_t i = 1; i < space.nr_segments; i++)
		assert_true(space.segments[i].start >= space.segments[i - 1].end);
	unwind_tables_sum(&tables, &totals);
	assert_in_range(totals.nr_tables, 3, space.nr_segments);
	assert_in_range(totals.row_bytes, 8 * totals.nr_rows, 8 * totals.nr_rows + 65536);
	assert_int_equal(unwind_space_refresh(&space, &tables, getpid()), 0);
	unwind_space_done(&space);
	unwind_tables_done(&tables);
}

/* A library that comes and goes takes its table along. */
static void test_library(void **state)
{
	struct unwind_tables tables = { 0 };
	struct unwind_space space = { 0 };
	struct unwind_totals before, with, after;
	void *handle;
	uint64_t entry;

	(void)state;
	assert_int_equal(unwind_space_refresh(&space, &tables, getpid()), 1);
	unwind_tables_sum(&tables, &before);
	handle = dlopen(LIBRARY, RTLD_NOW);
	assert_non_null(handle);
	entry = (uint64_t)dlsym(handle, FUNCTION);
	assert_int_equal(unwind_space_refresh(&space, &tables, getpid()), 1);
	assert_entry(&tables, &space, entry);
	unwind_tables_sum(&tables, &with);
	assert_true(with.nr_tables > before.nr_tables);
	dlclose(handle);
	assert_int_equal(unwind_space_refresh(&space, &tables, getpid()), 1);
	assert_int_equal(segment_at(&space, entry).end, 0);
	unwind_tables_sweep(&tables);
	unwind_tables_sum(&tables, &after);
	assert_int_equal(after.nr_tables, with.nr_tables - 1);
	unwind_space_done(&space);
	unwind_tables_sweep(&tables);
	assert_null(tables.first);
}

/* Two processes of the same program have the same tables. */
static void test_sharing(void **state)
{
	struct unwind_tables tables = { 0 };
	struct unwind_space parent = { 0 }, child = { 0 };
	uint32_t last_id;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		pause();
		_exit(0);
	}
	assert_int_equal(unwind_space_refresh(&parent, &tables, getpid()), 1);
	last_id = tables.last_id;
	assert_int_equal(unwind_space_refresh(&child, &tables, pid), 1);
	assert_int_equal(tables.last_id, last_id);
	assert_int_equal(child.nr_segments, parent.nr_segments);
	assert_entry(&tables, &child, (uint64_t)&test_sharing);
	unwind_space_done(&parent);
	unwind_tables_sweep(&tables);
	assert_entry(&tables, &child, (uint64_t)&test_sharing);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_true(unwind_space_refresh(&child, &tables, pid) < 0);
	assert_entry(&tables, &child, (uint64_t)&test_sharing);
	unwind_space_done(&child);
	unwind_tables_done(&tables);
}

static void test_generated_code(void **state)
{
	struct unwind_tables tables = { 0 };
	struct unwind_space space = { 0 };
	void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(code, MAP_FAILED);
	assert_int_equal(unwind_space_refresh(&space, &tables, getpid()), 1);
	assert_int_not_equal(segment_at(&space, (uint64_t)code).end, 0);
	assert_int_equal(segment_at(&space, (uint64_t)code).table, 0);
	munmap(code, 4096);
	unwind_space_done(&space);
	unwind_tables_done(&tables);
}

/* A file as lld makes it: code begins within a page that other data share. */
struct file {
	Elf64_Ehdr header;
	Elf64_Phdr segments[2];
	char rest[0x2000];
};

static const struct file lld_file = {
	.header = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		    .e_type = ET_DYN,
		    .e_machine = EM_X86_64,
		    .e_version = EV_CURRENT,
		    .e_phoff = offsetof(struct file, segments),
		    .e_ehsize = sizeof(Elf64_Ehdr),
		    .e_phentsize = sizeof(Elf64_Phdr),
		    .e_phnum = 2 },
	.segments = { { .p_type = PT_LOAD, .p_flags = PF_R, .p_filesz = 0x1a00, .p_memsz = 0x1a00 },
		      { .p_type = PT_LOAD,
			.p_flags = PF_R | PF_X,
			.p_offset = 0x1a00,
			.p_vaddr = 0x3a00,
			.p_filesz = 0x100,
			.p_memsz = 0x100 } },
};

static void test_unaligned_code(void **state)
{
	char path[] = "/tmp/leakbpf-test-XXXXXX";
	int fd __cleanup_fd = mkstemp(path);
	struct unwind_tables tables = { 0 };
	struct unwind_space space = { 0 };
	void *code;

	(void)state;
	assert_int_equal(write(fd, &lld_file, sizeof(lld_file)), sizeof(lld_file));
	code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0x1000);
	if (code == MAP_FAILED)
		skip(); /* mounted without the right to execute */
	assert_int_equal(unwind_space_refresh(&space, &tables, getpid()), 1);
	assert_true(segment_at(&space, (uint64_t)code).table > 0);
	assert_int_equal(segment_at(&space, (uint64_t)code).base, (uint64_t)code - 0x3000);
	munmap(code, 4096);
	unlink(path);
	unwind_space_done(&space);
	unwind_tables_done(&tables);
}

static int print_costs(int nr_pids, char **pids)
{
	struct unwind_tables tables = { 0 };
	struct unwind_totals totals;

	for (int i = 0; i < nr_pids; i++) {
		struct unwind_space space = { 0 };
		int err = unwind_space_refresh(&space, &tables, atoi(pids[i]));

		unwind_tables_sum(&tables, &totals);
		printf("pid %s: %d, %zu segments; sum: %zu tables, %zu rows, %.2f MB, %.1f ms\n",
		       pids[i], err, space.nr_segments, totals.nr_tables, totals.nr_rows,
		       (double)totals.row_bytes / 1e6, (double)totals.parse_ns / 1e6);
		unwind_space_done(&space);
	}
	unwind_tables_done(&tables);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_self),           cmocka_unit_test(test_library),
		cmocka_unit_test(test_sharing),        cmocka_unit_test(test_generated_code),
		cmocka_unit_test(test_unaligned_code),
	};

	if (argc > 1)
		return print_costs(argc - 1, argv + 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
