/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Source lines and inlined calls of Go code without DWARF, by what the Go runtime itself needs for
 * its stack traces: nothing strips that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "elf/image.h"

#define MAX_INLINED 64   /* calls inlined into one another */
#define MAX_ENTRIES 4096 /* of the tree of one function */
#define MAX_TREES   16384
#define NR_ENTRIES  64   /* that are read at once */
#define MAX_TEXT    4096 /* of names and paths, which a hostile table has as long as it likes */

struct frame_list {
	struct source_frame frames[MAX_INLINED + 1];
	size_t nr_frames;
	bool error; /* out of memory */
};

/* A frame at the line of @vaddr, which lies in @function. */
static void add_frame(struct frame_list *list, const struct pclntab *table,
		      const struct go_function *function, const char *name, uint64_t vaddr)
{
	struct source_frame *frame = &list->frames[list->nr_frames++];
	const char *file;

	*frame = (struct source_frame){ .function = strndup(name, MAX_TEXT) };
	if (!pclntab_line(table, function, vaddr, &file, &frame->line))
		frame->file = strndup(file, MAX_TEXT);
	list->error |= !frame->function || (frame->line && !frame->file);
}

/* The call that was inlined at @vaddr. -ENOENT: none was, or it is not known. */
static int inlined_at(const struct image *image, const struct go_function *function, uint64_t vaddr,
		      struct inline_call *ret_call)
{
	const struct gofuncs *funcs = &image->gofuncs;
	size_t size = pclntab_inline_bytes(&funcs->table);
	uint8_t entry[PCLNTAB_MAX_INLINE_BYTES];
	uint32_t tree, index;

	if (pclntab_inline_tree(&funcs->table, function, &tree) ||
	    pclntab_inline_index(&funcs->table, function, vaddr, &index) ||
	    image_read(image, funcs->inline_trees + tree + (uint64_t)index * size, entry, size) !=
		    (long)size)
		return -ENOENT;
	return pclntab_inline_call(&funcs->table, entry, ret_call);
}

static void find_frames(const struct image *image, const struct go_function *function,
			uint64_t vaddr, struct frame_list *list)
{
	const struct pclntab *table = &image->gofuncs.table;
	struct inline_call call;

	while (list->nr_frames < MAX_INLINED && !inlined_at(image, function, vaddr, &call)) {
		add_frame(list, table, function, call.name, vaddr);
		list->frames[list->nr_frames - 1].inlined = true;
		vaddr = function->entry + call.parent_offset;
	}
	add_frame(list, table, function, function->name, vaddr);
}

long go_source_frames(struct image *image, uint64_t vaddr, struct source_frame **ret_frames)
{
	struct frame_list list = { .nr_frames = 0 };
	struct go_function function;
	struct source_frame *frames;
	struct symbol symbol;

	if (!image->is_go || image_symbol_at(image, vaddr, &symbol) ||
	    !image->gofuncs.inline_trees ||
	    pclntab_function_at(&image->gofuncs.table, vaddr, &function))
		return 0;
	find_frames(image, &function, vaddr, &list);
	frames = calloc(list.nr_frames, sizeof(*frames));
	if (frames)
		memcpy(frames, list.frames, list.nr_frames * sizeof(*frames));
	if (frames && !list.error) {
		*ret_frames = frames;
		return (long)list.nr_frames;
	}
	for (size_t i = 0; i < list.nr_frames; i++) {
		free(list.frames[i].function);
		free(list.frames[i].file);
	}
	free(frames);
	return -ENOMEM;
}

/* Visits the calls that are inlined into @function. */
static int visit_inlined(const struct image *image, const struct gofuncs *funcs,
			 const struct go_function *function,
			 int (*visit)(const char *name, void *context), void *context)
{
	size_t size = pclntab_inline_bytes(&funcs->table), nr_read;
	size_t nr = MIN(pclntab_inline_nr(&funcs->table, function), (uint32_t)MAX_ENTRIES);
	uint8_t entries[NR_ENTRIES * PCLNTAB_MAX_INLINE_BYTES];
	struct inline_call call;
	uint32_t tree;
	int result = 0;

	if (!nr || pclntab_inline_tree(&funcs->table, function, &tree))
		return 0;
	for (size_t first = 0; first < nr && !result; first += nr_read) {
		nr_read = MIN(nr - first, (size_t)NR_ENTRIES);
		if (image_read(image, funcs->inline_trees + tree + first * size, entries,
			       nr_read * size) != (long)(nr_read * size))
			return 0;
		for (size_t i = 0; i < nr_read && !result; i++)
			if (!pclntab_inline_call(&funcs->table, entries + i * size, &call))
				result = visit(call.name, context);
	}
	return result;
}

DEFINE_CLEANUP(gofuncs, struct gofuncs, gofuncs_done(value))

int image_for_each_inlined(struct image *image, const char *prefix,
			   int (*visit)(const char *name, void *context), void *context)
{
	struct gofuncs own __cleanup_of(gofuncs) = { 0 };
	const struct gofuncs *funcs = &image->gofuncs;
	size_t nr = 0;
	int result = 0;

	if (!funcs->bytes) {
		result = image->is_go ? gofuncs_find(image, &own) : -ENOENT;
		funcs = &own;
	}
	if (result || !funcs->inline_trees)
		return result ? result : -ENOENT;
	for (size_t i = 0; i < funcs->table.nr_functions && nr < MAX_TREES && !result; i++) {
		struct go_function function;

		if (pclntab_function(&funcs->table, i, &function) ||
		    strncmp(function.name, prefix, strlen(prefix)) != 0)
			continue;
		result = visit_inlined(image, funcs, &function, visit, context);
		nr++;
	}
	return result;
}
