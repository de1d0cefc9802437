/* SPDX-License-Identifier: GPL-2.0-only */
#include "golang/gosym.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS    256 /* a power of two */
#define MAX_INLINED      64  /* calls inlined into one another */
#define MAX_STACK_FRAMES 512
#define MAX_NAME_BYTES   4096
#define MAX_STACKS       262144

struct known_stack {
	struct known_stack *next;
	struct stack stack; /* its frames stand behind */
};

static const char *const waiters[GOSYM_NR_WAITERS] = {
	"runtime.semacquire1", "sync.runtime_notifyListWait", "sync.(*Mutex).lockSlow",
	"internal/sync.(*Mutex).lockSlow", /* Go 1.24 and later */
};

/* 0: no function of this name. */
static uint64_t entry_of(const struct gosym *symbols, const char *name)
{
	struct go_function function;

	return pclntab_function_named(&symbols->table, name, &function) ? 0 : function.entry;
}

/* Of functions that the compiler makes, by the id of one that each release numbers two before it
 * (Go 1.18 to 1.27 internal/abi/symtab.go, FuncID). */
static uint8_t find_wrapper_id(const struct gosym *symbols)
{
	struct go_function function;

	if (pclntab_function_named(&symbols->table, "runtime.systemstack", &function) ||
	    !function.id)
		return 0;
	return (uint8_t)(function.id + 2);
}

int gosym_find_marks(struct gosym *symbols)
{
	symbols->goexit = entry_of(symbols, "runtime.goexit");
	symbols->async_preempt = entry_of(symbols, "runtime.asyncPreempt");
	symbols->sigpanic = entry_of(symbols, "runtime.sigpanic");
	symbols->wrapper_id = find_wrapper_id(symbols);
	for (size_t i = 0; i < GOSYM_NR_WAITERS; i++)
		symbols->waiters[i] = entry_of(symbols, waiters[i]);
	return symbols->goexit ? 0 : -ENOENT;
}

bool gosym_is_return(const struct gosym *symbols, const struct go_function *function, uint64_t pc,
		     const struct go_function *inner)
{
	if (pc == function->entry)
		return false;
	return !inner ||
	       (inner->entry != symbols->async_preempt && inner->entry != symbols->sigpanic);
}

/* --- names --- */

/* The bracket that ends the list of type arguments that begins at @open; NULL: none does. */
static const char *end_of_list(const char *open)
{
	unsigned int depth = 0;

	for (const char *at = open; *at; at++) {
		depth += *at == '[';
		depth -= *at == ']';
		if (!depth)
			return at;
	}
	return NULL;
}

/* Where the second list begins that is printed apart: a generic type may have generic methods since
 * Go 1.27. NULL: all from the first bracket to the last one, @close, is printed as one list. */
static const char *second_list(const struct gosym *symbols, const char *open, const char *close)
{
	const char *end = symbols->has_one_list ? NULL : end_of_list(open);
	const char *second = end ? strchr(end, '[') : NULL;

	return second && second < close ? second : NULL;
}

/* The name as Go prints it: type arguments are left out (Go 1.23 and 1.27 runtime/traceback.go,
 * funcNamePiecesForPrint()), and a panic is called that. */
