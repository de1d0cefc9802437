/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The executable mappings of processes as the unwinder needs them: each with its unwind table and
 * where the image begins in memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proc/symbolizer.h"
#include "unwind.h"

#define PAGE_BYTES 4096U

/* What a segment is a mapping of: when the next reading finds the same, it has not changed. */
struct unwind_origin {
	uint64_t file_offset;
	uint64_t dev, inode;
	struct unwind_table *table; /* NULL: none */
};

static void table_free(struct unwind_table *table)
{
	if (table)
		unwind_rows_free(table->rows);
	free(table);
}

DEFINE_CLEANUP(table, struct unwind_table *, table_free(*value))
DEFINE_CLEANUP(maps, struct maps, maps_done(value))
DEFINE_CLEANUP(space, struct unwind_space, unwind_space_done(value))

/* Build-id and size, as in image_cache.c; without a build-id the file itself, as long as a process
 * that maps it keeps others from getting its inode. */
static bool is_table_of(const struct unwind_table *table, const struct cached_image *cached)
{
	if (table->size_bytes != cached->size_bytes || table->build_id_len != cached->build_id_len)
		return false;
	if (table->build_id_len)
		return !memcmp(table->build_id, cached->build_id, table->build_id_len);
	return cached->inode && table->nr_users && table->dev == cached->dev &&
	       table->inode == cached->inode;
}

/* Makes the table of an image. NULL: it cannot be had. */
static struct unwind_table *tables_make(struct unwind_tables *tables,
					const struct cached_image *cached)
{
	struct unwind_table *table __cleanup_of(table) = calloc(1, sizeof(*table));

	if (!table || image_unwind_rows(cached->image, &table->rows))
		return NULL;
	memcpy(table->build_id, cached->build_id, cached->build_id_len);
	table->build_id_len = cached->build_id_len;
	table->dev = cached->dev;
	table->inode = cached->inode;
	table->size_bytes = cached->size_bytes;
	table->id = ++tables->last_id;
	table->next = tables->first;
	tables->first = table;
	return take(table);
}

/* Where file offsets of @mapping are in memory, as the difference to vaddrs. The mapping begins
 * with the page in which the segment begins, so its first bytes may belong to another segment. */
static int find_bias(const struct image *image, const struct mapping *mapping, uint64_t *ret_bias)
{
	uint64_t len = MIN(mapping->end - mapping->start, PAGE_BYTES);
	uint64_t vaddr;

	for (uint64_t i = 0; i < len; i++) {
		if (image_offset_to_vaddr(image, mapping->file_offset + i, &vaddr) ||
		    !image_is_executable(image, vaddr))
			continue;
		*ret_bias = mapping->start + i - vaddr;
		return 0;
	}
	return -ENXIO;
}

/* Finds or makes the table for a mapping. A file that cannot be read, or is not ELF, has none: the
 * unwinder follows frame pointers there. */
static void resolve(struct unwind_tables *tables, pid_t pid, const struct mapping *mapping,
		    struct lb_segment *segment, struct unwind_origin *origin)
{
	struct cached_image *images = NULL, *cached;
	struct unwind_table *table = tables->first;
	uint64_t bias;

	if (!mapping->inode && strcmp(mapping->path, "[vdso]") != 0)
		return;
	cached = image_cache_get(&images, pid, mapping);
	if (!cached)
		return;
	if (!find_bias(cached->image, mapping, &bias)) {
		while (table && !is_table_of(table, cached))
			table = table->next;
		if (!table)
			table = tables_make(tables, cached);
		if (table) {
			origin->table = table;
			segment->table = table->id;
			segment->base = bias + table->rows->base;
		}
	}
	image_cache_put(&images, cached);
}

static int compare_start(const void *key, const void *element)
{
	const struct mapping *mapping = key;
	const struct lb_segment *segment = element;

	return (mapping->start > segment->start) - (mapping->start < segment->start);
}

