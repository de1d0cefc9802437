/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Writes call frame information by hand and compiles it.
 */
#ifndef TESTS_CFI_WRITER_H
#define TESTS_CFI_WRITER_H

#include "base/base.h"
#include "elf/cfi.h"

#define BASE  0x400000ULL
#define CODE  0x401000ULL
#define LIMIT 0x500000ULL

/* --- writing sections --- */

enum format { EH_FRAME, DEBUG_FRAME, DEBUG_FRAME_64 };

struct writer {
	struct buf buf;
	enum format format;
	size_t cie; /* offset of the CIE that FDEs refer to */
};

static void put(struct writer *writer, uint64_t value, size_t nr_bytes)
{
	buf_add(&writer->buf, (const char *)&value, nr_bytes);
}

/* Writes an entry: an id and the bytes behind it. */
static void put_entry(struct writer *writer, uint64_t id, const char *body, size_t len)
{
	size_t id_bytes = writer->format == DEBUG_FRAME_64 ? 8 : 4;

	if (writer->format == DEBUG_FRAME_64)
		put(writer, 0xffffffff, 4);
	put(writer, len + id_bytes, id_bytes);
	put(writer, id, id_bytes);
	buf_add(&writer->buf, body, len);
}

static void put_cie_bytes(struct writer *writer, const char *body, size_t len)
{
	writer->cie = writer->buf.len;
	put_entry(writer, writer->format == EH_FRAME ? 0 : UINT64_MAX, body, len);
}

#define put_cie(writer, body) put_cie_bytes(writer, body, sizeof(body) - 1)

/* version, no augmentation, alignments 1 and -8, return column 16, CFA = sp + 8, ra at CFA - 8 */
#define CIE_BODY "\1\0\1\x78\x10\x0c\7\x08\x90\1"

static void put_fde_bytes(struct writer *writer, uint64_t start, uint64_t size, const char *code,
			  size_t len)
{
	struct writer body = { 0 };
	bool is_eh = writer->format == EH_FRAME;

	put(&body, start, 8);
	put(&body, size, 8);
	buf_add(&body.buf, code, len);
	put_entry(writer, is_eh ? writer->buf.len + 4 - writer->cie : writer->cie, body.buf.data,
		  body.buf.len);
	buf_done(&body.buf);
}

#define put_fde(writer, start, size, code)                                                         \
	put_fde_bytes(writer, start, size, code, sizeof(code) - 1)

static struct cfi_section section_of(const struct writer *writer)
{
	return (struct cfi_section){
		.bytes = (const uint8_t *)writer->buf.data,
		.len = writer->buf.len,
		.is_debug = writer->format != EH_FRAME,
	};
}

static inline struct unwind_rows *compile_sections(const struct writer *first,
						   const struct writer *second)
{
	struct cfi_source source = {
		.sections = { section_of(first), section_of(second ? second : first) },
		.nr_sections = second ? 2 : 1,
		.base = BASE,
		.low = CODE,
		.high = LIMIT,
	};
	struct unwind_rows *rows = NULL;

	assert_int_equal(cfi_compile(&source, &rows), 0);
	return rows;
}

#endif
