/* SPDX-License-Identifier: GPL-2.0-only */
/* Where probes are put, on assembled prologues of both machines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "elf/instruction.h"

#define A0 (1U << 0)
#define A1 (1U << 1)
#define A2 (1U << 2)

#define CODE(...) ((const uint8_t[]){ __VA_ARGS__ }), sizeof((const uint8_t[]){ __VA_ARGS__ })

static int choose_x86(const uint8_t *bytes, size_t len, unsigned int args, bool need_return,
		      struct placement *ret_placement)
{
	const struct code code = { EM_X86_64, bytes, len, true };

	return placement_choose(&code, args, need_return, ret_placement);
}

static int choose_arm64(const uint32_t *words, size_t nr_words, unsigned int args,
			struct placement *ret_placement)
{
	uint8_t bytes[64] = { 0 };
	struct code code = { .machine = EM_AARCH64, .len = nr_words * 4, .is_whole = true };

	assert_true(nr_words * 4 <= sizeof(bytes));
	for (size_t i = 0; i < nr_words * 4; i++)
		bytes[i] = (uint8_t)(words[i / 4] >> (i % 4 * 8));
	code.bytes = bytes;
	return placement_choose(&code, args, true, ret_placement);
}

#define choose_words(args, placement, ...)                                                         \
	choose_arm64((const uint32_t[]){ __VA_ARGS__ },                                            \
		     ARRAY_SIZE(((const uint32_t[]){ __VA_ARGS__ })), args, placement)

static void expect(const struct placement *placement, uint64_t vaddr, enum placement_kind kind,
		   uint16_t sp_delta)
{
	assert_int_equal(placement->vaddr, vaddr);
	assert_int_equal(placement->kind, kind);
	assert_int_equal(placement->sp_delta, sp_delta);
}

/* glibc 2.36 malloc: the first instruction is a push. */
static void test_push_first(void **state)
{
	struct placement placement;

	(void)state;
	assert_int_equal(choose_x86(CODE(0x41, 0x54, 0x55, 0x53, 0xc3), A0, true, &placement), 0);
	expect(&placement, 0, PLACEMENT_CHEAP, 0);
	assert_int_equal(placement.arg_reg[0], LB_REG_ARG0);
	assert_int_equal(placement.arg_reg[5], LB_REG_ARG5);
	assert_int_equal(placement.instruction_len, 2);
	assert_memory_equal(placement.instruction, ((uint8_t[]){ 0x41, 0x54 }), 2);
}

/* glibc 2.36 free: test %rdi,%rdi; je. */
static void test_jump_after_test(void **state)
{
	struct placement placement;

	(void)state;
	assert_int_equal(
		choose_x86(CODE(0x48, 0x85, 0xff, 0x74, 0x01, 0xc3, 0xc3), A0, true, &placement),
		0);
	expect(&placement, 3, PLACEMENT_CHEAP, 0);
}

/* mimalloc 2.0 malloc: mov %rdi,%rsi; mov (%rax),%rdi; cmp; ja: the size is in rsi. */
static void test_copy_is_followed(void **state)
{
	struct placement placement;

	(void)state;
	assert_int_equal(choose_x86(CODE(0x48, 0x89, 0xfe, 0x48, 0x8b, 0x38, 0x77, 0x00, 0xc3), A0,
				    true, &placement),
			 0);
	expect(&placement, 6, PLACEMENT_CHEAP, 0);
	assert_int_equal(placement.arg_reg[0], LB_REG_ARG1);
	assert_int_equal(placement.arg_reg[1], LB_REG_NONE);
	assert_int_equal(placement.arg_reg[2], LB_REG_ARG2);
}

/* mov %rdi,%rax; mul %rsi: rax and rdx are gone; then je. The count is still in rdi. */
static void test_hidden_writes(void **state)
{
	struct placement placement;

	(void)state;
	assert_int_equal(choose_x86(CODE(0x48, 0x89, 0xf8, 0x48, 0xf7, 0xe6, 0x74, 0x00, 0xc3),
				    A0 | A1, true, &placement),
			 0);
	expect(&placement, 6, PLACEMENT_CHEAP, 0);
	assert_int_equal(placement.arg_reg[0], LB_REG_ARG0);
	assert_int_equal(placement.arg_reg[2], LB_REG_NONE);
}

