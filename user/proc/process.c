/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The executable mappings of a process, kept while it runs and after.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proc/stat.h"
#include "proc/symbolizer.h"

struct module_list {
	struct module *modules;
	size_t nr_modules, capacity;
};

struct process *process_new(pid_t pid)
{
	struct process *process = calloc(1, sizeof(*process));
	struct process_stat stat;

	if (!process)
		return NULL;
	process->pid = pid;
	if (!process_stat_read(pid, &stat))
		process->start_ticks = stat.start_ticks;
	return process;
}

void process_drop_addresses(struct process *process)
{
	idmap_done(&process->addresses, address_free);
}

static void free_stack(void *value)
{
	struct stack *stack = value;

	free(stack->frames);
	free(stack);
}

static void drop_modules(struct symbolizer *symbolizer, struct module *modules, size_t nr_modules)
{
	for (size_t i = 0; i < nr_modules; i++)
		image_cache_put(&symbolizer->images, modules[i].cached);
	free(modules);
}

static void free_mappings(struct kept_mapping *kept)
{
	while (kept) {
		struct kept_mapping *next = kept->next;

		free(kept);
		kept = next;
	}
}

struct process *process_free(struct symbolizer *symbolizer, struct process *process)
{
	if (!process)
		return NULL;
	idmap_done(&process->stacks, free_stack);
	idmap_done(&process->groups, NULL);
	process_drop_addresses(process);
	drop_modules(symbolizer, process->modules, process->nr_modules);
	perf_map_free(process->perf_map);
	free_mappings(process->mappings);
	free(process);
	return NULL;
}

static bool is_same(const struct module *module, const struct mapping *mapping)
{
	return module->start == mapping->start && module->end == mapping->end &&
	       module->file_offset == mapping->file_offset && module->dev == mapping->dev &&
	       module->inode == mapping->inode && !strcmp(module->path, mapping->path);
}

/* An image of the same process behind the same file: it need not be opened again. */
static struct cached_image *find_open(const struct module *modules, size_t nr_modules,
				      const struct mapping *mapping)
{
	for (size_t i = 0; i < nr_modules; i++) {
		struct cached_image *cached = modules[i].cached;

		if (cached && cached->inode && cached->inode == mapping->inode &&
		    cached->dev == mapping->dev)
			return cached;
	}
	return NULL;
}

static bool has_image(const struct mapping *mapping)
{
	return mapping->inode || !strcmp(mapping->path, "[vdso]");
}

/* In hexadecimal, interned. NULL: there is none. */
static const char *build_id_text(struct strings *strings, const struct cached_image *cached)
{
	char text[BUILD_ID_MAX * 2 + 1];

	if (!cached || !cached->build_id_len)
		return NULL;
	for (size_t i = 0; i < cached->build_id_len; i++)
		snprintf(text + i * 2, 3, "%02x", cached->build_id[i]);
	return strings_intern(strings, text);
}

/* Notes for frames what @module is a mapping of. */
static int keep_mapping(struct strings *strings, struct process *process, struct module *module)
{
	struct kept_mapping *kept = calloc(1, sizeof(*kept));

	if (!kept)
		return -ENOMEM;
	kept->mapping = (struct code_mapping){
		.start = module->start,
		.end = module->end,
		.file_offset = module->file_offset,
		.build_id = build_id_text(strings, module->cached),
	};
	kept->next = process->mappings;
	process->mappings = kept;
	module->mapping = &kept->mapping;
	return 0;
}

