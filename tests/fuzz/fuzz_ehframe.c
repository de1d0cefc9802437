/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Call frame information of any content becomes rows that are sorted and refer to nothing that is
 * not there. First byte of the input: bit 0: .debug_frame; bit 1: the section's end is not known;
 * bit 2: the two halves of the rest are sections of their own. The rest is .eh_frame.
 */
#include <stdlib.h>

#include "elf/cfi.h"

#define MAX_BYTES 1024 /* more only takes longer */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void check_rows(const struct unwind_rows *rows)
{
	for (size_t i = 0; i < rows->nr_rows; i++) {
		const struct lb_row *row = &rows->rows[i];
		uint32_t type = LB_RULE_TYPE(row->rule);

		require(type < LB_RULE_MAX && type != LB_RULE_GO);
		require(type != LB_RULE_WIDE || LB_RULE_INDEX(row->rule) < rows->nr_wide);
		require(!i || (row->pc > row[-1].pc && row->rule != row[-1].rule));
		require(unwind_rows_find(rows, rows->base + row->pc) == row->rule);
	}
	require(!rows->nr_rows || rows->rows[0].rule != LB_RULE_NONE);
	require(!rows->nr_rows || rows->rows[rows->nr_rows - 1].rule == LB_RULE_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cfi_source source = { .base = 0x1000, .low = 0x1000, .high = 0xfffff000 };
	size_t first, len;
	unsigned int flags;
	struct unwind_rows *rows;

	if (!size || size > MAX_BYTES)
		return -1;
	flags = data[0];
	data++;
	len = size - 1;
	first = flags & 4 ? len / 2 : len;
	source.sections[0] = (struct cfi_section){
		.bytes = data,
		.len = first,
		.vaddr = flags & 1 ? 0 : 0x80000000,
		.is_debug = flags & 1,
		.open_end = flags & 2,
	};
	source.sections[1] = (struct cfi_section){
		.bytes = data + first,
		.len = len - first,
		.is_debug = true,
	};
	source.nr_sections = flags & 4 ? 2 : 1;
	if (cfi_compile(&source, &rows))
		return 0;
	check_rows(rows);
	unwind_rows_free(rows);
	return 0;
}