/* mov %edi,%eax cuts the value: no copy. xor %edi,%edi; je: the argument is lost. */
static void test_narrow_copy_is_none(void **state)
{
	struct placement placement;

	(void)state;
	assert_int_equal(
		choose_x86(CODE(0x89, 0xf8, 0x31, 0xff, 0x74, 0x00, 0xc3), A0, true, &placement),
		0);
	expect(&placement, 0, PLACEMENT_STEP, 0);
	assert_int_equal(
		choose_x86(CODE(0x89, 0xf8, 0x31, 0xff, 0x74, 0x00, 0xc3), A1, true, &placement),
		0);
	expect(&placement, 4, PLACEMENT_CHEAP, 0);
}

/* Only arguments that are asked for count: xor %ecx,%ecx; push. */
static void test_other_arguments(void **state)
{
	struct placement placement;

	(void)state;
	assert_int_equal(choose_x86(CODE(0x31, 0xc9, 0x53, 0xc3), A0 | A1 | A2, true, &placement),
			 0);
	expect(&placement, 2, PLACEMENT_CHEAP, 0);
	assert_int_equal(placement.arg_reg[3], LB_REG_NONE);
}

/* glibc 2.36 mremap: sub $0x58,%rsp; cmp; ja. */
static void test_stack_delta(void **state)
{
	struct placement placement;

	(void)state;
	assert_int_equal(
		choose_x86(CODE(0x48, 0x83, 0xec, 0x58, 0x83, 0xf9, 0x07, 0x77, 0x00, 0xc3), A0,
			   false, &placement),
		0);
	expect(&placement, 7, PLACEMENT_CHEAP, 0x58);
	assert_int_equal(
		choose_x86(CODE(0x48, 0x83, 0xec, 0x58, 0x83, 0xf9, 0x07, 0x77, 0x00, 0xc3), A0,
			   true, &placement),
		0);
	expect(&placement, 0, PLACEMENT_STEP, 0);
}

/* push $1 is not emulated; add $8,%rsp takes it back; then jmp. */
static void test_stack_goes_back(void **state)
{
	struct placement placement;

	(void)state;
	assert_int_equal(choose_x86(CODE(0x6a, 0x01, 0xeb, 0x00, 0xc3), 0, false, &placement), 0);
	expect(&placement, 2, PLACEMENT_CHEAP, 8);
	assert_int_equal(choose_x86(CODE(0x6a, 0x01, 0x48, 0x83, 0xc4, 0x08, 0xeb, 0x00, 0xc3), 0,
				    true, &placement),
			 0);
	expect(&placement, 6, PLACEMENT_CHEAP, 0);
}

/* and $-16,%rsp: the return address can not be found any more. */
static void test_realigned_stack(void **state)
{
	struct placement placement;

	(void)state;
	assert_int_equal(choose_x86(CODE(0x48, 0x83, 0xe4, 0xf0, 0x53, 0xc3), 0, false, &placement),
			 0);
	expect(&placement, 0, PLACEMENT_STEP, 0);
}

/* endbr64 is stepped: the push behind it is better. Alone it serves. */
static void test_endbr64(void **state)
{
	struct placement placement;

	(void)state;
	assert_int_equal(choose_x86(CODE(0xf3, 0x0f, 0x1e, 0xfa, 0x53, 0xc3), A0, true, &placement),
			 0);
	expect(&placement, 4, PLACEMENT_CHEAP, 0);
	assert_int_equal(choose_x86(CODE(0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x89, 0xf8, 0xc3), A0, true,
				    &placement),
			 0);
	expect(&placement, 0, PLACEMENT_STEP, 0);
}

