/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The DWARF of an image, indexed by address. Not for other modules.
 *
 * Why not dwarf_addrdie() and dwarf_getscopes(): the first needs .debug_aranges, which clang does
 * not write, before elfutils 0.191; the second recurses as deep as the file wants and starts anew
 * from the top of a unit at each call.
 */
#ifndef ELF_LINES_H
#define ELF_LINES_H

#include <elfutils/libdw.h>

#include "elf/image.h"

/* Addresses that belong to a unit, or to a function of it. */
struct code_range {
	uint64_t start, end;
	uint64_t value; /* number of the unit, or offset of the function's DIE */
};

struct code_ranges {
	struct code_range *ranges; /* sorted by start once complete */
	size_t nr_ranges, capacity;
	size_t nr_seen; /* also those that were left out */
};

/* A compilation unit. */
struct unit {
	uint64_t offset; /* of its DIE */
	uint64_t length; /* bytes: more DIEs than that it can not have */
	struct code_ranges functions;
	bool loaded;
};

struct lines {
	Elf *elf; /* of its own, so that what libdw read can be freed again */
	Dwarf *dwarf;
	Elf_Data *line_tables;   /* .debug_line; NULL: none */
	struct image *alternate; /* what dwz moved out; NULL: nothing */
	Dwarf *alternate_dwarf;
	struct unit *units;
	size_t nr_units, units_capacity;
	struct code_ranges unit_ranges;
	uint64_t opening_ns; /* the time it took */
};

/* dwarf.c: opens the DWARF of @image or of its debug file, once. NULL: there is none. */
struct lines *image_lines(struct image *image);

/* units.c */
/* Lists the units and which code they cover. */
int lines_list_units(struct lines *lines);
/* Finds the unit that covers @vaddr, and the innermost function in it. The function's DIE has a
 * NULL addr when there is none. -ENOENT: no unit. */
int lines_find(struct lines *lines, uint64_t vaddr, Dwarf_Die *ret_unit, Dwarf_Die *ret_function);
void code_ranges_done(struct code_ranges *list);

#endif
