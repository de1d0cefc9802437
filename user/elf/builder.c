/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Collects the rows of the functions of one section.
 */
#include "elf/cfi.h"

#include <errno.h>
#include <stdlib.h>

#include "base/base.h"

void row_builder_done(struct row_builder *builder)
{
	free(builder->rows);
	free(builder->ranges);
	free(builder->wide);
	*builder = (struct row_builder){ 0 };
}

/* Makes room for one more. */
static enum unwind_defect builder_reserve(struct row_builder *builder, void **items,
					  size_t *capacity, size_t used, size_t size)
{
	if (used < *capacity)
		return UNWIND_OK;
	if (used >= CFI_MAX_ROWS)
		return UNWIND_DEFECT_LIMIT;
	if (vec_reserve(items, capacity, used + 1, size))
		builder->error = -ENOMEM;
	return builder->error ? UNWIND_DEFECT_LIMIT : UNWIND_OK;
}

enum unwind_defect row_builder_begin(struct row_builder *builder, uint64_t start, uint64_t end)
{
	enum unwind_defect defect;

	if (start < builder->low || end > builder->high || end <= start ||
	    end - builder->base >= UINT32_MAX)
		return UNWIND_DEFECT_RANGE;
	defect = builder_reserve(builder, (void **)&builder->ranges, &builder->ranges_capacity,
				 builder->nr_ranges, sizeof(*builder->ranges));
	if (defect)
		return defect;
	builder->ranges[builder->nr_ranges++] = (struct row_range){
		.start = (uint32_t)(start - builder->base),
		.end = (uint32_t)(end - builder->base),
		.first_row = (uint32_t)builder->nr_rows,
	};
	builder->stats.nr_functions++;
	return UNWIND_OK;
}

enum unwind_defect row_builder_add(struct row_builder *builder, uint64_t pc, uint32_t rule)
{
	struct row_range *range = &builder->ranges[builder->nr_ranges - 1];
	enum unwind_defect defect;

	if (range->nr_rows && builder->rows[builder->nr_rows - 1].rule == rule)
		return UNWIND_OK;
	defect = builder_reserve(builder, (void **)&builder->rows, &builder->rows_capacity,
				 builder->nr_rows, sizeof(*builder->rows));
	if (defect)
		return defect;
	builder->rows[builder->nr_rows++] = (struct lb_row){
		.pc = (uint32_t)(pc - builder->base),
		.rule = rule,
	};
	range->nr_rows++;
	return UNWIND_OK;
}

void row_builder_spoil(struct row_builder *builder)
{
	struct row_range *range = &builder->ranges[builder->nr_ranges - 1];

	builder->nr_rows = range->first_row;
	range->nr_rows = 0;
	row_builder_add(builder, builder->base + range->start, LB_RULE_BAD);
}