/* What the kernel refuses is passed by: cs nopw, lock, a branch with 66, int3, AVX. */
static void test_refused(void **state)
{
	struct placement placement;

	(void)state;
	assert_int_equal(choose_x86(CODE(0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0, 0x53, 0xc3),
				    A0, true, &placement),
			 0);
	expect(&placement, 10, PLACEMENT_CHEAP, 0);
	assert_int_equal(choose_x86(CODE(0xf0, 0x48, 0xff, 0x07, 0x90, 0xc3), A0, true, &placement),
			 0);
	expect(&placement, 4, PLACEMENT_CHEAP, 0);
	assert_int_equal(choose_x86(CODE(0xc5, 0xf8, 0x77, 0x90, 0xc3), A0, true, &placement), 0);
	expect(&placement, 3, PLACEMENT_CHEAP, 0);
	assert_int_equal(choose_x86(CODE(0x66, 0x74, 0x00, 0xc3), A0, true, &placement), -ENOTSUP);
	assert_int_equal(choose_x86(CODE(0xcc, 0x53, 0xc3), A0, true, &placement), -ENOTSUP);
	/* xchg %rax,%r8 has the opcode of nop: passed by, and the fifth argument is gone. */
	assert_int_equal(choose_x86(CODE(0x49, 0x90, 0x53, 0xc3), A0, true, &placement), 0);
	expect(&placement, 2, PLACEMENT_CHEAP, 0);
	assert_int_equal(placement.arg_reg[4], LB_REG_NONE);
}

static void test_nops(void **state)
{
	struct placement placement;

	(void)state;
	assert_int_equal(choose_x86(CODE(0x0f, 0x1f, 0x44, 0, 0, 0xc3), A0, true, &placement), 0);
	expect(&placement, 0, PLACEMENT_CHEAP, 0);
	assert_int_equal(choose_x86(CODE(0x66, 0x90, 0xc3), A0, true, &placement), 0);
	expect(&placement, 0, PLACEMENT_CHEAP, 0);
}

/* bnd jmp, and a call. */
static void test_other_branches(void **state)
{
	struct placement placement;

	(void)state;
	assert_int_equal(choose_x86(CODE(0xf2, 0xe9, 0, 1, 0, 0), A0, true, &placement), 0);
	expect(&placement, 0, PLACEMENT_CHEAP, 0);
	assert_int_equal(
		choose_x86(CODE(0x48, 0x89, 0xf8, 0xe8, 0, 1, 0, 0, 0xc3), A0, true, &placement),
		0);
	expect(&placement, 3, PLACEMENT_CHEAP, 0);
}

/* glibc 2.36 munmap: mov $11,%eax; syscall: nothing cheap before the system call. */
static void test_system_call(void **state)
{
	struct placement placement;

	(void)state;
	assert_int_equal(choose_x86(CODE(0xb8, 0x0b, 0, 0, 0, 0x0f, 0x05, 0x73, 0x00, 0xc3), A0,
				    true, &placement),
			 0);
	expect(&placement, 0, PLACEMENT_STEP, 0);
	assert_int_equal(choose_x86(CODE(0x0f, 0x05, 0x53, 0xc3), 0, true, &placement), -ENOTSUP);
	assert_int_equal(choose_x86(CODE(0xc3), 0, true, &placement), 0);
	expect(&placement, 0, PLACEMENT_STEP, 0);
}

/* A jump back behind the entry leaves the entry; one to the entry leaves nothing. */
static void test_loops(void **state)
{
	struct placement placement;

	(void)state;
	/* mov %rdi,%rax; 3: test %rax,%rax; je +2; jmp 3 */
	assert_int_equal(
		choose_x86(CODE(0x48, 0x89, 0xf8, 0x48, 0x85, 0xc0, 0x74, 0x02, 0xeb, 0xf9, 0xc3),
			   A0, true, &placement),
		0);
	expect(&placement, 0, PLACEMENT_STEP, 0);
	/* push %rbx; test; jne 0 */
	assert_int_equal(
		choose_x86(CODE(0x53, 0x48, 0x85, 0xc0, 0x75, 0xfa, 0xc3), A0, true, &placement),
		-ENOTSUP);
	/* A recursive call is a call of its own. */
	assert_int_equal(
		choose_x86(CODE(0x53, 0xe8, 0xfa, 0xff, 0xff, 0xff, 0xc3), A0, true, &placement),
		0);
	expect(&placement, 0, PLACEMENT_CHEAP, 0);
}

/* Of unknown size: what jumps to the entry from behind the function's end is not its own. */
static void test_unknown_size(void **state)
{
	const uint8_t bytes[] = { 0x74, 0x01, 0xc3, 0xc3, 0xeb, 0xfa };
	struct code code = { EM_X86_64, bytes, sizeof(bytes), false };
	struct placement placement;

	(void)state;
	assert_int_equal(placement_choose(&code, A0, true, &placement), 0);
	expect(&placement, 0, PLACEMENT_CHEAP, 0);
	code.is_whole = true;
	assert_int_equal(placement_choose(&code, A0, true, &placement), -ENOTSUP);
}