/* The index of the segment of @space that @mapping was before. -1: it is new. */
static long find_known(const struct unwind_space *space, const struct mapping *mapping)
{
	const struct unwind_origin *origin;
	const struct lb_segment *segment;

	if (!space->nr_segments)
		return -1;
	segment = bsearch(mapping, space->segments, space->nr_segments, sizeof(*segment),
			  compare_start);
	if (!segment || segment->end != mapping->end)
		return -1;
	origin = &space->origins[segment - space->segments];
	if (origin->file_offset != mapping->file_offset || origin->dev != mapping->dev ||
	    origin->inode != mapping->inode)
		return -1;
	return segment - space->segments;
}

/* Adds @mapping to @space, from @old when it was there already. Returns whether it was. */
static bool add_segment(struct unwind_space *space, const struct unwind_space *old,
			struct unwind_tables *tables, pid_t pid, const struct mapping *mapping)
{
	struct lb_segment *segment = &space->segments[space->nr_segments];
	struct unwind_origin *origin = &space->origins[space->nr_segments];
	long known = find_known(old, mapping);

	space->nr_segments++;
	if (known >= 0) {
		*segment = old->segments[known];
		*origin = old->origins[known];
	} else {
		*segment = (struct lb_segment){ .start = mapping->start, .end = mapping->end };
		*origin = (struct unwind_origin){ .file_offset = mapping->file_offset,
						  .dev = mapping->dev,
						  .inode = mapping->inode };
		resolve(tables, pid, mapping, segment, origin);
	}
	if (origin->table)
		origin->table->nr_users++;
	return known >= 0;
}

static bool is_code(const struct mapping *mapping)
{
	return mapping->perms[2] == 'x' && strcmp(mapping->path, "[vsyscall]") != 0 &&
	       strcmp(mapping->path, "[uprobes]") != 0;
}

int unwind_space_refresh(struct unwind_space *space, struct unwind_tables *tables, pid_t pid)
{
	struct unwind_space fresh __cleanup_of(space) = { 0 };
	struct maps maps __cleanup_of(maps) = { 0 };
	struct unwind_space old = *space;
	size_t nr_known = 0;
	int err = maps_read(pid, &maps);

	if (err)
		return err;
	fresh.segments = calloc(maps.nr_mappings + 1, sizeof(*fresh.segments));
	fresh.origins = calloc(maps.nr_mappings + 1, sizeof(*fresh.origins));
	if (!fresh.segments || !fresh.origins)
		return -ENOMEM;
	for (size_t i = 0; i < maps.nr_mappings; i++)
		if (is_code(&maps.mappings[i]))
			nr_known += add_segment(&fresh, &old, tables, pid, &maps.mappings[i]);
	if (nr_known == fresh.nr_segments && nr_known == old.nr_segments)
		return 0;
	*space = fresh;
	fresh = old; /* its tables lose a user */
	return 1;
}

void unwind_space_done(struct unwind_space *space)
{
	for (size_t i = 0; i < space->nr_segments; i++)
		if (space->origins[i].table)
			space->origins[i].table->nr_users--;
	free(space->segments);
	free(space->origins);
	*space = (struct unwind_space){ 0 };
}

void unwind_tables_sweep(struct unwind_tables *tables)
{
	struct unwind_table **link = &tables->first;

	while (*link) {
		struct unwind_table *table = *link;

		if (table->nr_users) {
			link = &table->next;
			continue;
		}
		*link = table->next;
		table_free(table);
	}
}

void unwind_tables_done(struct unwind_tables *tables)
{
	while (tables->first) {
		struct unwind_table *table = tables->first;

		tables->first = table->next;
		table_free(table);
	}
}

void unwind_tables_sum(const struct unwind_tables *tables, struct unwind_totals *ret_totals)
{
	struct unwind_totals totals = { 0 };

	for (const struct unwind_table *table = tables->first; table; table = table->next) {
		const struct unwind_rows *rows = table->rows;

		totals.nr_tables++;
		totals.nr_rows += rows->nr_rows;
		totals.nr_functions += rows->stats.nr_functions;
		totals.row_bytes += unwind_rows_bytes(rows);
		totals.parse_ns += rows->stats.parse_ns;
		for (size_t i = 0; i < UNWIND_DEFECT_MAX; i++)
			totals.defects[i] += rows->stats.defects[i];
	}
	*ret_totals = totals;
}
