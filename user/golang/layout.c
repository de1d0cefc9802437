/* SPDX-License-Identifier: GPL-2.0-only */
#include "golang/layout.h"

#include <string.h>

#include "base/base.h"

#define SCAN_BIT        0x1000 /* _Gscan */
#define MAX_STACK_BYTES (4ULL << 30)
#define MAX_ID          (1ULL << 48)

/*
 * Of struct g in runtime/runtime2.go of each release. Two rows may cover the same release: of 1.26
 * there are builds from before three fields were added. Which one holds is found on the process.
 */
const struct g_layout g_layouts[] = {
	/* clang-format off */
	{ .first = 18, .last = 20, .sudog_c = 80,
	  .syscall_sp = 112, .syscall_pc = 120, .status = 144, .id = 152, .wait_since = 168,
	  .wait_reason = 176, .creator = 296, .start = 312, .waiting = 328, .labels = 360 },
	{ .first = 21, .last = 22, .sudog_c = 80,
	  .syscall_sp = 112, .syscall_pc = 120, .status = 144, .id = 152, .wait_since = 168,
	  .wait_reason = 176, .parent_id = 272, .creator = 280, .start = 296, .waiting = 312,
	  .labels = 344 },
	{ .first = 23, .last = 24, .sudog_c = 80,
	  .syscall_sp = 112, .syscall_pc = 120, .status = 152, .id = 160, .wait_since = 176,
	  .wait_reason = 184, .parent_id = 280, .creator = 288, .start = 304, .waiting = 320,
	  .labels = 352 },
	{ .first = 26, .last = 27, .sudog_c = 88,
	  .syscall_sp = 104, .syscall_pc = 112, .status = 144, .id = 152, .wait_since = 168,
	  .wait_reason = 176, .parent_id = 280, .creator = 288, .start = 304, .waiting = 320,
	  .labels = 352 },
	{ .first = 25, .last = 26, .sudog_c = 80,
	  .syscall_sp = 104, .syscall_pc = 112, .status = 144, .id = 152, .wait_since = 168,
	  .wait_reason = 176, .parent_id = 272, .creator = 280, .start = 296, .waiting = 312,
	  .labels = 344 },
	/* clang-format on */
};
const size_t g_nr_layouts = ARRAY_SIZE(g_layouts);

bool release_fits(uint8_t first, uint8_t last, unsigned int minor, enum pclntab_version version)
{
	if (minor)
		return minor >= first && minor <= last;
	return version == PCLNTAB_GO_118 ? first < 20 : last >= 20;
}

bool layout_fits(const struct g_layout *layout, unsigned int minor, enum pclntab_version version)
{
	return release_fits(layout->first, layout->last, minor, version);
}

static uint64_t word_at(const uint8_t *bytes, size_t offset)
{
	uint64_t word;

	memcpy(&word, bytes + offset, sizeof(word));
	return word;
}

bool layout_keeps_frame(const struct g_layout *layout, const uint8_t *bytes, const struct g *g)
{
	uint64_t frame = word_at(bytes, layout->syscall_sp - sizeof(frame));

	return frame >= g->stack_low && frame < g->stack_high;
}

size_t layout_bytes(const struct g_layout *layout)
{
	return (size_t)layout->labels + sizeof(uint64_t);
}

bool layout_read(const struct g_layout *layout, uint64_t address, const uint8_t *bytes,
		 struct g *ret_g)
{
	if (word_at(bytes, G_SCHED_G) != address)
		return false;
	*ret_g = (struct g){
		.stack_low = word_at(bytes, G_STACK_LOW),
		.stack_high = word_at(bytes, G_STACK_HIGH),
		.sched_sp = word_at(bytes, G_SCHED_SP),
		.sched_pc = word_at(bytes, G_SCHED_PC),
		.syscall_sp = word_at(bytes, layout->syscall_sp),
		.syscall_pc = word_at(bytes, layout->syscall_pc),
		.id = word_at(bytes, layout->id),
		.parent_id = layout->parent_id ? word_at(bytes, layout->parent_id) : 0,
		.wait_since = word_at(bytes, layout->wait_since),
		.creator = word_at(bytes, layout->creator),
		.start = word_at(bytes, layout->start),
		.waiting = word_at(bytes, layout->waiting),
		.labels = word_at(bytes, layout->labels),
		.status = (uint32_t)word_at(bytes, layout->status) & ~(uint32_t)SCAN_BIT,
		.wait_reason = bytes[layout->wait_reason],
	};
	return true;
}

bool g_is_live(const struct g *g)
{
	return g->status != G_IDLE && g->status != G_DEAD && g->status != G_DEAD_EXTRA;
}

bool g_is_plausible(const struct g *g, const struct pclntab *table)
{
	struct go_function start, creator;

	if (g->status > G_DEAD_EXTRA || g->status == 5 || g->status == 7 || !g->id ||
	    g->id > MAX_ID || g->stack_low >= g->stack_high ||
	    g->stack_high - g->stack_low > MAX_STACK_BYTES)
		return false;
	/* those that C code entered by have no start; those of the start-up no creator */
	if (g->start && (pclntab_function_at(table, g->start, &start) || start.entry != g->start))
		return false;
	return !g->creator || !pclntab_function_at(table, g->creator, &creator);
}
