/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who a binary file is: build-id and Go marks.
 */
#include "elf/image.h"

#include <string.h>

#define MAX_HEADERS     65536
#define MAX_NOTES       1024
#define MAX_NOTES_BYTES (1UL << 20)

/* Go cmd/internal/buildid/note.go (1.23), elfGoBuildIDTag: owner "Go", type 4. */
#define GO_NOTE_BUILD_ID 4

#define GO_ID_BYTES 20

/* Go's build id is a long text; it becomes a binary id of the usual length (FNV-1a, three times
 * with other beginnings). It identifies, it does not protect. */
static size_t hash_go_id(const uint8_t *text, size_t len, uint8_t ret_id[BUILD_ID_MAX])
{
	uint64_t words[3];

	for (unsigned int i = 0; i < ARRAY_SIZE(words); i++) {
		words[i] = 0xcbf29ce484222325ULL + i;
		for (size_t k = 0; k < len; k++)
			words[i] = (words[i] ^ text[k]) * 0x100000001b3ULL;
	}
	memcpy(ret_id, words, GO_ID_BYTES);
	return GO_ID_BYTES;
}

/* Takes over what one note tells. A GNU build-id replaces one of Go. */
static void take_note(struct image *image, const GElf_Nhdr *note, const char *owner,
		      const uint8_t *bytes)
{
	if (note->n_namesz == sizeof("GNU") && !memcmp(owner, "GNU", sizeof("GNU"))) {
		if (note->n_type == NT_GNU_BUILD_ID && note->n_descsz &&
		    note->n_descsz <= BUILD_ID_MAX) {
			memcpy(image->build_id, bytes, note->n_descsz);
			image->build_id_len = note->n_descsz;
		}
	} else if (note->n_namesz == sizeof("Go") + 1 && !memcmp(owner, "Go", sizeof("Go")) &&
		   note->n_type == GO_NOTE_BUILD_ID) {
		image->is_go = true;
		if (!image->build_id_len)
			image->build_id_len = hash_go_id(bytes, note->n_descsz, image->build_id);
	}
}

static void read_notes(struct image *image, Elf_Data *data)
{
	size_t at = 0, name_offset, desc_offset;
	GElf_Nhdr note;

	if (!data || !data->d_buf)
		return;
	for (int i = 0; i < MAX_NOTES; i++) {
		at = gelf_getnote(data, at, &note, &name_offset, &desc_offset);
		if (!at)
			return;
		take_note(image, &note, (char *)data->d_buf + name_offset,
			  (uint8_t *)data->d_buf + desc_offset);
	}
}

static void read_note_segments(struct image *image)
{
	size_t nr_headers;

	if (elf_getphdrnum(image->elf, &nr_headers))
		return;
	for (size_t i = 0; i < MIN(nr_headers, (size_t)MAX_HEADERS); i++) {
		GElf_Phdr header;

		if (!gelf_getphdr(image->elf, (int)i, &header))
			return;
		if (header.p_type != PT_NOTE || header.p_filesz > MAX_NOTES_BYTES)
			continue;
		read_notes(image, elf_getdata_rawchunk(
					  image->elf, (int64_t)header.p_offset, header.p_filesz,
					  header.p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR));
	}
}

static void read_note_sections(struct image *image)
{
	Elf_Scn *section = NULL;

	for (int i = 0; i < MAX_HEADERS; i++) {
		GElf_Shdr header;

		section = elf_nextscn(image->elf, section);
		if (!section || !gelf_getshdr(section, &header))
			return;
		if (header.sh_type == SHT_NOTE && header.sh_size <= MAX_NOTES_BYTES)
			read_notes(image, elf_getdata(section, NULL));
	}
}

/* Segments first: they are what the kernel and the dynamic linker see, and exist without section
 * headers. Separate debug files often keep only the sections. */
void image_read_identity(struct image *image)
{
	static const char *const go_sections[] = { ".go.buildinfo", ".gopclntab" };
	GElf_Shdr header;

	read_note_segments(image);
	if (!image->build_id_len)
		read_note_sections(image);
	for (size_t i = 0; i < ARRAY_SIZE(go_sections) && !image->is_go; i++)
		image->is_go = image_section(image, go_sections[i], &header);
}
