/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finds the call frame information of an image and has it compiled.
 */
#include "elf/image.h"

#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "elf/cfi.h"

#define MAX_SECTION_BYTES (256UL << 20)
#define PAGE_BYTES        4096UL

DEFINE_CLEANUP(bytes, uint8_t *, free(*value))

/* Where the code of the image is. -ENOENT: it has none. */
static int find_code(const struct image *image, struct cfi_source *source)
{
	uint64_t base = UINT64_MAX, low = UINT64_MAX, high = 0;

	for (size_t i = 0; i < image->nr_segments; i++) {
		const struct segment *segment = &image->segments[i];

		base = MIN(base, segment->vaddr & ~(PAGE_BYTES - 1));
		if (!segment->executable)
			continue;
		low = MIN(low, segment->vaddr);
		high = MAX(high, segment->vaddr + segment->memory_bytes);
	}
	if (low >= high)
		return -ENOENT;
	source->base = base;
	source->low = low;
	source->high = high;
	return 0;
}

/* Copies the loaded bytes at @vaddr, as many of @len as the file has. */
static int copy_loaded(const struct image *image, uint64_t vaddr, uint64_t len, uint8_t **ret_bytes,
		       size_t *ret_len)
{
	uint8_t *bytes __cleanup_of(bytes) = NULL;
	long done;

	len = MIN(len, MIN(MAX_SECTION_BYTES, image->size_bytes));
	if (!len)
		return -ENOENT;
	bytes = malloc(len);
	if (!bytes)
		return -ENOMEM;
	done = image_read(image, vaddr, bytes, len);
	if (done <= 0)
		return -ENOENT;
	*ret_bytes = take(bytes);
	*ret_len = (size_t)done;
	return 0;
}

static bool is_eh_frame_header(const struct image *image, int index, GElf_Phdr *header)
{
	return gelf_getphdr(image->elf, index, header) && header->p_type == PT_GNU_EH_FRAME;
}

/* The start of .eh_frame as told by its header, which survives when the section table does not.
 * LSB 5.0 Core, 10.6.2 The .eh_frame_hdr section. */
static int find_by_header(const struct image *image, uint64_t *ret_vaddr)
{
	uint8_t bytes[12];
	struct cfi_section section = { .bytes = bytes };
	struct cursor cursor = { .at = bytes + 4 };
	GElf_Phdr header = { 0 };
	size_t nr_headers;
	uint64_t vaddr;
	long len;
	int i = 0;

	if (elf_getphdrnum(image->elf, &nr_headers))
		return -ENOENT;
	while (i < (int)nr_headers && !is_eh_frame_header(image, i, &header))
		i++;
	if (i == (int)nr_headers)
		return -ENOENT;
	len = image_read(image, header.p_vaddr, bytes, sizeof(bytes));
	if (len < 8 || bytes[0] != 1 || !cfi_encoding_is_known(bytes[1]))
		return -ENOENT;
	section.vaddr = header.p_vaddr;
	cursor.end = bytes + len;
	vaddr = cfi_pointer(&section, &cursor, bytes[1]);
	if (cursor.bad)
		return -ENOENT;
	*ret_vaddr = vaddr;
	return 0;
}

/* Fills @section with .eh_frame, whose bytes the caller owns. -ENOENT: there is none. */
static int load_eh_frame(const struct image *image, struct cfi_section *section,
			 uint8_t **ret_bytes)
{
	GElf_Shdr header;
	int err;

	if (image_section(image, ".eh_frame", &header) && header.sh_type != SHT_NOBITS &&
	    !copy_loaded(image, header.sh_addr, header.sh_size, ret_bytes, &section->len)) {
		section->vaddr = header.sh_addr;
	} else {
		err = find_by_header(image, &section->vaddr);
		if (!err)
			err = copy_loaded(image, section->vaddr, UINT64_MAX, ret_bytes,
					  &section->len);
		if (err)
			return err;
		section->open_end = true;
	}
	section->bytes = *ret_bytes;
	return 0;
}

/* Unpacks a compressed section, which may claim any size. */
static int unpack(Elf_Scn *section, const GElf_Shdr *header, bool is_gnu)
{
	GElf_Chdr compression;
	Elf_Data *data;

	if (header->sh_flags & SHF_COMPRESSED) {
		if (!gelf_getchdr(section, &compression) ||
		    compression.ch_size > MAX_SECTION_BYTES || elf_compress(section, 0, 0) < 0)
			return -ENOENT;
		return 0;
	}
	if (!is_gnu)
		return 0;
	/* "ZLIB", then the size with the highest byte first */
	data = elf_rawdata(section, NULL);
	if (!data || data->d_size < 12 || memcmp(data->d_buf, "ZLIB\0\0\0\0", 8) ||
	    ((uint8_t *)data->d_buf)[8] >= MAX_SECTION_BYTES >> 24)
		return -ENOENT;
	return elf_compress_gnu(section, 0, 0) < 0 ? -ENOENT : 0;
}

/* Fills @section with .debug_frame, whose bytes the image owns. -ENOENT: there is none. */
static int load_debug_frame(const struct image *image, struct cfi_section *section)
{
	GElf_Shdr header;
	Elf_Data *data;
	Elf_Scn *found = image_section(image, ".debug_frame", &header);
	bool is_gnu = !found;

	if (is_gnu)
		found = image_section(image, ".zdebug_frame", &header);
	if (!found || header.sh_type == SHT_NOBITS || header.sh_size > MAX_SECTION_BYTES ||
	    unpack(found, &header, is_gnu))
		return -ENOENT;
	data = elf_rawdata(found, NULL);
	if (!data || !data->d_buf || !data->d_size)
		return -ENOENT;
	*section = (struct cfi_section){
		.bytes = data->d_buf,
		.len = MIN(data->d_size, MAX_SECTION_BYTES),
		.is_debug = true,
	};
	return 0;
}

int image_unwind_rows(struct image *image, struct unwind_rows **ret_rows)
{
	uint8_t *bytes __cleanup_of(bytes) = NULL;
	uint64_t start_ns = clock_monotonic_ns();
	struct cfi_source source = { 0 };
	struct unwind_rows *rows;
	int err = 0;

	if (image_machine(image) != EM_X86_64)
		return -ENOTSUP;
	if (!find_code(image, &source)) {
		err = load_eh_frame(image, &source.sections[0], &bytes);
		if (!err)
			source.nr_sections++;
		if (err != -ENOMEM && !image_is_go(image) &&
		    !load_debug_frame(image, &source.sections[source.nr_sections]))
			source.nr_sections++;
	}
	if (err != -ENOMEM && image_is_go(image))
		err = go_rules_find(image, &source.go);
	if (err == -ENOMEM)
		return err;
	err = cfi_compile(&source, &rows);
	if (err)
		return err;
	rows->stats.parse_ns = clock_monotonic_ns() - start_ns;
	*ret_rows = rows;
	return 0;
}
