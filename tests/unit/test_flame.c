/* SPDX-License-Identifier: GPL-2.0-only */
/* Flame graphs: how stacks merge and are laid out, and what is too narrow to draw. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "flame_fixture.h"
#include "report/flame.h"

/* Copies the first box of the function, if there is one. */
static bool find_box(const struct flame *flame, const char *function, struct flame_box *ret_box)
{
	size_t i;

	for (i = 0; i < flame->nr_boxes; i++) {
		const struct frame *frame = flame->boxes[i].level.frame;

		if (frame && frame->function && strcmp(frame->function, function) == 0) {
			*ret_box = flame->boxes[i];
			return true;
		}
	}
	return false;
}

static struct flame_box box_of(const struct flame *flame, const char *function)
{
	struct flame_box box = { 0 };

	assert_true(find_box(flame, function, &box));
	return box;
}

/* Every box lies within the one it is called from, and no two of one row overlap. */
static void assert_nested(const struct flame *flame)
{
	uint64_t ends[300] = { 0 };
	size_t i;

	for (i = 0; i < flame->nr_boxes; i++) {
		const struct flame_box *box = &flame->boxes[i];
		uint64_t end = box->start + box->weight;

		assert_true(box->depth < ARRAY_SIZE(ends));
		assert_true(box->start >= ends[box->depth]);
		if (box->depth > 0) {
			assert_true(end <= ends[box->depth - 1]);
			assert_true(box->depth <= box[-1].depth + 1);
		}
		ends[box->depth] = end;
	}
	assert_int_equal(ends[0], flame->total);
}

static void stacks_merge_from_the_root(void **state)
{
	const struct flame_stack stacks[] = {
		bytes_at(&stack_b, 300, VERDICT_STABLE),
		bytes_at(&stack_c, 600, VERDICT_STABLE),
		bytes_at(&stack_a, 100, VERDICT_LEAKING),
	};
	struct flame_input input = input_of(stacks, ARRAY_SIZE(stacks));
	struct flame_box leak;
	struct flame flame;

	(void)state;
	assert_int_equal(flame_build(&input, false, &flame), 0);
	assert_nested(&flame);
	assert_int_equal(flame.total, 1000);
	/* all, process, main, cache, work, leak */
	assert_int_equal(flame.nr_boxes, 6);
	assert_int_equal(flame.nr_levels, 5);
	assert_string_equal(flame.boxes[0].level.label, "all");
	assert_string_equal(flame.boxes[1].level.label, "app (PID 7)");
	assert_int_equal(box_of(&flame, "main").weight, 1000);
	assert_int_equal(box_of(&flame, "cache").start, 0);
	leak = box_of(&flame, "leak");
	assert_int_equal(leak.start, 600);
	assert_int_equal(leak.weight, 400);
	assert_int_equal(leak.depth, 4);
	assert_int_equal(leak.first_line, 17);
	assert_int_equal(leak.last_line, 21);
	assert_int_equal(leak.verdict, VERDICT_LEAKING);
	assert_int_equal(leak.alarming, 100);
	assert_int_equal(flame.boxes[0].verdict, VERDICT_LEAKING);
	assert_int_equal(box_of(&flame, "cache").verdict, VERDICT_STABLE);
	assert_int_equal(flame.nr_cut, 0);
	flame_done(&flame);
}

static void what_is_not_known_has_a_box(void **state)
{
	const struct flame_stack stacks[] = {
		bytes_at(NULL, 10, VERDICT_STABLE),
		bytes_at(&stack_d, 10, VERDICT_STABLE),
	};
	struct flame_input input = input_of(stacks, ARRAY_SIZE(stacks));
	struct flame flame;

	(void)state;
	assert_int_equal(flame_build(&input, false, &flame), 0);
	assert_int_equal(flame.nr_boxes, 6);
	assert_string_equal(flame.boxes[2].level.label, "(outer frames unknown)");
	assert_int_equal(flame.boxes[3].level.frame->offset, 0x99);
	assert_int_equal(flame.boxes[4].level.frame->offset, 0x1234);
	assert_string_equal(flame.boxes[5].level.label, "(stack unknown)");
	flame_done(&flame);
}

