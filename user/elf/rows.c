/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tables of unwind rows: sorted, without overlaps, equal neighbours joined, gaps marked.
 */
#include "elf/cfi.h"

#include <errno.h>
#include <stdlib.h>

#include "base/base.h"

/* Rows in an array that is large enough from the start. */
struct row_table {
	struct lb_row *rows; /* owned */
	size_t nr_rows;
};

/* Room for @most rows. -ENOMEM. */
static int row_table_new(size_t most, struct row_table *ret_table)
{
	struct lb_row *rows = calloc(MAX(most, 1), sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	*ret_table = (struct row_table){ .rows = rows };
	return 0;
}

static void row_table_done(struct row_table *table)
{
	free(table->rows);
}

DEFINE_CLEANUP(table, struct row_table, row_table_done(value))
DEFINE_CLEANUP(builder, struct row_builder, row_builder_done(value))
DEFINE_CLEANUP(rows, struct unwind_rows *, unwind_rows_free(*value))

/* By start; of those that start together the first of the section comes last. */
static int range_compare(const void *left, const void *right)
{
	const struct row_range *a = left, *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return (a->first_row < b->first_row) - (a->first_row > b->first_row);
}

static void sort_ranges(struct row_builder *builder)
{
	for (size_t i = 1; i < builder->nr_ranges; i++) {
		if (builder->ranges[i - 1].start < builder->ranges[i].start)
			continue;
		qsort(builder->ranges, builder->nr_ranges, sizeof(*builder->ranges), range_compare);
		return;
	}
}

static void table_append(struct row_table *table, uint32_t pc, uint32_t rule)
{
	uint32_t last = table->nr_rows ? table->rows[table->nr_rows - 1].rule : LB_RULE_NONE;

	if (rule != last)
		table->rows[table->nr_rows++] = (struct lb_row){ .pc = pc, .rule = rule };
}

/* Adds the rows of @range that lie before @limit, where the next one starts. A range without rows
 * is one that found no room. */
static void table_append_range(struct row_table *table, const struct row_builder *builder,
			       const struct row_range *range, uint32_t limit)
{
	if (!range->nr_rows && range->start < limit)
		table_append(table, range->start, LB_RULE_BAD);
	for (uint32_t i = 0; i < range->nr_rows; i++) {
		const struct lb_row *row = &builder->rows[range->first_row + i];

		if (row->pc >= limit)
			return;
		table_append(table, row->pc, row->rule);
	}
	if (range->end < limit)
		table_append(table, range->end, LB_RULE_NONE);
}

/* Where ranges overlap the one that starts last wins, as in a search in .eh_frame_hdr. */
static int table_from_builder(struct row_builder *builder, struct row_table *ret_table)
{
	struct row_table table;

	/* a range that found no room takes two */
	if (row_table_new(builder->nr_rows + 2 * builder->nr_ranges, &table))
		return -ENOMEM;
	sort_ranges(builder);
	for (size_t i = 0; i < builder->nr_ranges; i++) {
		bool is_last = i + 1 == builder->nr_ranges;

		table_append_range(&table, builder, &builder->ranges[i],
				   is_last ? UINT32_MAX : builder->ranges[i + 1].start);
	}
	*ret_table = table;
	return 0;
}

/* Lays @above over @below, which shows through where @above knows nothing. */
static int table_overlay(const struct row_table *below, const struct row_table *above,
			 struct row_table *ret_table)
{
	uint32_t rule_below = LB_RULE_NONE, rule_above = LB_RULE_NONE;
	struct row_table table;
	size_t i = 0, k = 0;

	if (row_table_new(below->nr_rows + above->nr_rows, &table))
		return -ENOMEM;
	while (i < below->nr_rows || k < above->nr_rows) {
		uint32_t pc_below = i < below->nr_rows ? below->rows[i].pc : UINT32_MAX;
		uint32_t pc_above = k < above->nr_rows ? above->rows[k].pc : UINT32_MAX;
		uint32_t pc = MIN(pc_below, pc_above);

		if (i < below->nr_rows && pc_below == pc)
			rule_below = below->rows[i++].rule;
		if (k < above->nr_rows && pc_above == pc)
			rule_above = above->rows[k++].rule;
		table_append(&table, pc, rule_above == LB_RULE_NONE ? rule_below : rule_above);
	}
	*ret_table = table;
	return 0;
}

/* Puts what the builder has under what is there, and empties it. */
static int compile_builder(struct row_builder *builder, struct row_table *table)
{
	struct row_table below __cleanup_of(table) = { 0 };
	struct row_table both;
	int err = builder->error;

	if (!err)
		err = table_from_builder(builder, &below);
	if (!err)
		err = table_overlay(&below, table, &both);
	if (err)
		return err;
	row_table_done(table);
	*table = both;
	builder->nr_rows = builder->nr_ranges = 0;
	return 0;
}

static void add_go_rules(const struct go_rules *go, struct row_builder *builder)
{
	for (size_t i = 0; i < go->nr_rules; i++) {
		const struct go_rule *rule = &go->rules[i];

		if (!row_builder_begin(builder, rule->start, rule->end))
			row_builder_add(builder, rule->start, rule->rule);
	}
}

/* Gives back what was reserved and not used. */
static void table_trim(struct row_table *table)
{
	struct lb_row *trimmed;

	if (!table->nr_rows)
		return;
	trimmed = reallocarray(table->rows, table->nr_rows, sizeof(*trimmed));
	if (trimmed)
		table->rows = trimmed;
}

int cfi_compile(const struct cfi_source *source, struct unwind_rows **ret_rows)
{
	struct row_builder builder __cleanup_of(builder) = {
		.base = source->base,
		.low = source->low,
		.high = source->high,
	};
	struct unwind_rows *rows __cleanup_of(rows) = calloc(1, sizeof(*rows));
	struct row_table table __cleanup_of(table) = { 0 };
	int err = rows ? 0 : -ENOMEM;

	if (!err) {
		add_go_rules(&source->go, &builder);
		err = compile_builder(&builder, &table);
	}
	for (size_t i = 0; i < source->nr_sections && !err; i++) {
		cfi_walk(&source->sections[i], &builder);
		err = compile_builder(&builder, &table);
	}
	if (err)
		return err;
	table_trim(&table);
	rows->base = source->base;
	rows->nr_rows = table.nr_rows;
	rows->rows = take(table.rows);
	rows->nr_wide = builder.nr_wide;
	rows->wide = take(builder.wide);
	rows->stats = builder.stats;
	*ret_rows = take(rows);
	return 0;
}

uint32_t unwind_rows_find(const struct unwind_rows *rows, uint64_t vaddr)
{
	uint64_t pc = vaddr - rows->base;
	size_t low = 0, high = rows->nr_rows;

	if (pc > UINT32_MAX)
		return LB_RULE_NONE;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (rows->rows[middle].pc <= pc)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? rows->rows[low - 1].rule : LB_RULE_NONE;
}

size_t unwind_rows_bytes(const struct unwind_rows *rows)
{
	return rows->nr_rows * sizeof(*rows->rows) + rows->nr_wide * sizeof(*rows->wide);
}

struct unwind_rows *unwind_rows_free(struct unwind_rows *rows)
{
	if (!rows)
		return NULL;
	free(rows->rows);
	free(rows->wide);
	free(rows);
	return NULL;
}

const char *unwind_defect_name(enum unwind_defect defect)
{
	static const char *const names[UNWIND_DEFECT_MAX] = {
		[UNWIND_OK] = "none",
		[UNWIND_DEFECT_ENTRY] = "entry damaged",
		[UNWIND_DEFECT_CIE] = "CIE damaged or unknown",
		[UNWIND_DEFECT_RANGE] = "not in code",
		[UNWIND_DEFECT_INSTRUCTION] = "instruction damaged or unknown",
		[UNWIND_DEFECT_LIMIT] = "too many rows",
		[UNWIND_DEFECT_RETURN_ADDRESS] = "return address elsewhere",
		[UNWIND_DEFECT_CFA_REGISTER] = "CFA by another register",
		[UNWIND_DEFECT_CFA_EXPRESSION] = "CFA by another expression",
		[UNWIND_DEFECT_CFA_OFFSET] = "CFA offset out of range",
		[UNWIND_DEFECT_SIGNAL] = "signal frame of another form",
		[UNWIND_DEFECT_BP_LOST] = "frame pointer not recoverable",
	};

	return names[defect];
}
