/* SPDX-License-Identifier: GPL-2.0-only */
/* Choosing and grouping goroutines. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/goroutines.h"

static const char *const axis_names[AXIS_MAX + 1] = {
	[AXIS_STATE] = "state",           [AXIS_FUNC] = "func",   [AXIS_FILE] = "file",
	[AXIS_CREATED_BY] = "created-by", [AXIS_LABEL] = "label", [AXIS_STACK] = "stack",
};

static int find_axis(const char *text, size_t len, size_t nr_axes, enum goroutine_axis *ret_axis)
{
	for (size_t i = 0; i < nr_axes; i++) {
		if (strlen(axis_names[i]) == len && !strncmp(axis_names[i], text, len)) {
			*ret_axis = (enum goroutine_axis)i;
			return 0;
		}
	}
	return -EINVAL;
}

int axis_parse(const char *text, enum goroutine_axis *ret_axis, struct error *error)
{
	if (!find_axis(text, strlen(text), ARRAY_SIZE(axis_names), ret_axis))
		return 0;
	return error_set(
		error, -EINVAL,
		"'%s' is nothing to group by: give stack, state, func, file, created-by or "
		"label",
		text);
}

int goroutine_filter_parse(const char *text, bool without, struct goroutine_filter *ret_filter,
			   struct error *error)
{
	struct goroutine_filter filter = { .without = without };
	size_t len = strcspn(text, "=");

	if (text[len] != '=' || !text[len + 1] || find_axis(text, len, AXIS_MAX, &filter.axis))
		return error_set(
			error, -EINVAL,
			"'%s' is no filter: give state, func, file, created-by or label, '=' "
			"and a text that has to occur there",
			text);
	filter.text = text + len + 1;
	*ret_filter = filter;
	return 0;
}

/* --- filters --- */

static bool contains(const char *text, const char *wanted)
{
	return text && strstr(text, wanted);
}

static bool place_contains(const struct frame *frame, const char *wanted)
{
	struct buf buf __cleanup_buf = { 0 };

	if (!frame->file)
		return false;
	buf_printf(&buf, "%s:%d", frame->file, frame->line);
	return contains(buf.data, wanted);
}

static bool stack_contains(const struct stack *stack, enum goroutine_axis axis, const char *wanted)
{
	for (size_t i = 0; stack && i < stack->nr_frames; i++) {
		const struct frame *frame = &stack->frames[i];

		if (axis == AXIS_FUNC ? contains(frame->function, wanted)
				      : place_contains(frame, wanted))
			return true;
	}
	return false;
}

static bool filter_matches(const struct goroutine *goroutine, const struct goroutine_filter *filter)
{
	switch (filter->axis) {
	case AXIS_STATE:
		return contains(goroutine->reason, filter->text) ||
		       (goroutine->state == GOROUTINE_LEAKED && contains("leaked", filter->text));
	case AXIS_CREATED_BY:
		return goroutine->creator && contains(goroutine->creator->function, filter->text);
	case AXIS_LABEL:
		return contains(goroutine->labels, filter->text);
	default:
		return stack_contains(goroutine->stack, filter->axis, filter->text);
	}
}

bool goroutine_matches(const struct goroutine *goroutine, const struct goroutine_filter *filters,
		       size_t nr_filters)
{
	for (size_t i = 0; i < nr_filters; i++)
		if (filter_matches(goroutine, &filters[i]) == filters[i].without)
			return false;
	return true;
}

/* --- groups --- */

/* Is the function part of the packages that programs wait in, and not the program's own? */
static bool is_library(const char *function)
{
	static const char *const packages[] = { "runtime.", "runtime/", "internal/", "sync.",
						"syscall.", "time.",    "os.",       "io.",
						"net.",     "net/",     "bufio.",    "context.",
						"iter." };

	for (size_t i = 0; i < ARRAY_SIZE(packages); i++)
		if (!strncmp(function, packages[i], strlen(packages[i])))
			return true;
	return false;
}

/* The innermost frame of the program's own, else the innermost; NULL: no stack. */
static const struct frame *own_frame(const struct stack *stack)
{
	if (!stack || !stack->nr_frames)
		return NULL;
	for (size_t i = 0; i < stack->nr_frames; i++)
		if (stack->frames[i].function && !is_library(stack->frames[i].function))
			return &stack->frames[i];
	return &stack->frames[0];
}

/* What @goroutine is grouped by; "" when it has nothing of the kind. Equal texts are one string,
 * as all that comes from golang/. */
