/* SPDX-License-Identifier: GPL-2.0-only */
/* From stacks to boxes: sorted from the root on, stacks that share a call path are neighbours. */
#include "report/flame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_SHARE   0.001 /* of the width: about a pixel */
#define ALARMED_SHARE 0.1   /* of that, for boxes on the way to something that grows */

uint64_t flame_weight(const struct flame_stack *stack, bool difference)
{
	return difference ? MAX(stack->before, stack->after) : stack->after;
}

/* --- levels of a stack --- */

static size_t nr_frames(const struct flame_stack *stack)
{
	return stack->stack ? stack->stack->nr_frames : 0;
}

/* The outer frames are missing, which a level of its own says. */
static bool is_cut_off(const struct flame_stack *stack)
{
	return stack->stack &&
	       (stack->stack->flags & (LB_STACK_TRUNCATED | LB_STACK_INCOMPLETE)) != 0;
}

/* Levels below the root: the process, what is missing, the frames. */
static unsigned int nr_levels(const struct flame_stack *stack)
{
	size_t frames = nr_frames(stack);

	return (unsigned int)(frames == 0 ? 2 : 1 + is_cut_off(stack) + frames);
}

/* Level 1 is the process; @level is at most nr_levels(). */
static struct flame_level level_of(const struct flame_stack *stack, unsigned int level)
{
	size_t frames = nr_frames(stack);

	if (level == 0)
		return (struct flame_level){ .label = "all" };
	if (level == 1)
		return (struct flame_level){ .label = stack->process };
	if (frames == 0)
		return (struct flame_level){ .label = "(stack unknown)" };
	if (level == 2 && is_cut_off(stack))
		return (struct flame_level){ .label = "(outer frames unknown)" };
	return (struct flame_level){ .frame = &stack->stack->frames[nr_levels(stack) - level] };
}

/* --- order --- */