static void bytes_and_objects_are_not_mixed(void **state)
{
	struct flame_stack stacks[] = {
		bytes_at(&stack_a, 10, VERDICT_STABLE),
		bytes_at(&stack_b, 20, VERDICT_STABLE),
		bytes_at(&stack_c, 0, VERDICT_STABLE),
	};
	struct flame_input input = input_of(stacks, ARRAY_SIZE(stacks));
	struct flame flame;

	(void)state;
	stacks[1].counted = true;
	assert_int_equal(flame_build(&input, false, &flame), 0);
	assert_int_equal(flame.total, 10);
	assert_int_equal(flame.nr_stacks, 1);
	flame_done(&flame);
	assert_int_equal(flame_build(&input, true, &flame), 0);
	assert_int_equal(flame.total, 20);
	flame_done(&flame);
	input.nr_stacks = 0;
	assert_int_equal(flame_build(&input, true, &flame), 0);
	assert_int_equal(flame.nr_boxes, 0);
	flame_done(&flame);
}

static void a_difference_is_as_wide_as_the_larger(void **state)
{
	struct flame_stack stacks[] = {
		bytes_at(&stack_a, 10, VERDICT_STABLE),
		bytes_at(&stack_c, 0, VERDICT_STABLE),
	};
	struct flame_input input = input_of(stacks, ARRAY_SIZE(stacks));
	struct flame flame;

	(void)state;
	input.difference = true;
	stacks[0].before = 30;
	stacks[1].before = 70;
	assert_int_equal(flame_build(&input, false, &flame), 0);
	assert_nested(&flame);
	assert_int_equal(flame.total, 100);
	assert_int_equal(flame.boxes[0].before, 100);
	assert_int_equal(flame.boxes[0].after, 10);
	assert_int_equal(box_of(&flame, "cache").weight, 70);
	flame_done(&flame);
}

static void narrow_boxes_are_cut_and_counted(void **state)
{
	struct flame_stack stacks[] = {
		bytes_at(&stack_a, 1000000, VERDICT_STABLE),
		bytes_at(&stack_c, 900, VERDICT_STABLE),
	};
	struct flame_input input = input_of(stacks, ARRAY_SIZE(stacks));
	struct flame_box box;
	struct flame flame;

	(void)state;
	assert_int_equal(flame_build(&input, false, &flame), 0);
	assert_false(find_box(&flame, "cache", &box));
	assert_int_equal(flame.nr_cut, 1);
	assert_int_equal(flame.cut_weight, 900);
	flame_done(&flame);
	stacks[1].verdict = VERDICT_LEAKING;
	assert_int_equal(flame_build(&input, false, &flame), 0);
	assert_true(find_box(&flame, "cache", &box));
	assert_int_equal(flame.nr_cut, 0);
	flame_done(&flame);
}

/* Weights that a sum of overflows do not. */
static void weights_do_not_overflow(void **state)
{
	const struct flame_stack stacks[] = {
		bytes_at(&stack_a, UINT64_MAX, VERDICT_STABLE),
		bytes_at(&stack_b, UINT64_MAX, VERDICT_STABLE),
		bytes_at(&stack_c, UINT64_MAX - 1, VERDICT_LEAKING),
	};
	struct flame_input input = input_of(stacks, ARRAY_SIZE(stacks));
	struct flame flame;

	(void)state;
	assert_int_equal(flame_build(&input, false, &flame), 0);
	assert_nested(&flame);
	assert_int_equal(flame.total, UINT64_MAX);
	assert_int_equal(box_of(&flame, "cache").weight, UINT64_MAX / 3);
	flame_done(&flame);
}

