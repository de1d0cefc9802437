/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The functions of Go code in a binary whose symbols have been stripped, by the table of functions
 * that the Go runtime itself needs (pclntab). It is found by what its header looks like: in
 * position-independent binaries it has no section of its own.
 *
 * Layout: Go 1.18 to 1.27 runtime/symtab.go, pcHeader; since Go 1.26 it does not tell where the code
 * begins, which only moduledata does, whose first two fields point to the header and to the names.
 */
#include "elf/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_AT         24 /* pcHeader.textStart */
#define MODULE_NAMES_AT 8  /* moduledata.funcnametab */
#define MODULE_TEXT_AT  176
#define MODULE_TYPES_AT 296 /* Go 1.20 and later */
#define GOFUNC_118      304 /* moduledata.gofunc */
#define GOFUNC_120      320
#define GOFUNC_127      344
#define MAX_TABLE_BYTES (128UL << 20)
#define MAX_SECTIONS    65536
#define MAX_TRIES       16 /* things that look like a header */
#define MAX_SEARCH      (1UL << 30)
#define MAX_DATA_BYTES  (64UL << 20) /* looked through for moduledata */
#define CHUNK_BYTES     (1UL << 20)

DEFINE_CLEANUP(funcs, struct gofuncs, gofuncs_done(value))

/* A pointer that the dynamic linker writes. */
struct pointer {
	uint64_t vaddr, value;
};

/* Finds the one at this vaddr, or when that is 0 the first with this value. */
static bool find_relative(Elf_Data *data, struct pointer *pointer)
{
	size_t nr_relocations = data ? data->d_size / sizeof(Elf64_Rela) : 0;
	GElf_Rela rela;

	for (size_t i = 0; i < nr_relocations && i < INT32_MAX; i++) {
		if (!gelf_getrela(data, (int)i, &rela))
			return false;
		if ((pointer->vaddr ? rela.r_offset != pointer->vaddr
				    : (uint64_t)rela.r_addend != pointer->value) ||
		    (GELF_R_TYPE(rela.r_info) != R_X86_64_RELATIVE &&
		     GELF_R_TYPE(rela.r_info) != R_AARCH64_RELATIVE))
			continue;
		*pointer = (struct pointer){ rela.r_offset, (uint64_t)rela.r_addend };
		return true;
	}
	return false;
}

/* The same in all relocations. What is not there becomes 0. */
static struct pointer relocated(const struct image *image, struct pointer pointer)
{
	Elf_Scn *section = NULL;

	for (int i = 0; i < MAX_SECTIONS; i++) {
		GElf_Shdr header;

		section = elf_nextscn(image->elf, section);
		if (!section || !gelf_getshdr(section, &header))
			break;
		if (header.sh_type == SHT_RELA && (header.sh_flags & SHF_ALLOC) &&
		    find_relative(elf_getdata(section, NULL), &pointer))
			return pointer;
	}
	return (struct pointer){ 0 };
}

/* The pointer at @vaddr as the dynamic linker writes it, else as the file has it. */
static uint64_t pointer_at(const struct image *image, uint64_t vaddr)
{
	uint64_t value = relocated(image, (struct pointer){ .vaddr = vaddr }).value;

	if (!value)
		image_read(image, vaddr, &value, sizeof(value));
	return value;
}

/* What a hostile file can make us do ends with the two limits. */
struct search {
	uint8_t *chunk; /* CHUNK_BYTES + PCLNTAB_HEADER_BYTES; owned */
	uint64_t left;  /* bytes that may still be looked through */
	unsigned int tries;
};

DEFINE_CLEANUP(search, struct search, free(value->chunk))

/* The vaddr where the file has moduledata among its data, by its two pointers; 0: nowhere. */
static uint64_t find_module(const struct image *image, struct search *search,
			    const uint64_t pointers[2])
{
	for (size_t i = 0; i < image->nr_segments; i++) {
		const struct segment *segment = &image->segments[i];
		uint64_t size = segment->writable ? MIN(segment->file_bytes, search->left) : 0;

		search->left -= size;
		for (uint64_t at = 0; at < size; at += CHUNK_BYTES) {
			uint64_t vaddr = segment->vaddr + at;
			long len = image_read(image, vaddr, search->chunk,
					      CHUNK_BYTES + sizeof(pointers[0]));

			for (uint64_t in = -vaddr % 8; (long)(in + 16) <= len; in += 8)
				if (!memcmp(search->chunk + in, pointers, 16))
					return vaddr + in;
		}
	}
	return 0;
}

