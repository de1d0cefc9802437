/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One program counter -> the frames that people read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proc/symbolizer.h"

void address_free(void *value)
{
	struct address *address = value;

	if (address)
		free(address->frames);
	free(address);
}

DEFINE_CLEANUP(address, struct address *, address_free(*value))

/* Makes room for @nr_frames frames that share @common. */
static int set_frames(struct address *address, size_t nr_frames, const struct frame *common)
{
	address->frames = calloc(nr_frames, sizeof(*address->frames));
	if (!address->frames)
		return -ENOMEM;
	address->nr_frames = nr_frames;
	for (size_t i = 0; i < nr_frames; i++)
		address->frames[i] = *common;
	return 0;
}

static int set_source_frames(struct strings *strings, struct address *address,
			     const struct source_frame *sources, size_t nr_sources,
			     const struct frame *common)
{
	int err = set_frames(address, nr_sources, common);

	for (size_t i = 0; i < nr_sources && !err; i++) {
		struct frame *frame = &address->frames[i];

		frame->function = strings_intern(strings, sources[i].function);
		frame->file = strings_intern(strings, sources[i].file);
		frame->line = sources[i].line;
		frame->inlined = sources[i].inlined;
	}
	return err;
}

/* Where @pc lies in the file of @module. What is called there is at the address before: @pc is a
 * return address, and may be the first one of the next line or function. */
static int name_in_image(struct symbolizer *symbolizer, struct address *address,
			 const struct module *module, struct frame *common)
{
	struct image *image = module->cached->image;
	struct source_frame *sources;
	uint64_t call = address->pc - 1 - module->start + module->file_offset, vaddr;
	long nr_sources;
	int err;

	if (image_offset_to_vaddr(image, call, &vaddr))
		return set_frames(address, 1, common);
	common->offset = vaddr + 1;
	nr_sources = image_source_frames(image, vaddr, &sources);
	if (nr_sources == -ENOMEM)
		return -ENOMEM;
	if (nr_sources <= 0)
		return set_frames(address, 1, common);
	err = set_source_frames(symbolizer->strings, address, sources, (size_t)nr_sources, common);
	source_frames_free(sources, (size_t)nr_sources);
	return err;
}

/* The name that a JIT compiler gave; the map is read again when it does not know the address. */
static const char *jit_name(struct process *process, uint64_t call)
{
	const char *name = NULL;

	if (!process->perf_map)
		return NULL;
	name = perf_map_find(process->perf_map, call);
	if (name)
		return name;
	perf_map_refresh(process->perf_map);
	return perf_map_find(process->perf_map, call);
}

static int name_without_image(struct symbolizer *symbolizer, struct process *process,
			      struct address *address, const struct module *module,
			      struct frame *common)
{
	const char *name = jit_name(process, address->pc - 1);

	if (module)
		common->offset = address->pc - module->start + module->file_offset;
	if (name || (module && !*module->path))
		common->module = strings_intern(symbolizer->strings, "[jit]");
	common->function = strings_intern(symbolizer->strings, name);
	return set_frames(address, 1, common);
}

static int name_address(struct symbolizer *symbolizer, struct process *process,
			struct address *address)
{
	const struct module *module = process_find_module(process, address->pc - 1);
	struct frame common = {
		.address = address->pc,
		.offset = address->pc,
		.module = module ? module->path : NULL,
		.mapping = module ? module->mapping : NULL,
	};

	if (module && module->cached)
		return name_in_image(symbolizer, address, module, &common);
	return name_without_image(symbolizer, process, address, module, &common);
}

const struct address *process_name_address(struct symbolizer *symbolizer, struct process *process,
					   uint64_t pc)
{
	struct address *fresh __cleanup_of(address) = NULL;
	const struct address *known = idmap_find(&process->addresses, pc);

	if (known)
		return known;
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh)
		return NULL;
	fresh->pc = pc;
	if (name_address(symbolizer, process, fresh) || idmap_add(&process->addresses, pc, fresh))
		return NULL;
	return take(fresh);
}
