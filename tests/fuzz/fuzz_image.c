/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A file of any content is refused, or answers every question about it in the end: identity,
 * symbols, PLT entries, source frames, inlined calls, unwind rows. What is returned must be
 * consistent.
 */
#include <stdlib.h>
#include <string.h>

#include "elf/elf.h"

#define MAX_BYTES     65536 /* more only takes longer */
#define MAX_FUNCTIONS 64
#define ADDRESSES     32 /* looked at in each segment-sized step */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct context {
	struct image *image;
	unsigned int nr_visited, nr_inlined;
	uint64_t last;
};

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void check_frames(struct image *image, uint64_t vaddr)
{
	struct source_frame *frames;
	long nr_frames = image_source_frames(image, vaddr, &frames);

	for (long i = 0; i < nr_frames; i++) {
		require(!frames[i].function || *frames[i].function);
		require(frames[i].line >= 0 && (frames[i].inlined || i == nr_frames - 1));
	}
	if (nr_frames > 0)
		source_frames_free(frames, (size_t)nr_frames);
}

static void check_address(struct image *image, uint64_t vaddr)
{
	const char *target = image_plt_target(image, vaddr);
	struct symbol symbol;
	uint64_t offset;
	bool may_be_go = image_may_be_go_code(image, vaddr);
	char bytes[16];
	long len = image_read(image, vaddr, bytes, sizeof(bytes));

	require(len <= (long)sizeof(bytes));
	require(!may_be_go || image_is_go(image));
	require(!target || (*target && image_is_executable(image, vaddr)));
	if (!image_symbol_at(image, vaddr, &symbol)) {
		require(symbol.vaddr <= vaddr && *symbol.name);
		require(!symbol.size || vaddr - symbol.vaddr < symbol.size);
	}
	if (!image_vaddr_to_offset(image, vaddr, &offset))
		image_offset_to_vaddr(image, offset, &vaddr);
	check_frames(image, vaddr);
}

static int check_inlined(const char *name, void *opaque)
{
	struct context *context = opaque;

	require(strlen(name) < MAX_BYTES);
	return ++context->nr_inlined == MAX_FUNCTIONS;
}

static int check_function(const struct symbol *symbol, void *opaque)
{
	struct context *context = opaque;
	struct symbol found;

	require(symbol->is_function && *symbol->name && symbol->vaddr >= context->last);
	require(!image_find_function(context->image, symbol->name, &found));
	context->last = symbol->vaddr;
	check_address(context->image, symbol->vaddr);
	check_address(context->image, symbol->vaddr + symbol->size / 2);
	return ++context->nr_visited == MAX_FUNCTIONS;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct context context = { 0 };
	struct unwind_rows *rows;
	uint8_t id[BUILD_ID_MAX];

	if (size > MAX_BYTES || image_open_memory(data, size, &context.image))
		return 0;
	require(image_build_id(context.image, id) <= BUILD_ID_MAX);
	free(image_go_version(context.image));
	image_for_each_inlined(context.image, "", check_inlined, &context);
	image_for_each_function(context.image, check_function, &context);
	if (!image_unwind_rows(context.image, &rows))
		unwind_rows_free(rows);
	for (uint64_t i = 0; i < ADDRESSES; i++) {
		check_address(context.image, 0x1000 + i * 5);
		check_address(context.image, i << 59);
	}
	image_free(context.image);
	return 0;
}
