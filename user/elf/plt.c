/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which function does an entry of the procedure linkage table jump to? Found by decoding the entry
 * down to the slot that it jumps through, and the relocation that fills the slot.
 */
#include "elf/image.h"

#include <stdlib.h>
#include <string.h>

#define MAX_SECTIONS 65536
#define MAX_SLOTS    (1UL << 20)
#define ENTRY_BYTES  24 /* longest entry: bti, adrp, ldr, add, br and one to spare */

static bool is_function_slot(const struct image *image, uint64_t info)
{
	uint64_t type = GELF_R_TYPE(info);

	if (image->machine == EM_X86_64)
		return type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT;
	return type == R_AARCH64_JUMP_SLOT || type == R_AARCH64_GLOB_DAT;
}

/* The name of dynamic symbol number @index. NULL: none. */
static const char *symbol_name(const struct image *image, Elf_Data *symbols, uint32_t strings,
			       uint64_t index)
{
	const char *name;
	GElf_Sym sym;

	if (index > INT32_MAX || !gelf_getsym(symbols, (int)index, &sym))
		return NULL;
	name = elf_strptr(image->elf, strings, sym.st_name);
	return name && *name ? name : NULL;
}

static int add_slot(struct plt_table *table, uint64_t vaddr, const char *name)
{
	int err = vec_reserve((void **)&table->slots, &table->capacity, table->nr_slots + 1,
			      sizeof(*table->slots));

	if (!err)
		table->slots[table->nr_slots++] = (struct plt_slot){ .vaddr = vaddr, .name = name };
	return err;
}

/* Adds the slots that the relocations of @section fill. */
static int add_relocations(struct image *image, Elf_Scn *section, const GElf_Shdr *header)
{
	Elf_Scn *linked = elf_getscn(image->elf, header->sh_link);
	Elf_Data *data = elf_getdata(section, NULL);
	size_t nr_relocations = data ? data->d_size / sizeof(Elf64_Rela) : 0;
	GElf_Shdr symbols_header;
	Elf_Data *symbols;
	int err = 0;

	if (!linked || !gelf_getshdr(linked, &symbols_header) ||
	    symbols_header.sh_type != SHT_DYNSYM)
		return 0;
	symbols = elf_getdata(linked, NULL);
	for (size_t i = 0; symbols && i < nr_relocations && !err; i++) {
		const char *name;
		GElf_Rela rela;

		if (!gelf_getrela(data, (int)i, &rela) || image->plt.nr_slots == MAX_SLOTS)
			break;
		if (!is_function_slot(image, rela.r_info))
			continue;
		name = symbol_name(image, symbols, symbols_header.sh_link, GELF_R_SYM(rela.r_info));
		if (name)
			err = add_slot(&image->plt, rela.r_offset, name);
	}
	return err;
}

static int compare_slots(const void *left, const void *right)
{
	const struct plt_slot *a = left, *b = right;

	return (a->vaddr > b->vaddr) - (a->vaddr < b->vaddr);
}

static void load_slots(struct image *image)
{
	Elf_Scn *section = NULL;
	int err = 0;

	if (image->plt.loaded)
		return;
	image->plt.loaded = true;
	for (int i = 0; i < MAX_SECTIONS && !err; i++) {
		GElf_Shdr header;

		section = elf_nextscn(image->elf, section);
		if (!section || !gelf_getshdr(section, &header))
			break;
		if (header.sh_type == SHT_RELA && (header.sh_flags & SHF_ALLOC))
			err = add_relocations(image, section, &header);
	}
	if (image->plt.nr_slots)
		qsort(image->plt.slots, image->plt.nr_slots, sizeof(*image->plt.slots),
		      compare_slots);
}

void plt_done(struct plt_table *table)
{
	free(table->slots);
	*table = (struct plt_table){ 0 };
}

/* [endbr64] [bnd] jmp *disp32(%rip): the slot is behind the instruction plus the displacement.
 * (x86-64 psABI 1.0, 5.2 "Procedure Linkage Table"; the IBT form puts endbr64 first.) */
static bool decode_x86(const uint8_t *code, size_t len, uint64_t vaddr, uint64_t *ret_slot)
{
	static const uint8_t endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	int32_t displacement;
	size_t at = 0;

	if (len >= sizeof(endbr64) && !memcmp(code, endbr64, sizeof(endbr64)))
		at += sizeof(endbr64);
	if (at < len && code[at] == 0xf2)
		at++;
	if (len < at + 6 || code[at] != 0xff || code[at + 1] != 0x25)
		return false;
	memcpy(&displacement, code + at + 2, sizeof(displacement));
	*ret_slot = vaddr + at + 6 + (uint64_t)(int64_t)displacement;
	return true;
}

/* [bti c] adrp x16, page; ldr x17, [x16, #offset]; add x16, x16, #offset; br x17
 * (ELF for the Arm 64-bit Architecture 2023Q3, and binutils 2.40 bfd/elfnn-aarch64.c,
 * elfNN_aarch64_small_plt_entry). */
static bool decode_aarch64(const uint8_t *code, size_t len, uint64_t vaddr, uint64_t *ret_slot)
{
	const uint32_t bti_c = 0xd503245f, br_x17 = 0xd61f0220;
	uint32_t word[ENTRY_BYTES / 4] = { 0 };
	size_t at;
	int64_t page;

	memcpy(word, code, MIN(len, sizeof(word)));
	at = word[0] == bti_c;
	if ((word[at] & 0x9f00001f) != 0x90000010 || (word[at + 1] & 0xffc003ff) != 0xf9400211 ||
	    word[at + 3] != br_x17)
		return false;
	page = (int64_t)((word[at] >> 5 & 0x7ffff) << 2 | (word[at] >> 29 & 3));
	page = (page ^ 0x100000) - 0x100000; /* 21 bits, signed */
	*ret_slot = ((vaddr + at * 4) & ~0xfffULL) + (uint64_t)page * 4096 +
		    (word[at + 1] >> 10 & 0xfff) * 8ULL;
	return true;
}

const char *image_plt_target(struct image *image, uint64_t vaddr)
{
	struct plt_slot wanted = { 0 };
	const struct plt_slot *slot;
	uint8_t code[ENTRY_BYTES];
	long len;
	bool found;

	if (!image_is_executable(image, vaddr))
		return NULL;
	len = image_read(image, vaddr, code, sizeof(code));
	if (len <= 0)
		return NULL;
	if (image->machine == EM_X86_64)
		found = decode_x86(code, (size_t)len, vaddr, &wanted.vaddr);
	else
		found = decode_aarch64(code, (size_t)len, vaddr, &wanted.vaddr);
	load_slots(image);
	if (!found || !image->plt.nr_slots)
		return NULL;
	slot = bsearch(&wanted, image->plt.slots, image->plt.nr_slots, sizeof(wanted),
		       compare_slots);
	return slot ? slot->name : NULL;
}
