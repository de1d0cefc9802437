/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Source frames of an address: the function, those inlined into it, and their lines
 * (DWARF 5, section 3.3.8 "Inlinable and Inlined Subroutines").
 */
#include "elf/lines.h"

#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FRAMES   64    /* a function and what is inlined into each other there */
#define MAX_CHILDREN 65536 /* DIEs looked at below one function */

/* The lines of one unit. libdw makes about 80 bytes of memory of each byte, all at once. */
#define MAX_LINE_BYTES (8UL << 20)

/* The function (first) and the calls inlined at an address, from the outside in. */
struct chain {
	Dwarf_Die dies[MAX_FRAMES];
	size_t nr_dies;
};

struct frame_list {
	struct source_frame *frames;
	size_t nr_frames;
};

static void free_frames(struct frame_list *list)
{
	list->frames = source_frames_free(list->frames, list->nr_frames);
}

DEFINE_CLEANUP(frames, struct frame_list, free_frames(value))

struct source_frame *source_frames_free(struct source_frame *frames, size_t nr_frames)
{
	for (size_t i = 0; frames && i < nr_frames; i++) {
		free(frames[i].function);
		free(frames[i].file);
	}
	free(frames);
	return NULL;
}

static bool is_scope(int tag)
{
	return tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block ||
	       tag == DW_TAG_try_block || tag == DW_TAG_catch_block;
}

/* Finds the child of @parent that covers @vaddr. *@budget as in units.c. */
static bool find_scope(Dwarf_Die *parent, uint64_t vaddr, unsigned int *budget, Dwarf_Die *ret_die)
{
	Dwarf_Die die;
	int more = dwarf_child(parent, &die);

	for (; more == 0 && *budget; more = dwarf_siblingof(&die, &die)) {
		--*budget;
		if (!is_scope(dwarf_tag(&die)) || dwarf_haspc(&die, vaddr) != 1)
			continue;
		*ret_die = die;
		return true;
	}
	return false;
}

static void find_chain(const Dwarf_Die *function, uint64_t vaddr, struct chain *ret_chain)
{
	unsigned int budget = MAX_CHILDREN;
	Dwarf_Die scope = *function;

	ret_chain->nr_dies = 0;
	if (!function->addr)
		return;
	ret_chain->dies[ret_chain->nr_dies++] = scope;
	while (ret_chain->nr_dies < MAX_FRAMES && find_scope(&scope, vaddr, &budget, &scope))
		if (dwarf_tag(&scope) == DW_TAG_inlined_subroutine)
			ret_chain->dies[ret_chain->nr_dies++] = scope;
}

/* A text that is there and not empty, or NULL. */
static const char *string_attribute(Dwarf_Die *die, unsigned int name)
{
	Dwarf_Attribute attribute;
	const char *text = dwarf_formstring(dwarf_attr_integrate(die, name, &attribute));

	return text && *text ? text : NULL;
}

/* The function's name as people write it. A linkage name that is not mangled is an alias inside a
 * library (__GI___libc_malloc): the name in the source says more. NULL: unknown, out of memory. */
static char *function_name(Dwarf_Die *die)
{
	const char *linkage = string_attribute(die, DW_AT_linkage_name);
	const char *name = string_attribute(die, DW_AT_name);

	if (linkage && (!name || symbol_is_mangled(linkage)))
		name = linkage;
	return name ? symbol_demangle(name) : NULL;
}

/* libdw calls a file that it does not know "???". */
static char *copy_file(const char *file)
{
	return file && *file && strcmp(file, "???") != 0 ? strdup(file) : NULL;
}

static unsigned long number_attribute(Dwarf_Die *die, unsigned int name)
{
	Dwarf_Attribute attribute;
	Dwarf_Word number = 0;

	if (dwarf_formudata(dwarf_attr(die, name, &attribute), &number))
		return 0;
	return number;
}

/* Is the unit's line table of a size that one can afford? (DWARF 5, section 6.2.4: it begins with
 * its length; 0xffffffff: with a 64-bit one, which we do not want to see.) */
static bool has_fair_lines(const struct lines *lines, Dwarf_Die *unit)
{
	unsigned long at = number_attribute(unit, DW_AT_stmt_list);
	const Elf_Data *tables = lines->line_tables;
	uint32_t len;

	if (!tables || !tables->d_buf || at > tables->d_size || tables->d_size - at < sizeof(len))
		return false;
	memcpy(&len, (const char *)tables->d_buf + at, sizeof(len));
	return len <= MAX_LINE_BYTES;
}

/* Where the line table says that @vaddr comes from. */
static void set_line(struct source_frame *frame, Dwarf_Die *unit, uint64_t vaddr)
{
	Dwarf_Line *line = dwarf_getsrc_die(unit, vaddr);
	int number;

	if (!line)
		return;
	frame->file = copy_file(dwarf_linesrc(line, NULL, NULL));
	if (!dwarf_lineno(line, &number) && number > 0)
		frame->line = number;
}

