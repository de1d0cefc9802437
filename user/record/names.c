/* SPDX-License-Identifier: GPL-2.0-only */
/* Strings, modules and stacks that a recording has told so far. */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "record/format.h"

/* A mapping that frames refer to. */
struct module {
	const char *path;
	bool has_mapping;
	struct code_mapping mapping;
};

/* The stack of one site; found by process and id. */
struct known_stack {
	uint32_t tgid;
	struct stack stack;
};

struct names {
	struct strings *pool;
	const char **strings; /* owned */
	size_t nr_strings, strings_capacity, strings_bytes;
	struct module **modules; /* owned, with what they point to */
	size_t nr_modules, modules_capacity;
	void *stacks; /* a tree of struct known_stack: tsearch(3) */
	size_t nr_stacks, nr_frames;
};

static void known_stack_free(void *value)
{
	struct known_stack *known = value;

	if (known)
		free(known->stack.frames);
	free(known);
}

DEFINE_CLEANUP(known_stack, struct known_stack *, known_stack_free(*value))
DEFINE_CLEANUP(string, char *, free(*value))

static int known_stack_compare(const void *left, const void *right)
{
	const struct known_stack *a = left, *b = right;

	if (a->tgid != b->tgid)
		return a->tgid < b->tgid ? -1 : 1;
	return (a->stack.id > b->stack.id) - (a->stack.id < b->stack.id);
}

struct names *names_new(void)
{
	struct names *names = calloc(1, sizeof(*names));

	if (!names)
		return NULL;
	names->pool = strings_new();
	return names->pool ? names : names_free(names);
}

struct names *names_free(struct names *names)
{
	if (!names)
		return NULL;
	tdestroy(names->stacks, known_stack_free);
	strings_free(names->pool);
	free(names->strings);
	while (names->nr_modules > 0)
		free(names->modules[--names->nr_modules]);
	free(names->modules);
	free(names);
	return NULL;
}

uint64_t names_nr_strings(const struct names *names)
{
	return names->nr_strings;
}

const char *names_numbered(const struct names *names, uint64_t number)
{
	return number && number <= names->nr_strings ? names->strings[number - 1] : NULL;
}

static const char *names_string(const struct names *names, struct cursor *cursor)
{
	return names_numbered(names, get_bounded(cursor, names->nr_strings));
}

static int add_string(struct names *names, const char *string)
{
	const char *kept = strings_intern(names->pool, string);

	if (!kept || vec_reserve((void **)&names->strings, &names->strings_capacity,
				 names->nr_strings + 1, sizeof(*names->strings)))
		return -ENOMEM;
	names->strings[names->nr_strings++] = kept;
	names->strings_bytes += strlen(kept);
	return 0;
}

static int read_strings(struct names *names, struct cursor *cursor)
{
	uint64_t nr = get_bounded(cursor, MAX_STRINGS - names->nr_strings);

	for (uint64_t i = 0; i < nr; i++) {
		char *string __cleanup_of(string) = NULL;
		int error = get_string(cursor, &string);

		if (!error)
			error = add_string(names, string);
		if (error)
			return error;
		if (names->strings_bytes > MAX_STRINGS_SUM)
			return -EBADMSG;
	}
	return 0;
}

static int read_module(struct names *names, struct cursor *cursor)
{
	struct module *module;

	if (vec_reserve((void **)&names->modules, &names->modules_capacity, names->nr_modules + 1,
			sizeof(*names->modules)))
		return -ENOMEM;
	module = calloc(1, sizeof(*module));
	if (!module)
		return -ENOMEM;
	names->modules[names->nr_modules++] = module;
	module->path = names_string(names, cursor);
	module->has_mapping = get_bounded(cursor, 1);
	if (!module->has_mapping)
		return 0;
	module->mapping.build_id = names_string(names, cursor);
	module->mapping.start = get_number(cursor);
	module->mapping.end = get_changed(cursor, module->mapping.start);
	module->mapping.file_offset = get_number(cursor);
	return 0;
}