static void test_cut_off(void **state)
{
	struct placement placement;

	(void)state;
	assert_int_equal(choose_x86(CODE(0x48, 0x85), A0, true, &placement), -ENOEXEC);
	assert_int_equal(choose_x86(CODE(0x06, 0x53), A0, true, &placement), -ENOEXEC);
	assert_int_equal(choose_x86(CODE(0x48, 0x85, 0xff, 0x0f), A0, true, &placement), 0);
	expect(&placement, 0, PLACEMENT_STEP, 0);
}

static int first_branch(const uint8_t *bytes, size_t len, bool past_checks, int64_t *ret_target)
{
	const struct code code = { EM_X86_64, bytes, len, true };

	return placement_first_branch(&code, past_checks, ret_target);
}

static void test_first_branch(void **state)
{
	int64_t target = 0;

	(void)state;
	/* libstdc++ new[]: endbr64; jmp */
	assert_int_equal(
		first_branch(CODE(0xf3, 0x0f, 0x1e, 0xfa, 0xe9, 0x10, 0, 0, 0), false, &target), 0);
	assert_int_equal(target, 0x19);
	/* push %rbx; call backwards */
	assert_int_equal(
		first_branch(CODE(0x53, 0xe8, 0xf0, 0xff, 0xff, 0xff, 0xc3), false, &target), 0);
	assert_int_equal(target, -10);
	/* glibc 2.36 reallocarray: mov; mul; mov; jo; jmp realloc */
	assert_int_equal(first_branch(CODE(0x48, 0x89, 0xf0, 0x48, 0xf7, 0xe2, 0x48, 0x89, 0xc6,
					   0x70, 0x05, 0xe9, 0, 1, 0, 0),
				      false, &target),
			 -ENOENT);
	assert_int_equal(first_branch(CODE(0x48, 0x89, 0xf0, 0x48, 0xf7, 0xe2, 0x48, 0x89, 0xc6,
					   0x70, 0x05, 0xe9, 0, 1, 0, 0),
				      true, &target),
			 0);
	assert_int_equal(target, 0x110);
	/* Indirect jump, return. */
	assert_int_equal(first_branch(CODE(0xff, 0xe0), true, &target), -ENOENT);
	assert_int_equal(first_branch(CODE(0xc3), true, &target), -ENOENT);
}

/* The first instruction that can be probed is taken, even if another would be simulated. */
static void test_arm64_first(void **state)
{
	struct placement placement;

	(void)state;
	/* stp x29, x30, [sp, #-16]!; cbz x0 */
	assert_int_equal(choose_words(A0, &placement, 0xa9bf7bfd, 0xb4000060, 0xd65f03c0), 0);
	expect(&placement, 0, PLACEMENT_STEP, 0);
	assert_int_equal(placement.arg_reg[1], LB_REG_ARG1);
	assert_memory_equal(placement.instruction, ((uint8_t[]){ 0xfd, 0x7b, 0xbf, 0xa9 }), 4);
	/* bti c; paciasp; pacibsp; nop */
	assert_int_equal(choose_words(A0, &placement, 0xd503245f, 0xd65f03c0), 0);
	expect(&placement, 0, PLACEMENT_STEP, 0);
	assert_int_equal(choose_words(A0, &placement, 0xd503233f, 0xd65f03c0), 0);
	expect(&placement, 0, PLACEMENT_STEP, 0);
	assert_int_equal(choose_words(A0, &placement, 0xd503237f, 0xd65f03c0), 0);
	expect(&placement, 0, PLACEMENT_STEP, 0);
	assert_int_equal(choose_words(A0, &placement, 0xd503201f, 0xd65f03c0), 0);
	expect(&placement, 0, PLACEMENT_STEP, 0);
	/* b; cbz; tbnz; b.eq; adrp */
	assert_int_equal(choose_words(A0, &placement, 0x14000400), 0);
	expect(&placement, 0, PLACEMENT_CHEAP, 0);
	assert_int_equal(choose_words(A0, &placement, 0xb4000060, 0xd65f03c0), 0);
	expect(&placement, 0, PLACEMENT_CHEAP, 0);
	assert_int_equal(choose_words(A0, &placement, 0x37000060, 0xd65f03c0), 0);
	expect(&placement, 0, PLACEMENT_CHEAP, 0);
	assert_int_equal(choose_words(A0, &placement, 0x54000060, 0xd65f03c0), 0);
	expect(&placement, 0, PLACEMENT_CHEAP, 0);
	assert_int_equal(choose_words(A0, &placement, 0x90000008, 0xd65f03c0), 0);
	expect(&placement, 0, PLACEMENT_CHEAP, 0);
}