static int compare_names(const char *a, const char *b)
{
	if (a == b)
		return 0;
	return a && b ? strcmp(a, b) : (a != NULL) - (b != NULL);
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* By what people see: the function in its file, else the place in the module. Not by line. */
static int compare_frames(const struct frame *a, const struct frame *b)
{
	int order = compare_names(a->function, b->function);

	if (order == 0)
		order = compare_names(a->module, b->module);
	if (order || (a->function && a->function[0]))
		return order ? order : compare_names(a->file, b->file);
	return a->module ? compare_numbers(a->offset, b->offset)
			 : compare_numbers(a->address, b->address);
}

static int compare_levels(const struct flame_stack *a, const struct flame_stack *b,
			  unsigned int level)
{
	struct flame_level left = level_of(a, level), right = level_of(b, level);

	if (left.frame && right.frame)
		return compare_frames(left.frame, right.frame);
	if (left.frame || right.frame)
		return left.frame ? 1 : -1;
	return compare_names(left.label, right.label);
}

static int compare_stacks(const void *a, const void *b)
{
	const struct flame_stack *left = *(const struct flame_stack *const *)a;
	const struct flame_stack *right = *(const struct flame_stack *const *)b;
	unsigned int nr_left = nr_levels(left), nr_right = nr_levels(right), level;

	for (level = 1; level <= MIN(nr_left, nr_right); level++) {
		int order = compare_levels(left, right, level);

		if (order)
			return order;
	}
	if (nr_left != nr_right)
		return nr_left < nr_right ? -1 : 1;
	return compare_numbers((uintptr_t)left, (uintptr_t)right);
}

/* --- layout --- */

/* The weight that a stack is laid out with; all of them together do not overflow. */
static uint64_t bounded(const struct flame *flame, uint64_t weight)
{
	return MIN(weight, UINT64_MAX / flame->nr_stacks);
}

static void box_add(const struct flame *flame, struct flame_box *box,
		    const struct flame_stack *stack)
{
	const struct frame *frame = level_of(stack, box->depth).frame;
	uint64_t weight = bounded(flame, flame_weight(stack, flame->difference));

	if (stack->verdict > box->verdict) {
		box->verdict = stack->verdict;
		box->alarming = 0;
	}
	if (stack->verdict == box->verdict)
		box->alarming += weight;
	box->weight += weight;
	box->before += bounded(flame, stack->before);
	box->after += bounded(flame, stack->after);
	box->count += bounded(flame, stack->count);
	box->kinds |= 1U << stack->kind;
	if (!frame || !frame->file || frame->line <= 0)
		return;
	if (box->first_line == 0 || frame->line < box->first_line)
		box->first_line = frame->line;
	box->last_line = MAX(box->last_line, frame->line);
}

/* The box at @depth of the stacks from @first to before @end, which share the path to there. */
static struct flame_box box_of(const struct flame *flame, size_t first, size_t end,
			       unsigned int depth)
{
	struct flame_box box = { .level = level_of(flame->stacks[first], depth), .depth = depth };
	size_t i;

	for (i = first; i < end; i++)
		box_add(flame, &box, flame->stacks[i]);
	return box;
}

static bool is_too_narrow(const struct flame *flame, const struct flame_box *box)
{
	bool alarmed =
		flame->difference ? box->before != box->after : box->verdict != VERDICT_STABLE;
	double least = flame->least_share * (alarmed ? ALARMED_SHARE : 1);

	return (double)box->weight < least * (double)flame->total;
}

/* Where the stacks from @first on stop to share their frame at @depth. */
static size_t end_of_group(const struct flame *flame, size_t first, size_t end, unsigned int depth)
{
	size_t i = first + 1;

	while (i < end && compare_levels(flame->stacks[first], flame->stacks[i], depth) == 0)
		i++;
	return i;
}

/* Adds the box at @depth of the stacks and all that it calls; moves *@start to its right edge. The
 * depth of the recursion is that of a stack. -E2BIG: too many boxes. */
static int lay_out(struct flame *flame, size_t first, size_t end, unsigned int depth,
		   uint64_t *start)
{
	struct flame_box box = box_of(flame, first, end, depth);
	uint64_t from = *start;
	size_t next;

	*start += box.weight;
	if (depth > 0 && is_too_narrow(flame, &box)) {
		flame->nr_cut += end - first;
		flame->cut_weight += box.weight;
		return 0;
	}
	if (flame->nr_boxes == FLAME_MAX_BOXES)
		return -E2BIG;
	box.start = from;
	flame->boxes[flame->nr_boxes++] = box;
	flame->nr_levels = MAX(flame->nr_levels, depth + 1);
	while (first < end && nr_levels(flame->stacks[first]) == depth)
		first++;
	for (; first < end; first = next) {
		next = end_of_group(flame, first, end, depth + 1);
		if (lay_out(flame, first, next, depth + 1, &from))
			return -E2BIG;
	}
	return 0;
}

/* Draws less and less until it fits. */
static void lay_out_all(struct flame *flame)
{
	int code = -E2BIG;
	size_t i;

	for (i = 0; i < flame->nr_stacks; i++)
		flame->total += bounded(flame, flame_weight(flame->stacks[i], flame->difference));
	for (flame->least_share = LEAST_SHARE; code; flame->least_share *= 2) {
		uint64_t start = 0;

		flame->nr_boxes = flame->nr_levels = 0;
		flame->nr_cut = flame->cut_weight = 0;
		code = lay_out(flame, 0, flame->nr_stacks, 0, &start);
	}
	flame->least_share /= 2;
}

int flame_build(const struct flame_input *input, bool counted, struct flame *ret_flame)
{
	struct flame flame __cleanup_of(flame) = { .difference = input->difference };
	size_t i;

	flame.stacks = calloc(input->nr_stacks + 1, sizeof(*flame.stacks));
	flame.boxes = calloc(FLAME_MAX_BOXES, sizeof(*flame.boxes));
	if (!flame.stacks || !flame.boxes)
		return -ENOMEM;
	for (i = 0; i < input->nr_stacks; i++) {
		const struct flame_stack *stack = &input->stacks[i];

		if (stack->counted == counted && flame_weight(stack, flame.difference) > 0)
			flame.stacks[flame.nr_stacks++] = stack;
	}
	qsort(flame.stacks, flame.nr_stacks, sizeof(*flame.stacks), compare_stacks);
	if (flame.nr_stacks > 0)
		lay_out_all(&flame);
	*ret_flame = flame;
	flame = (struct flame){ 0 };
	return 0;
}

void flame_done(struct flame *flame)
{
	free(flame->boxes);
	free(flame->stacks);
	*flame = (struct flame){ 0 };
}
