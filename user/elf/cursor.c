/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bounded reading of encoded bytes. They are little-endian, as is the machine we run on.
 * DWARF 5, 7.6 Variable Length Data; LSB 5.0 Core, 10.5 DWARF Extensions (pointer encodings).
 */
#include "elf/cfi.h"

#include <dwarf.h>
#include <string.h>

size_t cursor_left(const struct cursor *cursor)
{
	return (size_t)(cursor->end - cursor->at);
}

static void cursor_fail(struct cursor *cursor)
{
	cursor->bad = true;
	cursor->at = cursor->end;
}

uint64_t cursor_fixed(struct cursor *cursor, size_t nr_bytes)
{
	uint64_t value = 0;

	if (cursor_left(cursor) < nr_bytes) {
		cursor_fail(cursor);
		return 0;
	}
	memcpy(&value, cursor->at, nr_bytes);
	cursor->at += nr_bytes;
	return value;
}

/* Reads the bits of a LEB128 number; *ret_shift: how many were given. */
static uint64_t cursor_leb(struct cursor *cursor, unsigned int *ret_shift, bool *ret_negative)
{
	uint64_t value = 0;
	unsigned int shift = 0;
	uint8_t byte;

	do {
		if (cursor->at == cursor->end || shift >= 70) {
			cursor_fail(cursor);
			*ret_shift = 0;
			*ret_negative = false;
			return 0;
		}
		byte = *cursor->at++;
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	*ret_shift = shift;
	*ret_negative = byte & 0x40;
	return value;
}

uint64_t cursor_uleb(struct cursor *cursor)
{
	unsigned int shift;
	bool negative;

	return cursor_leb(cursor, &shift, &negative);
}

int64_t cursor_sleb(struct cursor *cursor)
{
	unsigned int shift;
	bool negative;
	uint64_t value = cursor_leb(cursor, &shift, &negative);

	if (negative && shift < 64)
		value |= ~0ULL << shift;
	return (int64_t)value;
}

struct cursor cursor_slice(struct cursor *cursor, uint64_t nr_bytes)
{
	struct cursor slice = { .at = cursor->at };

	if (cursor_left(cursor) < nr_bytes) {
		cursor_fail(cursor);
		slice.at = cursor->end;
		slice.bad = true;
		nr_bytes = 0;
	}
	cursor->at += nr_bytes;
	slice.end = slice.at + nr_bytes;
	return slice;
}

bool cfi_encoding_is_known(uint8_t encoding)
{
	uint8_t application = encoding & 0xf0;

	switch (encoding & 0x0f) {
	case DW_EH_PE_absptr:
	case DW_EH_PE_uleb128:
	case DW_EH_PE_udata2:
	case DW_EH_PE_udata4:
	case DW_EH_PE_udata8:
	case DW_EH_PE_sleb128:
	case DW_EH_PE_sdata2:
	case DW_EH_PE_sdata4:
	case DW_EH_PE_sdata8:
		return application == 0 || application == DW_EH_PE_pcrel;
	default:
		return false;
	}
}

static uint64_t cursor_signed(struct cursor *cursor, size_t nr_bytes)
{
	uint64_t sign = 1ULL << (8 * nr_bytes - 1);
	uint64_t value = cursor_fixed(cursor, nr_bytes);

	return (value ^ sign) - sign;
}

/* The value without what the application part of @encoding adds to it. */
static uint64_t cursor_encoded(struct cursor *cursor, uint8_t encoding)
{
	switch (encoding & 0x0f) {
	case DW_EH_PE_uleb128:
		return cursor_uleb(cursor);
	case DW_EH_PE_sleb128:
		return (uint64_t)cursor_sleb(cursor);
	case DW_EH_PE_udata2:
		return cursor_fixed(cursor, 2);
	case DW_EH_PE_sdata2:
		return cursor_signed(cursor, 2);
	case DW_EH_PE_udata4:
		return cursor_fixed(cursor, 4);
	case DW_EH_PE_sdata4:
		return cursor_signed(cursor, 4);
	default:
		return cursor_fixed(cursor, 8);
	}
}

uint64_t cfi_pointer(const struct cfi_section *section, struct cursor *cursor, uint8_t encoding)
{
	uint64_t here = section->vaddr + (uint64_t)(cursor->at - section->bytes);
	uint64_t value = cursor_encoded(cursor, encoding);

	return (encoding & 0x70) == DW_EH_PE_pcrel ? value + here : value;
}
