/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of elf/ share of an image. Not for other modules: they use elf/elf.h.
 */
#ifndef ELF_IMAGE_H
#define ELF_IMAGE_H

#include <elfutils/libdw.h>
#include <gelf.h>

#include "base/base.h"
#include "elf/elf.h"
#include "pclntab/pclntab.h"

/* A PT_LOAD segment; neither end overflows. */
struct segment {
	uint64_t vaddr;
	uint64_t memory_bytes;
	uint64_t offset;
	uint64_t file_bytes;
	bool executable, writable;
};

/* A function symbol (or a label in code) and where it ends. */
struct symbol_entry {
	const char *name; /* in the ELF's string table */
	uint64_t vaddr;
	uint64_t end; /* first address behind it: vaddr + size, or found from what follows */
	bool sized;   /* the file tells the size */
	bool is_function;
	bool is_global;
};

/* Sorted by address, the best name of an address first; by_name holds indices sorted by name. */
struct symbol_table {
	struct symbol_entry *entries;
	size_t nr_entries, capacity;
	uint32_t *by_name;
	bool loaded;
};

/* Slots of the global offset table that the dynamic linker fills with a function's address. */
struct plt_slot {
	uint64_t vaddr;
	const char *name;
};

struct plt_table {
	struct plt_slot *slots; /* sorted by vaddr */
	size_t nr_slots, capacity;
	bool loaded;
};

/* The table of functions of a Go program, as gofuncs.c has read it. */
struct gofuncs {
	uint8_t *bytes; /* from its header on, with what follows the table; owned */
	struct pclntab table;
	uint64_t inline_trees; /* vaddr, moduledata.gofunc; 0: not known */
};

struct lines;

struct image {
	int fd;       /* -1: the bytes are in memory */
	char *memory; /* owned; NULL: in the file */
	uint64_t size_bytes;
	Elf *elf;
	unsigned int machine;
	struct segment *segments;
	size_t nr_segments, segments_capacity;
	bool has_interpreter, has_needed, is_go;
	uint8_t build_id[BUILD_ID_MAX];
	size_t build_id_len;
	struct symbol_table symbols;
	struct plt_table plt;
	struct gofuncs gofuncs; /* when there are no symbols of Go; belongs to symbols */
	char *debug_root;       /* NULL: only the observer's own /usr/lib/debug */
	bool companions_loaded; /* the next two have been looked for */
	struct image *mini;     /* .gnu_debugdata, unpacked; NULL: none */
	struct image *debug;    /* separate debug file; NULL: none */
	struct lines *lines;    /* NULL: not tried yet, or nothing there */
	bool lines_loaded;
	bool lines_used; /* since the last image_trim() */
};

/* image.c: reads at an offset in the file; returns the length, which is less at its end, or
 * -errno. */
long image_read_at(const struct image *image, uint64_t offset, void *bytes, size_t len);

/* image.c: opens a file that another one points to: a regular file, else -ENOEXEC. */
DEFINE_CLEANUP(image, struct image *, image_free(*value))
#define __cleanup_image __cleanup_of(image)

/* Another libelf handle of the file; owned by the caller (elf_end). NULL: out of memory. */
Elf *image_begin_elf(const struct image *image);
/* The section called @name of an ELF file, with its header. NULL: none. */
Elf_Scn *elf_section(Elf *elf, const char *name, GElf_Shdr *ret_header);
Elf_Scn *image_section(const struct image *image, const char *name, GElf_Shdr *ret_header);

/* notes.c: sets build_id and is_go from the notes and section names. */
void image_read_identity(struct image *image);

/* symbols.c: the best symbol of this one file at @vaddr. NULL: none or out of memory. */
const struct symbol_entry *symbols_covering(struct image *image, uint64_t vaddr);
void symbols_done(struct image *image);
/* The length of @name without a version (name@VERSION, name@@VERSION). */
size_t symbol_name_len(const char *name);

/* demangle.c: does it look like a mangled C++ or Rust name? */
bool symbol_is_mangled(const char *name);

/* gofuncs.c: -ENOENT: there is no table, or none that we know. */
int gofuncs_find(const struct image *image, struct gofuncs *ret_funcs);
void gofuncs_done(struct gofuncs *funcs);

/* golines.c: the frames of Go code at @vaddr by the table of functions, where there is one because the
 * symbols have been stripped. Their number; 0: nothing known; -ENOMEM. */
long go_source_frames(struct image *image, uint64_t vaddr, struct source_frame **ret_frames);

/* plt.c */
void plt_done(struct plt_table *table);

/* companions.c: looks for .gnu_debugdata and the separate debug file, once. */
void image_load_companions(struct image *image);
/* The directory that the file lies in, as its mount namespace names it. */
int image_directory(const struct image *image, char *ret_path, size_t size);

/* lines.c */
struct lines *lines_free(struct lines *lines);

#endif
