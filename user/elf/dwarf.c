/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Opening DWARF: of the file itself or of its separate debug file, with what dwz moved out.
 *
 * libdw is kept from opening files by itself, because the names come out of the (hostile) file: the
 * alternate file is found here, and no function is called that looks for split DWARF (.dwo).
 */
#include <elfutils/libdwelf.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "elf/lines.h"

#define MAX_SECTIONS    65536
#define MAX_DWARF_BYTES (512ULL << 20)      /* unpacked; libdw keeps all of it in memory */
#define DEAR_NS         (NSEC_PER_SEC / 10) /* DWARF that takes longer to open is kept for a while */

/* What the section costs in memory; UINT64_MAX: not to be had. Only its header is read, while libelf
 * would load and keep the whole section. */
static uint64_t section_bytes(const struct image *image, const GElf_Shdr *header)
{
	bool is_wide = gelf_getclass(image->elf) == ELFCLASS64;
	Elf64_Chdr wide = { 0 };
	Elf32_Chdr narrow = { 0 };
	void *packed = is_wide ? (void *)&wide : (void *)&narrow;
	size_t size = is_wide ? sizeof(wide) : sizeof(narrow);

	if (!(header->sh_flags & SHF_COMPRESSED))
		return header->sh_size;
	if (image_read_at(image, header->sh_offset, packed, size) != (long)size)
		return UINT64_MAX;
	return MAX(header->sh_size, is_wide ? wide.ch_size : narrow.ch_size);
}

/* Has the file DWARF that is not too big for us? The old compressed form (.zdebug) is refused. */
static bool has_dwarf(const struct image *image)
{
	Elf_Scn *section = NULL;
	uint64_t total = 0;
	bool found = false;
	size_t names;

	if (elf_getshdrstrndx(image->elf, &names))
		return false;
	for (int i = 0; i < MAX_SECTIONS; i++) {
		const char *name;
		GElf_Shdr header;

		section = elf_nextscn(image->elf, section);
		if (!section || !gelf_getshdr(section, &header))
			break;
		name = elf_strptr(image->elf, names, header.sh_name);
		if (!name || header.sh_type == SHT_NOBITS)
			continue;
		if (!strncmp(name, ".zdebug_", 8))
			return false;
		if (strncmp(name, ".debug_", 7) != 0)
			continue;
		found |= !strcmp(name, ".debug_info");
		if (__builtin_add_overflow(total, section_bytes(image, &header), &total) ||
		    total > MAX_DWARF_BYTES)
			return false;
	}
	return found;
}

/* Opens the alternate file when its build-id is the one asked for. */
static struct image *open_alternate(const char *path, const void *id, size_t id_len)
{
	struct image *alternate __cleanup_image = NULL;

	if (image_open(path, &alternate) || alternate->build_id_len != id_len ||
	    memcmp(alternate->build_id, id, id_len) != 0)
		return NULL;
	return take(alternate);
}

/* .gnu_debugaltlink names it, absolute or relative to the debug file (dwz 0.15, dwz(1) -M). */
static struct image *find_alternate(const struct image *image, const struct image *owner,
				    const char *name, const void *id, size_t id_len)
{
	const char *roots[] = { image->debug_root, "" };
	char directory[PATH_MAX] = "";
	struct image *found = NULL;

	if (*name != '/' && image_directory(owner, directory, sizeof(directory)))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(roots) && !found; i++) {
		struct buf path __cleanup_buf = { 0 };

		if (!roots[i])
			continue;
		buf_printf(&path, "%s%s/%s", roots[i], directory, name);
		if (!path.error)
			found = open_alternate(path.data, id, id_len);
	}
	return found;
}

/* Without its alternate file the DWARF is refused: names would be missing everywhere, and libdw
 * would go looking for the file itself. */
static int set_alternate(struct lines *lines, const struct image *image, const struct image *owner)
{
	const char *name;
	const void *id;
	ssize_t id_len = dwelf_dwarf_gnu_debugaltlink(lines->dwarf, &name, &id);

	if (id_len == 0)
		return 0;
	if (id_len < 0)
		return -ENOEXEC;
	lines->alternate = find_alternate(image, owner, name, id, (size_t)id_len);
	if (!lines->alternate || !has_dwarf(lines->alternate))
		return -ENOENT;
	lines->alternate_dwarf = dwarf_begin_elf(lines->alternate->elf, DWARF_C_READ, NULL);
	if (!lines->alternate_dwarf)
		return -ENOEXEC;
	dwarf_setalt(lines->dwarf, lines->alternate_dwarf);
	return 0;
}

DEFINE_CLEANUP(lines, struct lines *, lines_free(*value))

static struct lines *open_lines(const struct image *image, const struct image *owner)
{
	struct lines *lines __cleanup_of(lines) = calloc(1, sizeof(*lines));
	uint64_t start_ns = clock_monotonic_ns();
	GElf_Shdr header;
	Elf_Scn *section;

	if (!lines)
		return NULL;
	lines->elf = image_begin_elf(owner);
	lines->dwarf = lines->elf ? dwarf_begin_elf(lines->elf, DWARF_C_READ, NULL) : NULL;
	if (!lines->dwarf || set_alternate(lines, image, owner) || lines_list_units(lines))
		return NULL;
	section = elf_section(lines->elf, ".debug_line", &header);
	lines->line_tables = section ? elf_getdata(section, NULL) : NULL;
	lines->opening_ns = clock_monotonic_ns() - start_ns;
	return take(lines);
}

struct lines *image_lines(struct image *image)
{
	image->lines_used = true;
	if (image->lines_loaded)
		return image->lines;
	image->lines_loaded = true;
	image_load_companions(image);
	if (has_dwarf(image))
		image->lines = open_lines(image, image);
	else if (image->debug && has_dwarf(image->debug))
		image->lines = open_lines(image, image->debug);
	return image->lines;
}

void image_trim(struct image *image)
{
	bool is_dear = image->lines && image->lines->opening_ns > DEAR_NS;

	if (!image->lines_used || !is_dear) {
		image->lines = lines_free(image->lines);
		image->lines_loaded = false;
	}
	image->lines_used = false;
}

struct lines *lines_free(struct lines *lines)
{
	if (!lines)
		return NULL;
	for (size_t i = 0; i < lines->nr_units; i++)
		code_ranges_done(&lines->units[i].functions);
	free(lines->units);
	code_ranges_done(&lines->unit_ranges);
	dwarf_end(lines->dwarf);
	elf_end(lines->elf);
	dwarf_end(lines->alternate_dwarf);
	image_free(lines->alternate);
	free(lines);
	return NULL;
}