/* Refused ones are passed by while the arguments and the link register are whole. */
static void test_arm64_refused(void **state)
{
	struct placement placement;

	(void)state;
	/* mrs x8, tpidr_el0; cbz x0 */
	assert_int_equal(choose_words(A0, &placement, 0xd53bd048, 0xb4000060, 0xd65f03c0), 0);
	expect(&placement, 4, PLACEMENT_CHEAP, 0);
	/* mrs x0, tpidr_el0 */
	assert_int_equal(choose_words(A0, &placement, 0xd53bd040, 0xb4000060, 0xd65f03c0),
			 -ENOTSUP);
	assert_int_equal(choose_words(A1, &placement, 0xd53bd040, 0xb4000060, 0xd65f03c0), 0);
	expect(&placement, 4, PLACEMENT_CHEAP, 0);
	assert_int_equal(placement.arg_reg[0], LB_REG_NONE);
	/* ldr x1, literal; add x2, x2, #1 */
	assert_int_equal(choose_words(A0 | A1, &placement, 0x58000041, 0x91000442, 0xd65f03c0),
			 -ENOTSUP);
	assert_int_equal(choose_words(A0, &placement, 0x58000041, 0x91000442, 0xd65f03c0), 0);
	expect(&placement, 4, PLACEMENT_STEP, 0);
	/* mrs x30: the return address is gone. wfe: refused, harmless. ldxr w2, [x0]: x2. */
	assert_int_equal(choose_words(A0, &placement, 0xd53bd05e, 0xb4000060, 0xd65f03c0),
			 -ENOTSUP);
	assert_int_equal(choose_words(A0, &placement, 0xd503205f, 0xb4000060, 0xd65f03c0), 0);
	expect(&placement, 4, PLACEMENT_CHEAP, 0);
	assert_int_equal(choose_words(A2, &placement, 0x885f7c02, 0xb4000060, 0xd65f03c0),
			 -ENOTSUP);
	/* svc #0; retaa; udf */
	assert_int_equal(choose_words(A0, &placement, 0xd4000001, 0xd65f03c0), -ENOTSUP);
	assert_int_equal(choose_words(A0, &placement, 0xd65f0bff, 0xd65f03c0), -ENOTSUP);
	assert_int_equal(choose_words(A0, &placement, 0x00000000, 0xd65f03c0), -ENOTSUP);
}

/* nop; b.ne 0, and nop; bl 0 (a call of its own). */
static void test_arm64_loop(void **state)
{
	struct placement placement;

	(void)state;
	assert_int_equal(choose_words(A0, &placement, 0xd503201f, 0x54ffffe1, 0xd65f03c0),
			 -ENOTSUP);
	assert_int_equal(choose_words(A0, &placement, 0xd503201f, 0x97ffffff, 0xd65f03c0), 0);
	expect(&placement, 0, PLACEMENT_STEP, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_push_first),
		cmocka_unit_test(test_jump_after_test),
		cmocka_unit_test(test_copy_is_followed),
		cmocka_unit_test(test_hidden_writes),
		cmocka_unit_test(test_narrow_copy_is_none),
		cmocka_unit_test(test_other_arguments),
		cmocka_unit_test(test_stack_delta),
		cmocka_unit_test(test_stack_goes_back),
		cmocka_unit_test(test_realigned_stack),
		cmocka_unit_test(test_endbr64),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_nops),
		cmocka_unit_test(test_other_branches),
		cmocka_unit_test(test_system_call),
		cmocka_unit_test(test_loops),
		cmocka_unit_test(test_unknown_size),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_first_branch),
		cmocka_unit_test(test_arm64_first),
		cmocka_unit_test(test_arm64_refused),
		cmocka_unit_test(test_arm64_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
