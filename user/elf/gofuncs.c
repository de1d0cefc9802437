/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The functions of Go code in a binary whose symbols have been stripped, by the table of functions
 * that the Go runtime itself needs (pclntab). It is found by what its header looks like: in
 * position-independent binaries it has no section of its own.
 *
 * Layout: Go 1.18 to 1.25 runtime/symtab.go, pcHeader and functab; runtime/runtime2.go, _func.
 */
#include "elf/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES    72
#define NR_FUNCTIONS_AT 8
#define TEXT_AT         24
#define NAMES_AT        32
#define FUNCTIONS_AT    64
#define NAME_AT         4 /* in _func, which begins with the offset of the code */
#define ENTRY_BYTES     8 /* of functab: offset of the code, offset of _func */
#define MAX_TABLE_BYTES (128UL << 20)
#define MAX_NAME_BYTES  65536
#define MAX_SECTIONS    65536
#define MAX_TRIES       16 /* things that look like a header */
#define MAX_SEARCH      (1UL << 30)
#define CHUNK_BYTES     (1UL << 20)

DEFINE_CLEANUP(funcs, struct gofuncs, gofuncs_done(value))

static uint64_t header_word(const uint8_t *header, size_t at)
{
	uint64_t value;

	memcpy(&value, header + at, sizeof(value));
	return value;
}

/* --- finding the table --- */

static bool is_header(const uint8_t *bytes)
{
	static const uint8_t go_118[] = { 0xf0, 0xff, 0xff, 0xff, 0, 0 };
	static const uint8_t go_120[] = { 0xf1, 0xff, 0xff, 0xff, 0, 0 };

	return (!memcmp(bytes, go_118, sizeof(go_118)) || !memcmp(bytes, go_120, sizeof(go_120))) &&
	       (bytes[6] == 1 || bytes[6] == 4) && bytes[7] == 8;
}

/* Looks in the relocations of one section. */
static bool find_relative(Elf_Data *data, uint64_t vaddr, uint64_t *ret_value)
{
	size_t nr_relocations = data ? data->d_size / sizeof(Elf64_Rela) : 0;
	GElf_Rela rela;

	for (size_t i = 0; i < nr_relocations && i < INT32_MAX; i++) {
		if (!gelf_getrela(data, (int)i, &rela))
			return false;
		if (rela.r_offset != vaddr || (GELF_R_TYPE(rela.r_info) != R_X86_64_RELATIVE &&
					       GELF_R_TYPE(rela.r_info) != R_AARCH64_RELATIVE))
			continue;
		*ret_value = (uint64_t)rela.r_addend;
		return true;
	}
	return false;
}

/* The pointer at @vaddr as the dynamic linker writes it; 0: it does not. */
static uint64_t relocated(const struct image *image, uint64_t vaddr)
{
	Elf_Scn *section = NULL;
	uint64_t value = 0;

	for (int i = 0; i < MAX_SECTIONS; i++) {
		GElf_Shdr header;

		section = elf_nextscn(image->elf, section);
		if (!section || !gelf_getshdr(section, &header))
			break;
		if (header.sh_type == SHT_RELA && (header.sh_flags & SHF_ALLOC) &&
		    find_relative(elf_getdata(section, NULL), vaddr, &value))
			break;
	}
	return value;
}

/* Takes the table with @header at @vaddr, when it is one. @left: bytes up to the segment's end. */
static int load_table(const struct image *image, uint64_t vaddr, uint64_t left,
		      const uint8_t *header, struct gofuncs *ret_funcs)
{
	struct gofuncs funcs __cleanup_of(funcs) = { .len = MIN(left, MAX_TABLE_BYTES) };
	uint64_t nr_functions = header_word(header, NR_FUNCTIONS_AT);
	uint64_t names = header_word(header, NAMES_AT);
	uint64_t functions = header_word(header, FUNCTIONS_AT);

	/* behind the last entry stands the offset at which the last function ends */
	if (names < HEADER_BYTES || names > funcs.len || functions < HEADER_BYTES ||
	    functions > funcs.len || funcs.len - functions < 4 || !nr_functions ||
	    nr_functions > (funcs.len - functions - 4) / ENTRY_BYTES)
		return -ENOENT;
	funcs.nr_functions = nr_functions;
	funcs.names = names;
	funcs.functions = functions;
	funcs.text = header_word(header, TEXT_AT);
	if (!funcs.text || !image_is_executable(image, funcs.text))
		funcs.text = relocated(image, vaddr + TEXT_AT);
	if (!funcs.text || !image_is_executable(image, funcs.text))
		return -ENOENT;
	funcs.bytes = malloc(funcs.len);
	if (!funcs.bytes)
		return -ENOMEM;
	if (image_read(image, vaddr, funcs.bytes, funcs.len) != (long)funcs.len)
		return -ENOENT;
	*ret_funcs = funcs;
	funcs = (struct gofuncs){ 0 };
	return 0;
}

/* What a hostile file can make us do ends with the two limits. */
struct search {
	uint8_t *chunk; /* CHUNK_BYTES + HEADER_BYTES; owned */
	uint64_t left;  /* bytes that may still be looked through */
	unsigned int tries;
};

DEFINE_CLEANUP(search, struct search, free(value->chunk))

/* Looks through CHUNK_BYTES at @vaddr. @left: bytes up to the segment's end. */
static int search_chunk(const struct image *image, uint64_t vaddr, uint64_t left,
			struct search *search, struct gofuncs *ret_funcs)
{
	long len = image_read(image, vaddr, search->chunk, CHUNK_BYTES + HEADER_BYTES);
	int err = -ENOENT;

	for (uint64_t at = -vaddr % 8; (long)(at + HEADER_BYTES) <= len && err == -ENOENT;
	     at += 8) {
		if (!is_header(search->chunk + at) || !search->tries)
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

	search.chunk = malloc(CHUNK_BYTES + HEADER_BYTES);
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

/* --- reading it --- */

static bool read_u32(const struct gofuncs *funcs, size_t at, uint32_t *ret_value)
{
	if (at > funcs->len || funcs->len - at < sizeof(*ret_value))
		return false;
	memcpy(ret_value, funcs->bytes + at, sizeof(*ret_value));
	return true;
}

bool gofuncs_get(const struct gofuncs *funcs, size_t index, struct go_func *ret_func)
{
	size_t at = funcs->functions + index * ENTRY_BYTES;
	uint32_t start, record, end, own_start, name;
	const char *text;

	if (!read_u32(funcs, at, &start) || !read_u32(funcs, at + 4, &record) ||
	    !read_u32(funcs, at + ENTRY_BYTES, &end) || end <= start ||
	    !read_u32(funcs, funcs->functions + record, &own_start) || own_start != start ||
	    !read_u32(funcs, funcs->functions + record + NAME_AT, &name) ||
	    name >= funcs->len - funcs->names)
		return false;
	text = (const char *)funcs->bytes + funcs->names + name;
	if (!*text ||
	    !memchr(text, '\0', MIN(funcs->len - funcs->names - name, (size_t)MAX_NAME_BYTES)) ||
	    funcs->text > UINT64_MAX - end)
		return false;
	*ret_func = (struct go_func){ .name = text,
				      .start = funcs->text + start,
				      .end = funcs->text + end };
	return true;
}

void gofuncs_done(struct gofuncs *funcs)
{
	free(funcs->bytes);
	*funcs = (struct gofuncs){ 0 };
}