/* --- many and deep --- */

#define NR_MANY 10000

/* As many sites as there may be, as deep as stacks may be; the paths fork every twelve levels. */
struct many {
	struct frame frames[NR_MANY][LB_MAX_FRAMES];
	struct stack stacks[NR_MANY];
	struct flame_stack inputs[NR_MANY];
	char names[64][16];
};

static struct many *many_new(enum verdict verdict)
{
	struct many *many = calloc(1, sizeof(*many));
	size_t i, j;

	assert_non_null(many);
	for (i = 0; i < ARRAY_SIZE(many->names); i++)
		snprintf(many->names[i], sizeof(many->names[i]), "function_%zu", i);
	for (i = 0; i < NR_MANY; i++) {
		for (j = 0; j < LB_MAX_FRAMES; j++) {
			many->frames[i][j].function = many->names[(i >> j / 12) % 64];
			many->frames[i][j].line = (int)j;
		}
		many->stacks[i].frames = many->frames[i];
		many->stacks[i].nr_frames = LB_MAX_FRAMES - i % 3;
		many->inputs[i] = bytes_at(&many->stacks[i], 100 + i % 50, verdict);
	}
	return many;
}

static void many_deep_stacks_stay_usable(void **state)
{
	enum verdict verdict;

	(void)state;
	for (verdict = VERDICT_STABLE; verdict <= VERDICT_LEAKING; verdict += VERDICT_LEAKING) {
		struct many *many = many_new(verdict);
		struct flame_input input = input_of(many->inputs, NR_MANY);
		char *text = NULL;
		size_t len = 0;
		FILE *out = open_memstream(&text, &len);
		struct flame flame;

		assert_int_equal(flame_build(&input, false, &flame), 0);
		assert_nested(&flame);
		assert_true(flame.nr_boxes <= FLAME_MAX_BOXES);
		assert_true(flame.nr_boxes > 100);
		assert_true(flame.nr_cut > 0);
		assert_int_equal(flame_write(out, &input), 0);
		assert_int_equal(fclose(out), 0);
		assert_true(len < 10 << 20);
		assert_non_null(strstr(text, "not drawn to the end"));
		flame_done(&flame);
		free(text);
		free(many);
	}
}

static void the_order_of_the_input_does_not_matter(void **state)
{
	const struct flame_stack one[] = {
		bytes_at(&stack_a, 100, VERDICT_LEAKING), bytes_at(&stack_b, 300, VERDICT_STABLE),
		bytes_at(&stack_c, 600, VERDICT_STABLE),  bytes_at(&stack_d, 50, VERDICT_SUSPECT),
		bytes_at(NULL, 10, VERDICT_STABLE),
	};
	struct flame_stack other[ARRAY_SIZE(one)];
	struct flame_input input = input_of(one, ARRAY_SIZE(one));
	char *texts[2] = { NULL };
	size_t i, len;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(one); i++)
		other[i] = one[(i * 3 + 2) % ARRAY_SIZE(one)];
	for (i = 0; i < 2; i++) {
		FILE *out = open_memstream(&texts[i], &len);

		input.stacks = i == 0 ? one : other;
		assert_int_equal(flame_write(out, &input), 0);
		assert_int_equal(fclose(out), 0);
	}
	assert_string_equal(texts[0], texts[1]);
	free(texts[0]);
	free(texts[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stacks_merge_from_the_root),
		cmocka_unit_test(what_is_not_known_has_a_box),
		cmocka_unit_test(bytes_and_objects_are_not_mixed),
		cmocka_unit_test(a_difference_is_as_wide_as_the_larger),
		cmocka_unit_test(narrow_boxes_are_cut_and_counted),
		cmocka_unit_test(weights_do_not_overflow),
		cmocka_unit_test(many_deep_stacks_stay_usable),
		cmocka_unit_test(the_order_of_the_input_does_not_matter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
