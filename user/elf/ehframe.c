/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The entries of .eh_frame and .debug_frame: CIEs (what many functions have in common) and FDEs
 * (one function each). Walked once from front to back; a CIE is parsed when an FDE refers to it.
 * LSB 5.0 Core, 10.6 Exception Frames; DWARF 5, 6.4.1 Structure of Call Frame Information.
 */
#include "elf/cfi.h"

#include <dwarf.h>
#include <errno.h>
#include <string.h>

#include "base/base.h"

/* Real ones take some 30 bytes. The limit keeps alternating CIEs from being parsed for long. */
#define MAX_CIE_BYTES 512
#define CIE_CACHE     16

struct cfi_entry {
	struct cursor body; /* behind the id */
	uint64_t id;
	size_t id_at; /* offset of the id in the section */
	bool is_64;   /* 64-bit DWARF */
};

struct cie {
	size_t at; /* offset in the section, 1 more: 0 is an unused slot of the cache */
	int error; /* 0 or -EBADMSG: FDEs of this CIE cannot be read */
	uint64_t code_align;
	int64_t data_align;
	uint8_t encoding; /* of pointers to code */
	bool augmented;   /* FDEs have augmentation data */
	bool is_signal;
	struct cfa_state initial;
};

struct cfi_walk {
	const struct cfi_section *section;
	struct row_builder *builder;
	struct cfa_machine machine;
	struct cie cies[CIE_CACHE]; /* direct-mapped by offset */
};

/* Reads the entry at @cursor. -ENOENT: a terminator; -EBADMSG: it does not fit the section. */
static int entry_read(const struct cfi_section *section, struct cursor *cursor,
		      struct cfi_entry *ret_entry)
{
	uint64_t len = cursor_fixed(cursor, 4);
	struct cfi_entry entry = { .is_64 = len == 0xffffffff };

	if (len == 0)
		return cursor->bad ? -EBADMSG : -ENOENT;
	if (entry.is_64)
		len = cursor_fixed(cursor, 8);
	else if (len >= 0xfffffff0)
		return -EBADMSG;
	entry.body = cursor_slice(cursor, len);
	entry.id_at = (size_t)(entry.body.at - section->bytes);
	/* the id in .eh_frame has 4 bytes in both formats */
	entry.id = cursor_fixed(&entry.body, entry.is_64 && section->is_debug ? 8 : 4);
	if (cursor->bad)
		return -EBADMSG;
	*ret_entry = entry;
	return 0;
}

static bool entry_is_cie(const struct cfi_section *section, const struct cfi_entry *entry)
{
	if (!section->is_debug)
		return entry->id == 0;
	return entry->id == (entry->is_64 ? DW_CIE_ID_64 : DW_CIE_ID_32);
}

/* The data that follow a "z". What a letter we do not know stands for cannot be skipped. */
static int cie_parse_augmentation(const struct cfi_section *section, struct cie *cie,
				  const char *letters, struct cursor data)
{
	uint8_t encoding;

	for (; *letters; letters++) {
		switch (*letters) {
		case 'L':
			cursor_fixed(&data, 1);
			break;
		case 'P':
			encoding = (uint8_t)cursor_fixed(&data, 1);
			if (!cfi_encoding_is_known(encoding & 0x7f))
				return -EBADMSG;
			cfi_pointer(section, &data, encoding);
			break;
		case 'R':
			cie->encoding = (uint8_t)cursor_fixed(&data, 1);
			break;
		case 'S':
			cie->is_signal = true;
			break;
		default:
			return -EBADMSG;
		}
	}
	return data.bad || !cfi_encoding_is_known(cie->encoding) ? -EBADMSG : 0;
}

/* Up to the initial instructions. */
static int cie_parse_header(const struct cfi_section *section, struct cie *cie, struct cursor *body)
{
	unsigned int version = (unsigned int)cursor_fixed(body, 1);
	const char *letters = (const char *)body->at;
	size_t nr_letters = strnlen(letters, cursor_left(body));
	uint64_t return_column;

	cursor_slice(body, nr_letters + 1);
	if ((version != 1 && version != 3 && version != 4) || body->bad)
		return -EBADMSG;
	if (version == 4 && cursor_fixed(body, 2) != 8) /* address bytes, segment bytes */
		return -EBADMSG;
	cie->code_align = cursor_uleb(body);
	cie->data_align = cursor_sleb(body);
	return_column = version == 1 ? cursor_fixed(body, 1) : cursor_uleb(body);
	if (return_column != CFI_DWARF_RA || body->bad)
		return -EBADMSG;
	if (!*letters)
		return 0;
	if (*letters != 'z')
		return -EBADMSG;
	cie->augmented = true;
	return cie_parse_augmentation(section, cie, letters + 1,
				      cursor_slice(body, cursor_uleb(body)));
}