static const char *axis_value(const struct goroutine *goroutine, enum goroutine_axis axis)
{
	const struct frame *frame = own_frame(goroutine->stack);
	const char *value = NULL;

	switch (axis) {
	case AXIS_STATE:
		value = goroutine->reason;
		break;
	case AXIS_FUNC:
		value = frame ? frame->function : NULL;
		break;
	case AXIS_FILE:
		value = frame ? frame->file : NULL;
		break;
	case AXIS_CREATED_BY:
		value = goroutine->creator ? goroutine->creator->function : NULL;
		break;
	case AXIS_LABEL:
		value = goroutine->labels;
		break;
	default:
		break;
	}
	return value ? value : "";
}

static int order(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int order_texts(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static uint64_t creator_address(const struct goroutine *goroutine)
{
	return goroutine->creator ? goroutine->creator->address : 0;
}

/* 0: they belong into one group. */
static int compare_groups(const struct goroutine *a, const struct goroutine *b,
			  enum goroutine_axis axis)
{
	int result;

	if (axis != AXIS_STACK)
		return order_texts(axis_value(a, axis), axis_value(b, axis));
	result = order(a->stack ? a->stack->id : 0, b->stack ? b->stack->id : 0);
	if (!result)
		result = order(creator_address(a), creator_address(b));
	if (!result)
		result = order_texts(a->reason, b->reason);
	return result ? result : order_texts(a->labels, b->labels);
}

/* Within a group the one that waits longest comes first, then the oldest. */
static int compare_members(const void *left, const void *right, void *context)
{
	const struct goroutine *a = *(const struct goroutine *const *)left;
	const struct goroutine *b = *(const struct goroutine *const *)right;
	int result = compare_groups(a, b, *(const enum goroutine_axis *)context);

	if (!result)
		result = order(a->since_ns, b->since_ns);
	return result ? result : order(a->id, b->id);
}

static int compare_sizes(const void *left, const void *right)
{
	const struct goroutine_group *a = left, *b = right;
	int result = order(b->nr_members, a->nr_members);

	return result ? result : order(a->members[0]->id, b->members[0]->id);
}

static int compare_numbers(const void *left, const void *right)
{
	return order(*(const uint64_t *)left, *(const uint64_t *)right);
}

/* What most members wait for. */
static int find_waits_on(struct goroutine_group *group)
{
	uint64_t *addresses = malloc(group->nr_members * sizeof(*addresses));
	size_t run = 0;

	if (!addresses)
		return -ENOMEM;
	for (size_t i = 0; i < group->nr_members; i++)
		addresses[i] = group->members[i]->waits_on;
	qsort(addresses, group->nr_members, sizeof(*addresses), compare_numbers);
	for (size_t i = 0; i < group->nr_members; i++) {
		run = i && addresses[i] == addresses[i - 1] ? run + 1 : 1;
		if (addresses[i] && run > group->nr_waits_on) {
			group->waits_on = addresses[i];
			group->nr_waits_on = run;
		}
	}
	free(addresses);
	return 0;
}

static size_t count_groups(const struct goroutine **members, size_t nr_members,
			   enum goroutine_axis axis)
{
	size_t nr = nr_members > 0;

	for (size_t i = 1; i < nr_members; i++)
		nr += compare_groups(members[i - 1], members[i], axis) != 0;
	return nr;
}

int goroutines_group(const struct goroutine **members, size_t nr_members, enum goroutine_axis axis,
		     struct goroutine_group **ret_groups, size_t *ret_nr_groups)
{
	struct goroutine_group *groups;
	size_t nr_groups, nr = 0;
	int err = 0;

	qsort_r(members, nr_members, sizeof(members[0]), compare_members, &axis);
	nr_groups = count_groups(members, nr_members, axis);
	groups = calloc(nr_groups + 1, sizeof(*groups));
	if (!groups)
		return -ENOMEM;
	for (size_t i = 0; i < nr_members; i++) {
		if (!i || compare_groups(members[i - 1], members[i], axis) != 0) {
			groups[nr].members = &members[i];
			groups[nr].name = axis == AXIS_STACK ? NULL : axis_value(members[i], axis);
			nr++;
		}
		groups[nr - 1].nr_members++;
		groups[nr - 1].nr_leaked += members[i]->state == GOROUTINE_LEAKED;
	}
	for (size_t i = 0; i < nr_groups && !err; i++)
		err = find_waits_on(&groups[i]);
	if (err) {
		free(groups);
		return err;
	}
	qsort(groups, nr_groups, sizeof(*groups), compare_sizes);
	*ret_groups = groups;
	*ret_nr_groups = nr_groups;
	return 0;
}