static int read_modules(struct names *names, struct cursor *cursor)
{
	uint64_t nr = get_bounded(cursor, MAX_MODULES - names->nr_modules);
	int error = 0;

	for (uint64_t i = 0; i < nr && !cursor->fault && !error; i++)
		error = read_module(names, cursor);
	return error;
}

/* Reads a frame; @before: the one before it, whose numbers are near. */
static void read_frame(struct names *names, struct cursor *cursor, const struct frame *before,
		       struct frame *frame)
{
	uint64_t module, line;

	frame->function = names_string(names, cursor);
	frame->file = names_string(names, cursor);
	module = get_bounded(cursor, names->nr_modules);
	if (module) {
		const struct module *known = names->modules[module - 1];

		frame->module = known->path;
		frame->mapping = known->has_mapping ? &known->mapping : NULL;
	}
	frame->address = get_changed(cursor, before->address);
	frame->offset = frame->address + get_changed(cursor, before->offset - before->address);
	line = get_bounded(cursor, FRAME_LINE(INT32_MAX, true));
	frame->line = (int)(line >> 1);
	frame->inlined = line & 1;
}

static int read_frames(struct names *names, struct cursor *cursor, struct stack *stack)
{
	static const struct frame none;
	const struct frame *before = &none;
	size_t nr = get_bounded(cursor, MIN(MAX_STACK_FRAMES, MAX_FRAMES - names->nr_frames));

	stack->frames = calloc(nr ? nr : 1, sizeof(*stack->frames));
	if (!stack->frames)
		return -ENOMEM;
	for (stack->nr_frames = 0; stack->nr_frames < nr && !cursor->fault; stack->nr_frames++) {
		read_frame(names, cursor, before, &stack->frames[stack->nr_frames]);
		before = &stack->frames[stack->nr_frames];
	}
	return cursor->fault ? -EBADMSG : 0;
}

/* Puts @stack where the one of the same process and id is, or adds it. */
static int keep_stack(struct names *names, struct known_stack **stack)
{
	struct known_stack **found = tsearch(*stack, &names->stacks, known_stack_compare);
	struct known_stack *old;

	if (!found)
		return -ENOMEM;
	names->nr_frames += (*stack)->stack.nr_frames;
	names->nr_stacks++;
	old = *found;
	*found = take(*stack);
	if (old != *found) {
		names->nr_frames -= old->stack.nr_frames;
		names->nr_stacks--;
		known_stack_free(old);
	}
	return 0;
}

static int read_stack(struct names *names, struct cursor *cursor)
{
	struct known_stack *stack __cleanup_of(known_stack) = calloc(1, sizeof(*stack));
	int error;

	if (!stack)
		return -ENOMEM;
	stack->tgid = (uint32_t)get_bounded(cursor, UINT32_MAX);
	stack->stack.id = get_number(cursor);
	stack->stack.flags = (uint32_t)get_bounded(cursor, UINT32_MAX);
	error = read_frames(names, cursor, &stack->stack);
	return error ? error : keep_stack(names, &stack);
}

int names_read(struct names *names, struct cursor *cursor)
{
	int error = read_strings(names, cursor);
	uint64_t nr;

	if (!error)
		error = read_modules(names, cursor);
	if (error)
		return error;
	nr = get_bounded(cursor, MAX_STACKS - names->nr_stacks);
	for (uint64_t i = 0; i < nr && !error; i++)
		error = read_stack(names, cursor);
	return error ? error : cursor_end(cursor);
}

const struct stack *names_stack(const struct names *names, uint32_t tgid, uint64_t id)
{
	const struct known_stack wanted = { .tgid = tgid, .stack = { .id = id } };
	struct known_stack *const *found = tfind(&wanted, &names->stacks, known_stack_compare);

	return found ? &(*found)->stack : NULL;
}