/* Adds @mapping to @list, with what it had in the old one when it is the same. */
static int add_mapping(struct symbolizer *symbolizer, struct process *process,
		       const struct mapping *mapping, struct module_list *list)
{
	const struct module *old = process_find_module(process, mapping->start);
	struct module module = {
		.start = mapping->start,
		.end = mapping->end,
		.file_offset = mapping->file_offset,
		.dev = mapping->dev,
		.inode = mapping->inode,
		.path = strings_intern(symbolizer->strings, mapping->path),
	};

	if (!module.path || vec_reserve((void **)&list->modules, &list->capacity,
					list->nr_modules + 1, sizeof(module)))
		return -ENOMEM;
	if (old && !is_same(old, mapping))
		old = NULL;
	if (old)
		module.cached = old->cached;
	else if (has_image(mapping))
		module.cached = find_open(list->modules, list->nr_modules, mapping);
	if (module.cached)
		module.cached->nr_users++;
	else if (has_image(mapping) && !old)
		module.cached = image_cache_get(&symbolizer->images, process->pid, mapping);
	if (old)
		module.mapping = old->mapping;
	list->modules[list->nr_modules++] = module;
	return old || !has_image(mapping) ? 0
					  : keep_mapping(symbolizer->strings, process,
							 &list->modules[list->nr_modules - 1]);
}

/* The first of the @nr_modules (sorted) modules of @list that shares an address with @module. NULL:
 * none. */
static const struct module *find_overlap(const struct module_list *list, size_t nr_modules,
					 const struct module *module)
{
	size_t low = 0, high = nr_modules;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (list->modules[middle].end <= module->start)
			low = middle + 1;
		else
			high = middle;
	}
	return low < nr_modules && list->modules[low].start < module->end ? &list->modules[low]
									  : NULL;
}

static bool is_equal(const struct module *a, const struct module *b)
{
	return a->start == b->start && a->end == b->end && a->file_offset == b->file_offset &&
	       a->cached == b->cached && a->path == b->path;
}

/* What was mapped and is no longer stays known while nothing else lies there. *@ret_replaced: at an
 * address known before there is something else now. */
static int add_gone(const struct process *process, struct module_list *list, bool *ret_replaced)
{
	size_t nr_current = list->nr_modules;

	*ret_replaced = false;
	for (size_t i = 0; i < process->nr_modules; i++) {
		const struct module *old = &process->modules[i];
		const struct module *other = find_overlap(list, nr_current, old);

		if (other && !is_equal(other, old))
			*ret_replaced = true;
		if (other)
			continue;
		if (vec_reserve((void **)&list->modules, &list->capacity, list->nr_modules + 1,
				sizeof(*old)))
			return -ENOMEM;
		if (old->cached)
			old->cached->nr_users++;
		list->modules[list->nr_modules++] = *old;
	}
	return 0;
}

static int compare_modules(const void *left, const void *right)
{
	const struct module *a = left, *b = right;

	return (a->start > b->start) - (a->start < b->start);
}

static int build_list(struct symbolizer *symbolizer, struct process *process,
		      const struct maps *maps, struct module_list *list, bool *ret_replaced)
{
	int err = 0;

	for (size_t i = 0; i < maps->nr_mappings && !err; i++)
		if (maps->mappings[i].perms[2] == 'x')
			err = add_mapping(symbolizer, process, &maps->mappings[i], list);
	if (!err)
		err = add_gone(process, list, ret_replaced);
	if (!err && list->nr_modules)
		qsort(list->modules, list->nr_modules, sizeof(*list->modules), compare_modules);
	return err;
}

DEFINE_CLEANUP(maps, struct maps, maps_done(value))

int process_refresh(struct symbolizer *symbolizer, struct process *process)
{
	struct maps maps __cleanup_of(maps) = { 0 };
	struct module_list list = { 0 };
	bool replaced = false;
	int err = maps_read(process->pid, &maps);

	process->refreshed_ns = clock_monotonic_ns();
	if (err)
		return err;
	err = build_list(symbolizer, process, &maps, &list, &replaced);
	if (err) {
		drop_modules(symbolizer, list.modules, list.nr_modules);
		return err;
	}
	if (replaced)
		process_drop_addresses(process);
	drop_modules(symbolizer, process->modules, process->nr_modules);
	process->modules = list.modules;
	process->nr_modules = list.nr_modules;
	if (!process->perf_map)
		process->perf_map = perf_map_new(process->pid);
	if (process->perf_map)
		perf_map_refresh(process->perf_map);
	return 0;
}

const struct module *process_find_module(const struct process *process, uint64_t address)
{
	size_t low = 0, high = process->nr_modules;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct module *module = &process->modules[middle];

		if (address >= module->start && address < module->end)
			return module;
		if (address < module->start)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}
