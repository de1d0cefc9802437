/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>

#include "base/base.h"
#include "elf/instruction.h"

/* cmp 0x10(%r14),%rsp */
#define CHECK 0x49, 0x3b, 0x66, 0x10

static int choose(const uint8_t *bytes, size_t len, struct placement *ret_placement,
		  bool *ret_at_branch)
{
	const struct code code = {
		.machine = EM_X86_64, .bytes = bytes, .len = len, .is_whole = true
	};

	return placement_choose_go(&code, ret_placement, ret_at_branch);
}

static void expect(const uint8_t *bytes, size_t len, uint64_t at, uint8_t instruction_len,
		   bool is_branch)
{
	struct placement placement = { 0 };
	bool at_branch = !is_branch;

	assert_int_equal(choose(bytes, len, &placement, &at_branch), 0);
	assert_int_equal(placement.vaddr, at);
	assert_int_equal(placement.instruction_len, instruction_len);
	assert_memory_equal(placement.instruction, bytes + at, instruction_len);
	assert_int_equal(placement.kind, PLACEMENT_CHEAP);
	assert_int_equal(at_branch, is_branch);
}

static void push_behind_the_check(void **state)
{
	static const uint8_t near[] = { CHECK, 0x76, 0x13, 0x55, 0x48, 0x89, 0xe5 };
	static const uint8_t far[] = { CHECK, 0x0f, 0x86, 0x61, 1, 0, 0, 0x55, 0x48, 0x89, 0xe5 };
	static const uint8_t large[] = {
		0x4c, 0x8d, 0xa4, 0x24, 0x78, 0xff, 0xff, 0xff, 0x4d, 0x3b,
		0x66, 0x10, 0x0f, 0x86, 0x61, 1,    0,    0,    0x55, 0x48
	};

	(void)state;
	expect(near, sizeof(near), 6, 1, false);
	expect(far, sizeof(far), 10, 1, false);
	expect(large, sizeof(large), 18, 1, false);
}

static void branch_of_older_versions(void **state)
{
	static const uint8_t near[] = { CHECK, 0x76, 0x1d, 0x48, 0x83, 0xec, 0x10 };
	static const uint8_t far[] = { CHECK, 0x0f, 0x86, 0xed, 0, 0, 0, 0x48, 0x83, 0xec, 0x38 };

	(void)state;
	expect(near, sizeof(near), 4, 2, true);
	expect(far, sizeof(far), 4, 6, true);
}

static void push_without_a_check(void **state)
{
	static const uint8_t code[] = { 0x55, 0x48, 0x89, 0xe5, 0xc3 };

	(void)state;
	expect(code, sizeof(code), 0, 1, false);
}

/* A place where the stack or the flags are not known is none. */
static void nothing_serves(void **state)
{
	static const uint8_t sub_first[] = { 0x48, 0x83, 0xec, 0x10, 0x55, 0xc3 };
	static const uint8_t call_first[] = { 0xe8, 1, 0, 0, 0, 0x55, 0xc3 };
	static const uint8_t other_branch[] = { 0x85, 0xc0, 0x74, 2, 0x55, 0xc3, 0xc3 };
	static const uint8_t cut[] = { CHECK, 0x0f, 0x86, 0xed };
	static const uint8_t damaged[] = { 0x06, 0x06, 0x06 };
	struct placement placement;
	bool at_branch;

	(void)state;
	assert_int_equal(choose(sub_first, sizeof(sub_first), &placement, &at_branch), -ENOTSUP);
	assert_int_equal(choose(call_first, sizeof(call_first), &placement, &at_branch), -ENOTSUP);
	assert_int_equal(choose(other_branch, sizeof(other_branch), &placement, &at_branch),
			 -ENOTSUP);
	assert_int_equal(choose(cut, sizeof(cut), &placement, &at_branch), -ENOEXEC);
	assert_int_equal(choose(damaged, sizeof(damaged), &placement, &at_branch), -ENOEXEC);
	assert_int_equal(choose(damaged, 0, &placement, &at_branch), -ENOTSUP);
}

static int find_call(const uint8_t *bytes, size_t len, int64_t target, struct placement *placement)
{
	const struct code code = {
		.machine = EM_X86_64, .bytes = bytes, .len = len, .is_whole = true
	};

	return placement_choose_call(&code, target, placement);
}

static void the_one_call(void **state)
{
	static const uint8_t once[] = { 0x55, 0xe8, 0x10, 0, 0, 0, 0xe8, 0x20, 0, 0, 0, 0xc3 };
	static const uint8_t twice[] = { 0xe8, 0x0b, 0, 0, 0, 0xe8, 0x06, 0, 0, 0, 0xc3 };
	struct placement placement = { 0 };

	(void)state;
	assert_int_equal(find_call(once, sizeof(once), 6 + 5 + 0x20, &placement), 0);
	assert_int_equal(placement.vaddr, 6);
	assert_int_equal(placement.instruction_len, 5);
	assert_int_equal(find_call(once, sizeof(once), 0x1000, &placement), -ENOTSUP);
	assert_int_equal(find_call(twice, sizeof(twice), 16, &placement), -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(push_behind_the_check), cmocka_unit_test(branch_of_older_versions),
		cmocka_unit_test(push_without_a_check),  cmocka_unit_test(nothing_serves),
		cmocka_unit_test(the_one_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