/* Where the inlined call @die was written. */
static void set_call_line(struct source_frame *frame, Dwarf_Die *unit, Dwarf_Die *die)
{
	unsigned long index = number_attribute(die, DW_AT_call_file);
	unsigned long line = number_attribute(die, DW_AT_call_line);
	Dwarf_Files *files;
	size_t nr_files;

	if (!dwarf_getsrcfiles(unit, &files, &nr_files) && index < nr_files)
		frame->file = copy_file(dwarf_filesrc(files, index, NULL, NULL));
	if (line <= INT32_MAX)
		frame->line = (int)line;
}

/* The symbol's name as people write it, without its version. NULL: out of memory. */
static char *symbol_text(const struct symbol *symbol)
{
	char *name __cleanup_string = strndup(symbol->name, symbol_name_len(symbol->name));

	return name ? symbol_demangle(name) : NULL;
}

/* The symbol or PLT entry at @vaddr. NULL: none or out of memory. */
static char *symbol_text_at(struct image *image, uint64_t vaddr)
{
	struct buf text __cleanup_buf = { 0 };
	struct symbol symbol;
	const char *target;

	if (!image_symbol_at(image, vaddr, &symbol))
		return symbol_text(&symbol);
	target = image_plt_target(image, vaddr);
	if (!target)
		return NULL;
	buf_printf(&text, "%s@plt", target);
	return text.error ? NULL : take(text.data);
}

/* The name of the function that is not inlined: as others call it (malloc, not __libc_malloc) when
 * they can, else what DWARF calls it, else the nearest symbol. */
static char *outer_name(struct image *image, Dwarf_Die *die, uint64_t vaddr)
{
	struct symbol symbol;
	char *name;

	if (!image_symbol_at(image, vaddr, &symbol) && symbol.is_global && symbol.size)
		return symbol_text(&symbol);
	name = die ? function_name(die) : NULL;
	return name ? name : symbol_text_at(image, vaddr);
}

/* Turns the chain around: the innermost call comes first, at the line of the address; each one
 * around it is at the line where the one inside was called. */
static void fill_frames(struct image *image, Dwarf_Die *unit, struct chain *chain, uint64_t vaddr,
			struct frame_list *list)
{
	bool fair = has_fair_lines(image->lines, unit);

	for (size_t i = 0; i < list->nr_frames; i++) {
		struct source_frame *frame = &list->frames[i];
		size_t place = list->nr_frames - 1 - i;

		frame->inlined = place > 0;
		if (frame->inlined)
			frame->function = function_name(&chain->dies[place]);
		else
			frame->function =
				outer_name(image, chain->nr_dies ? chain->dies : NULL, vaddr);
		if (i == 0 && fair)
			set_line(frame, unit, vaddr);
		else if (fair)
			set_call_line(frame, unit, &chain->dies[place + 1]);
	}
}

/* Frames out of DWARF. 0: it knows nothing of this address. */
static long dwarf_frames(struct image *image, uint64_t vaddr, struct source_frame **ret_frames)
{
	struct frame_list list __cleanup_of(frames) = { 0 };
	struct lines *lines = image_lines(image);
	Dwarf_Die unit, function;
	struct chain chain;

	if (!lines || lines_find(lines, vaddr, &unit, &function))
		return 0;
	find_chain(&function, vaddr, &chain);
	list.frames = calloc(MAX(chain.nr_dies, 1), sizeof(*list.frames));
	if (!list.frames)
		return -ENOMEM;
	list.nr_frames = MAX(chain.nr_dies, 1);
	fill_frames(image, &unit, &chain, vaddr, &list);
	if (list.nr_frames == 1 && !list.frames->function && !list.frames->file)
		return 0;
	*ret_frames = take(list.frames);
	return (long)list.nr_frames;
}

/* One frame out of the symbol tables. */
static long symbol_frame(struct image *image, uint64_t vaddr, struct source_frame **ret_frames)
{
	char *name __cleanup_string = symbol_text_at(image, vaddr);
	struct source_frame *frame;

	if (!name)
		return 0;
	frame = calloc(1, sizeof(*frame));
	if (!frame)
		return -ENOMEM;
	frame->function = take(name);
	*ret_frames = frame;
	return 1;
}

long image_source_frames(struct image *image, uint64_t vaddr, struct source_frame **ret_frames)
{
	long nr_frames = dwarf_frames(image, vaddr, ret_frames);

	if (!nr_frames)
		nr_frames = go_source_frames(image, vaddr, ret_frames);
	return nr_frames ? nr_frames : symbol_frame(image, vaddr, ret_frames);
}