/* Readies the machine for the instructions in @code. It is big and used for all of them, so it is
 * not cleared. */
static void machine_start(struct cfi_walk *walk, const struct cie *cie, struct cursor code)
{
	struct cfa_machine *machine = &walk->machine;

	machine->section = walk->section;
	machine->code = code;
	machine->pc = machine->end = 0;
	machine->code_align = cie->code_align;
	machine->data_align = cie->data_align;
	machine->encoding = cie->encoding;
	machine->state = cie->initial;
	machine->initial = NULL;
	machine->depth = 0;
}

static int cie_parse(struct cfi_walk *walk, size_t at, struct cie *cie)
{
	const struct cfi_section *section = walk->section;
	struct cursor cursor = { section->bytes + at, section->bytes + section->len, false };
	struct cfi_entry entry;
	int err;

	*cie = (struct cie){ .at = at + 1, .encoding = DW_EH_PE_absptr };
	err = entry_read(section, &cursor, &entry);
	if (err || !entry_is_cie(section, &entry) || cursor_left(&entry.body) > MAX_CIE_BYTES)
		return -EBADMSG;
	err = cie_parse_header(section, cie, &entry.body);
	if (err)
		return err;
	machine_start(walk, cie, entry.body);
	err = cfa_advance(&walk->machine);
	cie->initial = walk->machine.state;
	return err;
}

/* The CIE that @entry refers to. NULL: it is not there or cannot be read. */
static const struct cie *cie_of(struct cfi_walk *walk, const struct cfi_entry *entry)
{
	bool is_debug = walk->section->is_debug;
	uint64_t at = is_debug ? entry->id : entry->id_at - entry->id;
	struct cie *cie = &walk->cies[at / 4 % CIE_CACHE];

	if (is_debug ? at >= walk->section->len : entry->id > entry->id_at)
		return NULL;
	if (cie->at != at + 1)
		cie->error = cie_parse(walk, (size_t)at, cie);
	return cie->error ? NULL : cie;
}

/* Runs the instructions of an FDE. */
static enum unwind_defect fde_add_rows(struct cfi_walk *walk, const struct cie *cie)
{
	struct cfa_machine *machine = &walk->machine;
	enum unwind_defect defect;
	uint64_t pc;

	do {
		pc = machine->pc;
		/* the state after this call is that of [pc, machine->pc) */
		if (cfa_advance(machine))
			return UNWIND_DEFECT_INSTRUCTION;
		defect = row_builder_add(
			walk->builder, pc,
			rule_from_state(walk->builder, &machine->state, cie->is_signal));
	} while (!defect && machine->pc < machine->end);
	return defect;
}

/* Adds the range of an FDE. Returns UNWIND_OK or why it was not, or not well, added. */
static enum unwind_defect fde_add(struct cfi_walk *walk, struct cfi_entry *entry)
{
	const struct cie *cie = cie_of(walk, entry);
	struct cursor *body = &entry->body;
	enum unwind_defect defect;
	uint64_t start, len, end;

	if (!cie)
		return UNWIND_DEFECT_CIE;
	start = cfi_pointer(walk->section, body, cie->encoding);
	len = cfi_pointer(walk->section, body, cie->encoding & 0x0f);
	if (cie->augmented)
		cursor_slice(body, cursor_uleb(body));
	if (body->bad)
		return UNWIND_DEFECT_ENTRY;
	if (!len)
		return UNWIND_OK;
	if (__builtin_add_overflow(start, len, &end))
		return UNWIND_DEFECT_RANGE;
	defect = row_builder_begin(walk->builder, start, end);
	if (defect)
		return defect;
	machine_start(walk, cie, *body);
	walk->machine.pc = start;
	walk->machine.end = end;
	walk->machine.initial = &cie->initial;
	defect = fde_add_rows(walk, cie);
	if (defect)
		row_builder_spoil(walk->builder);
	return defect;
}

void cfi_walk(const struct cfi_section *section, struct row_builder *builder)
{
	struct cfi_walk walk = { .section = section, .builder = builder };
	struct cursor cursor = { section->bytes, section->bytes + section->len, false };
	enum unwind_defect defect = UNWIND_OK;
	struct cfi_entry entry;
	int err;

	while (cursor_left(&cursor) && !builder->error && defect != UNWIND_DEFECT_LIMIT) {
		err = entry_read(section, &cursor, &entry);
		/* linkers leave terminators in the middle too */
		if (err == -ENOENT && !section->open_end)
			continue;
		if (err == -EBADMSG)
			builder->stats.defects[UNWIND_DEFECT_ENTRY]++;
		if (err)
			break;
		if (entry_is_cie(section, &entry))
			continue;
		defect = fde_add(&walk, &entry);
		if (defect)
			builder->stats.defects[defect]++;
	}
	builder->stats.section_bytes += (size_t)(cursor.at - section->bytes);
}
