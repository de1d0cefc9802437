/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From an address to its compilation unit and function (DWARF 5, section 3.1 and 3.3).
 */
#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "elf/lines.h"

#define MAX_UNITS    (1UL << 20)
#define MAX_RANGES   (4UL << 20)
#define MAX_DIES     (32UL << 20) /* looked at in one unit */
#define MAX_NESTING  24           /* namespaces, classes and functions within each other */
#define MAX_OVERLAPS 64           /* ranges looked back over for one that covers an address */

/* Adds a range, unless it is of code that the linker dropped: those begin at 0 or near it. */
static int add_range(struct code_ranges *list, uint64_t start, uint64_t end, uint64_t value)
{
	int err;

	if (list->nr_seen++ == MAX_RANGES)
		return -EFBIG;
	if (!start || start >= end)
		return 0;
	err = vec_reserve((void **)&list->ranges, &list->capacity, list->nr_ranges + 1,
			  sizeof(*list->ranges));
	if (!err)
		list->ranges[list->nr_ranges++] = (struct code_range){ start, end, value };
	return err;
}

/* Adds the addresses of @die. */
static int add_die_ranges(struct code_ranges *list, Dwarf_Die *die, uint64_t value)
{
	Dwarf_Addr base = 0, start, end;
	ptrdiff_t at = 0;
	int err = 0;

	while (!err && (at = dwarf_ranges(die, at, &base, &start, &end)) > 0)
		err = add_range(list, start, end, value);
	return err;
}

static int compare_ranges(const void *left, const void *right)
{
	const struct code_range *a = left, *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->end != b->end)
		return a->end > b->end ? -1 : 1;
	return (a->value > b->value) - (a->value < b->value);
}

static void sort_ranges(struct code_ranges *list)
{
	if (list->nr_ranges)
		qsort(list->ranges, list->nr_ranges, sizeof(*list->ranges), compare_ranges);
}

/* The innermost range (the one that begins last) with @vaddr in it. NULL: none. */
static const struct code_range *find_range(const struct code_ranges *list, uint64_t vaddr)
{
	size_t low = 0, high = list->nr_ranges, last;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (list->ranges[middle].start <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	last = low > MAX_OVERLAPS ? low - MAX_OVERLAPS : 0;
	for (size_t i = low; i-- > last;)
		if (vaddr < list->ranges[i].end)
			return &list->ranges[i];
	return NULL;
}

void code_ranges_done(struct code_ranges *list)
{
	free(list->ranges);
	*list = (struct code_ranges){ 0 };
}

static int add_unit(struct lines *lines, Dwarf_Die *die, uint64_t length)
{
	int err = vec_reserve((void **)&lines->units, &lines->units_capacity, lines->nr_units + 1,
			      sizeof(*lines->units));

	if (err)
		return err;
	lines->units[lines->nr_units] = (struct unit){
		.offset = dwarf_dieoffset(die),
		.length = length,
	};
	return add_die_ranges(&lines->unit_ranges, die, lines->nr_units++);
}

int lines_list_units(struct lines *lines)
{
	Dwarf_Off at = 0, next;
	size_t header_bytes;
	int err = 0;

	while (!err && lines->nr_units < MAX_UNITS &&
	       !dwarf_nextcu(lines->dwarf, at, &next, &header_bytes, NULL, NULL, NULL)) {
		Dwarf_Die die;

		if (next <= at)
			break;
		if (dwarf_offdie(lines->dwarf, at + header_bytes, &die))
			err = add_unit(lines, &die, next - at);
		at = next;
	}
	sort_ranges(&lines->unit_ranges);
	return err;
}

/* May functions with code stand inside a DIE of this kind? */
static bool holds_functions(int tag)
{
	switch (tag) {
	case DW_TAG_namespace:
	case DW_TAG_module:
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
	case DW_TAG_enumeration_type: /* Rust: methods of an enum */
	case DW_TAG_variant_part:
	case DW_TAG_subprogram:
	case DW_TAG_lexical_block:
		return true;
	default:
		return false;
	}
}

/* Adds the functions among the children of @parent and below. *@budget is how many DIEs may still
 * be looked at: siblings that lead back to each other end there. */
static int add_functions(struct unit *unit, Dwarf_Die *parent, unsigned int depth, uint64_t *budget)
{
	Dwarf_Die die;
	int err = 0, more = dwarf_child(parent, &die);

	while (more == 0 && !err && *budget) {
		int tag = dwarf_tag(&die);

		--*budget;
		if (tag == DW_TAG_subprogram)
			err = add_die_ranges(&unit->functions, &die, dwarf_dieoffset(&die));
		if (!err && depth < MAX_NESTING && holds_functions(tag))
			err = add_functions(unit, &die, depth + 1, budget);
		more = dwarf_siblingof(&die, &die);
	}
	return err;
}

static void load_functions(struct unit *unit, Dwarf_Die *die)
{
	uint64_t budget = MIN(unit->length, MAX_DIES);

	if (unit->loaded)
		return;
	unit->loaded = true;
	if (add_functions(unit, die, 0, &budget))
		code_ranges_done(&unit->functions);
	sort_ranges(&unit->functions);
}

int lines_find(struct lines *lines, uint64_t vaddr, Dwarf_Die *ret_unit, Dwarf_Die *ret_function)
{
	const struct code_range *range = find_range(&lines->unit_ranges, vaddr);
	struct unit *unit = range ? &lines->units[range->value] : NULL;

	if (!unit || !dwarf_offdie(lines->dwarf, unit->offset, ret_unit))
		return -ENOENT;
	load_functions(unit, ret_unit);
	range = find_range(&unit->functions, vaddr);
	if (!range || !dwarf_offdie(lines->dwarf, range->value, ret_function))
		memset(ret_function, 0, sizeof(*ret_function));
	return 0;
}