/* The vaddr of the moduledata of the table at @vaddr; 0: not to be had. */
static uint64_t module_of(const struct image *image, uint64_t vaddr, const uint8_t *header)
{
	struct search search __cleanup_of(search) = { .left = MAX_DATA_BYTES };
	uint64_t pointers[2] = { vaddr, vaddr + pclntab_names_offset(header) }, module;

	search.chunk = malloc(CHUNK_BYTES + sizeof(pointers[0]));
	if (!search.chunk)
		return 0;
	module = find_module(image, &search, pointers);
	if (!module)
		module = relocated(image, (struct pointer){ .value = vaddr }).vaddr;
	if (!module || pointer_at(image, module + MODULE_NAMES_AT) != pointers[1])
		return 0;
	return module;
}

/* The vaddr that offsets of code count from; 0: not to be had. @module: 0 if not known. */
static uint64_t text_of(const struct image *image, uint64_t vaddr, uint64_t module)
{
	uint64_t text = pointer_at(image, vaddr + TEXT_AT);

	if (!image_is_executable(image, text) && module)
		text = pointer_at(image, module + MODULE_TEXT_AT);
	return image_is_executable(image, text) ? text : 0;
}

/* Where the trees of inlined calls are. Since Go 1.20 etypes, a higher address, stands behind types;
 * since Go 1.27 a length does, and three fields more stand before gofunc. */
static uint64_t inline_trees_of(const struct image *image, uint64_t module,
				enum pclntab_version version)
{
	uint64_t types, next;

	if (version == PCLNTAB_GO_118)
		return pointer_at(image, module + GOFUNC_118);
	types = pointer_at(image, module + MODULE_TYPES_AT);
	next = pointer_at(image, module + MODULE_TYPES_AT + 8);
	return pointer_at(image, module + (types <= next ? GOFUNC_120 : GOFUNC_127));
}

/* Takes the table with @header at @vaddr, when it is one. @left: bytes up to the segment's end. */
static int load_table(const struct image *image, uint64_t vaddr, uint64_t left,
		      const uint8_t *header, struct gofuncs *ret_funcs)
{
	struct gofuncs funcs __cleanup_of(funcs) = { 0 };
	size_t len = MIN(left, MAX_TABLE_BYTES);
	uint64_t module = module_of(image, vaddr, header), text = text_of(image, vaddr, module);

	if (!text)
		return -ENOENT;
	funcs.bytes = malloc(len);
	if (!funcs.bytes)
		return -ENOMEM;
	if (image_read(image, vaddr, funcs.bytes, len) != (long)len ||
	    pclntab_parse(funcs.bytes, len, text, &funcs.table))
		return -ENOENT;
	if (module)
		funcs.inline_trees = inline_trees_of(image, module, funcs.table.version);
	*ret_funcs = funcs;
	funcs = (struct gofuncs){ 0 };
	return 0;
}

/* Looks through CHUNK_BYTES at @vaddr. @left: bytes up to the segment's end. */
static int search_chunk(const struct image *image, uint64_t vaddr, uint64_t left,
			struct search *search, struct gofuncs *ret_funcs)
{
	long len = image_read(image, vaddr, search->chunk, CHUNK_BYTES + PCLNTAB_HEADER_BYTES);
	enum pclntab_version version;
	int err = -ENOENT;

	for (uint64_t at = -vaddr % 8; (long)(at + PCLNTAB_HEADER_BYTES) <= len && err == -ENOENT;
	     at += 8) {
		if (!pclntab_is_header(search->chunk + at, &version) || !search->tries)
			continue;
		search->tries--;
		err = load_table(image, vaddr + at, left - at, search->chunk + at, ret_funcs);
	}
	return err;
}

int gofuncs_find(const struct image *image, struct gofuncs *ret_funcs)
{
	struct search search __cleanup_of(search) = { .left = MAX_SEARCH, .tries = MAX_TRIES };
	int err = -ENOENT;

	search.chunk = malloc(CHUNK_BYTES + PCLNTAB_HEADER_BYTES);
	if (!search.chunk)
		return -ENOMEM;
	for (size_t i = 0; i < image->nr_segments; i++) {
		const struct segment *segment = &image->segments[i];
		uint64_t size = MIN(MIN(segment->file_bytes, image->size_bytes), search.left);

		search.left -= size;
		for (uint64_t at = 0; at < size && err == -ENOENT; at += CHUNK_BYTES)
			err = search_chunk(image, segment->vaddr + at, size - at, &search,
					   ret_funcs);
	}
	return err;
}

void gofuncs_done(struct gofuncs *funcs)
{
	free(funcs->bytes);
	*funcs = (struct gofuncs){ 0 };
}