static const char *printed_name(struct gosym *symbols, const char *name)
{
	const char *open = strchr(name, '['), *close = strrchr(name, ']'), *second, *end;
	char text[MAX_NAME_BYTES];

	if (!strcmp(name, "runtime.gopanic"))
		return strings_intern(symbols->strings, "panic");
	if (!open || !close || close < open)
		return strings_intern(symbols->strings, name);
	second = second_list(symbols, open, close);
	end = second ? end_of_list(open) : close;
	snprintf(text, sizeof(text), "%.*s[...]%.*s%s%s", (int)MIN(open - name, MAX_NAME_BYTES),
		 name, second ? (int)MIN(second - end - 1, MAX_NAME_BYTES) : 0, end + 1,
		 second ? "[...]" : "", close + 1);
	return strings_intern(symbols->strings, text);
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* Go 1.23 runtime/traceback.go, isExportedRuntime(); @name without "runtime." */
static bool is_exported(const char *name)
{
	const char *dot = strrchr(name, '.');

	if (!dot)
		return is_upper(name[0]);
	if (!strncmp(name, "(*", 2) && dot > name + 2 && dot[-1] == ')')
		name += 2;
	return is_upper(dot[1]) && is_upper(name[0]);
}

/* Go 1.27 runtime/traceback.go, showfuncinfo(): inner workings of the runtime are not shown, but
 * those that run finalizers and cleanups are; before Go 1.25 none had these names. */
static bool is_shown(const char *name, bool first)
{
	if (!strcmp(name, "runtime.runFinalizers") || !strcmp(name, "runtime.runCleanups"))
		return true;
	if (!first && !strcmp(name, "runtime.gopanic"))
		return true;
	if (!strncmp(name, "runtime.", 8))
		return is_exported(name + 8);
	return strchr(name, '.');
}

/* Go 1.23 runtime/traceback.go, elideWrapperCalling() */
static bool is_elided(const struct gosym *symbols, uint8_t id, const char *inner)
{
	return id && id == symbols->wrapper_id &&
	       (!inner ||
		(strcmp(inner, "runtime.gopanic") != 0 && strcmp(inner, "runtime.sigpanic") != 0 &&
		 strcmp(inner, "runtime.panicwrap") != 0));
}

/* --- frames of one program counter --- */

struct frame_list {
	struct frame *frames;
	size_t nr, max;
};

static void add_frame(struct gosym *symbols, struct frame_list *list, const char *name,
		      const struct go_function *function, uint64_t pc, uint64_t look_up)
{
	struct frame frame = {
		.module = symbols->module,
		.address = pc,
		.offset = pc - symbols->bias,
		.function = name,
	};
	const char *file;

	if (list->nr == list->max)
		return;
	if (function && !pclntab_line(&symbols->table, function, look_up, &file, &frame.line))
		frame.file = strings_intern(symbols->strings, file);
	list->frames[list->nr++] = frame;
}

/* The call that was inlined at @look_up. */
static int inlined_at(struct gosym *symbols, const struct go_function *function, uint64_t look_up,
		      struct inline_call *ret_call)
{
	size_t size = pclntab_inline_bytes(&symbols->table);
	uint8_t entry[PCLNTAB_MAX_INLINE_BYTES];
	uint32_t tree, index;

	if (!symbols->inline_trees || pclntab_inline_tree(&symbols->table, function, &tree) ||
	    pclntab_inline_index(&symbols->table, function, look_up, &index) ||
	    memory_read(symbols->memory, symbols->inline_trees + tree + (uint64_t)index * size,
			entry, size))
		return -ENOENT;
	return pclntab_inline_call(&symbols->table, entry, ret_call);
}

/* The frames at @pc, innermost first: inlined calls and the function itself, without wrappers.
 * @look_up: where the line is, pc or just before it. @inner: the callee's name, NULL: none. */
static size_t frames_at(struct gosym *symbols, uint64_t pc, uint64_t look_up, const char *inner,
			struct frame *frames, size_t max)
{
	struct frame_list list = { .frames = frames, .max = max };
	struct go_function function;
	struct inline_call call;

	if (pclntab_function_at(&symbols->table, pc, &function)) {
		add_frame(symbols, &list, NULL, NULL, pc, pc);
		return list.nr;
	}
	for (int i = 0; i < MAX_INLINED && !inlined_at(symbols, &function, look_up, &call); i++) {
		if (!is_elided(symbols, call.id, inner)) {
			add_frame(symbols, &list, call.name, &function, pc, look_up);
			frames[list.nr - 1].inlined = true;
		}
		inner = call.name;
		look_up = function.entry + call.parent_offset;
	}
	if (!is_elided(symbols, function.id, inner))
		add_frame(symbols, &list, function.name, &function, pc, look_up);
	return list.nr;
}

/* --- stacks --- */

static size_t all_frames(struct gosym *symbols, const uint64_t *pcs, size_t nr_pcs,
			 struct frame *frames, size_t max)
{
	struct go_function inner, function;
	bool has_inner = false;
	size_t nr = 0;

	for (size_t i = 0; i < nr_pcs && nr < max; i++) {
		bool found = !pclntab_function_at(&symbols->table, pcs[i], &function);
		bool is_return = found && gosym_is_return(symbols, &function, pcs[i],
							  has_inner ? &inner : NULL);

		if (found && function.entry == symbols->goexit)
			break;
		nr += frames_at(symbols, pcs[i], pcs[i] - is_return, has_inner ? inner.name : NULL,
				frames + nr, max - nr);
		has_inner = found;
		inner = function;
	}
	return nr;
}

/* Drops what Go does not show, unless nothing would be left, and makes names fit to print. */
static size_t shown_frames(struct gosym *symbols, struct frame *frames, size_t nr_frames)
{
	bool show_all = true;
	size_t nr = 0;

	for (size_t i = 0; i < nr_frames && show_all; i++)
		show_all = frames[i].function && !is_shown(frames[i].function, i == 0);
	for (size_t i = 0; i < nr_frames; i++) {
		struct frame frame = frames[i];

		if (frame.function && !show_all && !is_shown(frame.function, nr == 0))
			continue;
		if (frame.function)
			frame.function = printed_name(symbols, frame.function);
		frames[nr++] = frame;
	}
	return nr;
}

/* FNV-1a over words. */
static uint64_t hash_pcs(const uint64_t *pcs, size_t nr_pcs, uint32_t flags)
{
	uint64_t hash = 0xcbf29ce484222325ULL ^ flags;

	for (size_t i = 0; i < nr_pcs; i++) {
		hash = (hash ^ pcs[i]) * 0x100000001b3ULL;
		hash ^= hash >> 32;
	}
	return hash;
}

static void insert(struct known_stack **buckets, size_t nr_buckets, struct known_stack *known)
{
	struct known_stack **bucket = &buckets[known->stack.id & (nr_buckets - 1)];

	known->next = *bucket;
	*bucket = known;
}

static int grow_buckets(struct gosym *symbols)
{
	size_t nr = MAX(symbols->nr_buckets * 2, (size_t)FIRST_BUCKETS);
	struct known_stack **buckets = calloc(nr, sizeof(*buckets));

	if (!buckets)
		return -ENOMEM;
	for (size_t i = 0; i < symbols->nr_buckets; i++) {
		while (symbols->buckets[i]) {
			struct known_stack *known = symbols->buckets[i];

			symbols->buckets[i] = known->next;
			insert(buckets, nr, known);
		}
	}
	free(symbols->buckets);
	symbols->buckets = buckets;
	symbols->nr_buckets = nr;
	return 0;
}

/* The one frame of a place; none when no function is there. */
static size_t place_frame(struct gosym *symbols, uint64_t pc, bool is_creator, struct frame *frame)
{
	struct frame_list list = { .frames = frame, .max = 1 };
	struct go_function function;

	if (pclntab_function_at(&symbols->table, pc, &function))
		return 0;
	add_frame(symbols, &list, printed_name(symbols, function.name), &function, pc,
		  pc - (is_creator && pc > function.entry));
	return list.nr;
}

static struct known_stack *name_stack(struct gosym *symbols, const uint64_t *pcs, size_t nr_pcs,
				      uint32_t flags)
{
	struct frame frames[MAX_STACK_FRAMES];
	struct known_stack *known;
	size_t nr;

	if (flags & (GOSYM_START | GOSYM_CREATOR))
		nr = place_frame(symbols, pcs[0], flags & GOSYM_CREATOR, frames);
	else
		nr = shown_frames(symbols, frames,
				  all_frames(symbols, pcs, nr_pcs, frames, MAX_STACK_FRAMES));
	known = malloc(sizeof(*known) + nr * sizeof(frames[0]));
	if (!known)
		return NULL;
	known->stack = (struct stack){ .nr_frames = nr, .frames = (struct frame *)(known + 1) };
	memcpy(known->stack.frames, frames, nr * sizeof(frames[0]));
	return known;
}

static const struct known_stack *find_stack(const struct gosym *symbols, uint64_t id)
{
	const struct known_stack *known = NULL;

	if (symbols->nr_buckets)
		known = symbols->buckets[id & (symbols->nr_buckets - 1)];
	while (known && known->stack.id != id)
		known = known->next;
	return known;
}

static int add_stack(struct gosym *symbols, struct known_stack *known)
{
	if (symbols->nr_stacks >= symbols->nr_buckets && grow_buckets(symbols))
		return -ENOMEM;
	insert(symbols->buckets, symbols->nr_buckets, known);
	symbols->nr_stacks++;
	return 0;
}

const struct stack *gosym_stack(struct gosym *symbols, const uint64_t *pcs, size_t nr_pcs,
				uint32_t flags)
{
	uint64_t id = hash_pcs(pcs, nr_pcs, flags);
	const struct known_stack *known = find_stack(symbols, id);
	struct known_stack *added;

	if (known)
		return &known->stack;
	if (symbols->nr_stacks == MAX_STACKS)
		return NULL;
	added = name_stack(symbols, pcs, nr_pcs, flags);
	if (!added)
		return NULL;
	added->stack.id = id;
	added->stack.flags = flags;
	if (add_stack(symbols, added)) {
		free(added);
		return NULL;
	}
	return &added->stack;
}

static void free_chain(struct known_stack *known)
{
	while (known) {
		struct known_stack *next = known->next;

		free(known);
		known = next;
	}
}

void gosym_forget(struct gosym *symbols)
{
	for (size_t i = 0; symbols->buckets && i < symbols->nr_buckets; i++) {
		free_chain(symbols->buckets[i]);
		symbols->buckets[i] = NULL;
	}
	symbols->nr_stacks = 0;
}

void gosym_done(struct gosym *symbols)
{
	gosym_forget(symbols);
	free(symbols->buckets);
	strings_free(symbols->strings);
	*symbols = (struct gosym){ 0 };
}
