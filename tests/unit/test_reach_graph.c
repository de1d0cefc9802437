/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "reach/graph.h"

#define HEAP 0x7f0000000000ULL /* of memory that is made up */

/* --- look-up --- */

static void addresses_inside_are_found(void **state)
{
	static const struct block blocks[] = {
		{ .address = HEAP, .bytes = 13 },
		{ .address = HEAP + 16, .bytes = 0 },
		{ .address = HEAP + 32, .bytes = 4096 },
		{ .address = HEAP + (1ULL << 40), .bytes = 8 },
	};
	struct index index = { 0 };

	(void)state;
	assert_int_equal(index_build(&index, blocks, 4), 0);
	assert_int_equal(index.nr_spans, 2);
	assert_int_equal(index_find(&index, HEAP), 0);
	assert_int_equal(index_find(&index, HEAP + 12), 0);
	assert_int_equal(index_find(&index, HEAP + 13), INDEX_NONE);
	assert_int_equal(index_find(&index, HEAP + 16), 1);
	assert_int_equal(index_find(&index, HEAP + 17), INDEX_NONE);
	assert_int_equal(index_find(&index, HEAP + 32 + 4095), 2);
	assert_int_equal(index_find(&index, HEAP + 32 + 4096), INDEX_NONE);
	assert_int_equal(index_find(&index, HEAP + (1ULL << 39)), INDEX_NONE);
	assert_int_equal(index_find(&index, HEAP + (1ULL << 40) + 7), 3);
	assert_int_equal(index_find(&index, HEAP - 1), INDEX_NONE);
	assert_false(index_may_find(&index, HEAP - 1));
	assert_false(index_may_find(&index, HEAP + (1ULL << 40) + 8));
	index_done(&index);
}

static void no_blocks_have_no_addresses(void **state)
{
	struct index index = { 0 };

	(void)state;
	assert_int_equal(index_build(&index, NULL, 0), 0);
	assert_false(index_may_find(&index, 0));
	assert_false(index_may_find(&index, HEAP));
	assert_int_equal(index_find(&index, HEAP), INDEX_NONE);
	index_done(&index);
}

/* What the ledger holds may be nonsense: sizes that overlap and wrap around. */
static void absurd_sizes_are_bounded(void **state)
{
	static const struct block blocks[] = {
		{ .address = 0, .bytes = UINT64_MAX },
		{ .address = HEAP, .bytes = UINT64_MAX },
		{ .address = UINT64_MAX - 1, .bytes = UINT64_MAX },
	};
	struct index index = { 0 };

	(void)state;
	assert_int_equal(index_build(&index, blocks, 3), 0);
	assert_int_equal(index_find(&index, HEAP - 1), 0);
	assert_int_equal(index_find(&index, HEAP + 1), 1);
	assert_int_equal(index_find(&index, UINT64_MAX - 1), 2);
	index_done(&index);
}

/* The block with a byte at @address, found the slow way. */
static uint32_t find_slowly(const struct block *blocks, uint32_t nr, uint64_t address)
{
	for (uint32_t i = 0; i < nr; i++)
		if (address - blocks[i].address < blocks[i].bytes)
			return i;
	return INDEX_NONE;
}

static void random_heaps_are_searched_right(void **state)
{
	static struct block blocks[500];
	struct index index;
	unsigned int seed = 1;

	(void)state;
	for (int heap = 0; heap < 20; heap++) {
		uint64_t address = HEAP;

		for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
			uint64_t gap = 1ULL << rand_r(&seed) % (i % 50 ? 8 : 30);

			blocks[i] = (struct block){ .address = address + gap,
						    .bytes = 1 + (uint64_t)rand_r(&seed) % 300 };
			address += gap + blocks[i].bytes;
		}
		index = (struct index){ 0 };
		assert_int_equal(index_build(&index, blocks, ARRAY_SIZE(blocks)), 0);
		for (int i = 0; i < 2000; i++) {
			uint64_t near = blocks[(size_t)rand_r(&seed) % ARRAY_SIZE(blocks)].address;
			uint64_t wanted = near + (uint64_t)rand_r(&seed) % 700 - 200;

			assert_int_equal(index_find(&index, wanted),
					 find_slowly(blocks, ARRAY_SIZE(blocks), wanted));
		}
		index_done(&index);
	}
}

/* --- marking --- */

#define NR_BLOCKS   8
#define BLOCK_WORDS 4

/* Blocks of four words next to each other, and the words in them. */
struct heap {
	struct block blocks[NR_BLOCKS];
	uint64_t words[NR_BLOCKS][BLOCK_WORDS];
	struct graph graph;
};

static uint64_t at(unsigned int block)
{
	return HEAP + block * sizeof(uint64_t) * BLOCK_WORDS;
}

static void heap_make(struct heap *heap)
{
	memset(heap, 0, sizeof(*heap));
	for (unsigned int i = 0; i < NR_BLOCKS; i++)
		heap->blocks[i] =
			(struct block){ .address = at(i), .bytes = sizeof(heap->words[0]) };
	assert_int_equal(graph_build(&heap->graph, heap->blocks, NR_BLOCKS), 0);
}

/* Feeds the heap and what lies below it, then compares what was reached, as a string of digits. */
static void assert_reached(struct heap *heap, const uint64_t *roots, size_t nr_roots,
			   const char *wanted)
{
	char reached[NR_BLOCKS + 1] = "";
	size_t len = 0;

	graph_begin(&heap->graph);
	graph_feed(&heap->graph, HEAP - 4096, roots, nr_roots * sizeof(*roots), 8);
	graph_feed(&heap->graph, HEAP, heap->words, sizeof(heap->words), 8);
	assert_int_equal(graph_end(&heap->graph), 0);
	for (uint32_t i = 0; i < NR_BLOCKS; i++)
		if (graph_is_reached(&heap->graph, i))
			reached[len++] = (char)('0' + i);
	assert_string_equal(reached, wanted);
}

static void nothing_points_nowhere(void **state)
{
	struct heap heap;

	(void)state;
	heap_make(&heap);
	assert_reached(&heap, NULL, 0, "");
	graph_done(&heap.graph);
}

static void roots_reach_chains_in_both_directions(void **state)
{
	const uint64_t roots[] = { 5, at(3), 0 };
	struct heap heap;

	(void)state;
	heap_make(&heap);
	heap.words[3][1] = at(6);
	heap.words[6][0] = at(1);
	heap.words[1][3] = at(0);
	heap.words[4][0] = at(5); /* not reached itself */
	assert_reached(&heap, roots, 3, "0136");
	graph_done(&heap.graph);
}

static void lost_rings_stay_lost(void **state)
{
	const uint64_t roots[] = { at(7) };
	struct heap heap;

	(void)state;
	heap_make(&heap);
	heap.words[0][0] = at(1);
	heap.words[1][0] = at(2);
	heap.words[2][0] = at(0);
	heap.words[3][0] = at(3); /* itself */
	assert_reached(&heap, roots, 1, "7");
	graph_done(&heap.graph);
}

static void many_pointers_of_one_block_all_count(void **state)
{
	const uint64_t roots[] = { at(7) };
	struct heap heap;

	(void)state;
	heap_make(&heap);
	heap.words[7][0] = at(0);
	heap.words[7][1] = at(0);
	heap.words[7][2] = at(2);
	heap.words[7][3] = at(0) + 8;
	heap.words[2][0] = at(4);
	heap.words[2][1] = at(5);
	heap.words[2][3] = at(4);
	assert_reached(&heap, roots, 1, "02457");
	graph_done(&heap.graph);
}

static void inner_and_tagged_pointers_count(void **state)
{
	const uint64_t roots[] = { at(0) + 31, at(2) | 7, at(4) | 0xfffa000000000000ULL, at(7) + 32,
				   at(6) ^ 0x5555555555555555ULL };
	struct heap heap;

	(void)state;
	heap_make(&heap);
	assert_reached(&heap, roots, 5, "024");
	graph_done(&heap.graph);
}

static void rounds_are_independent(void **state)
{
	const uint64_t roots[] = { at(1) };
	struct heap heap;

	(void)state;
	heap_make(&heap);
	heap.words[2][0] = at(3);
	assert_reached(&heap, roots, 1, "1");
	heap.words[1][0] = at(2);
	assert_reached(&heap, roots, 1, "123");
	heap.words[2][0] = 0;
	assert_reached(&heap, roots, 1, "12");
	assert_reached(&heap, NULL, 0, "");
	graph_done(&heap.graph);
}

/* A block that is fed in parts, and pointers that are told of after the memory. */
static void parts_and_late_roots_count(void **state)
{
	struct heap heap;

	(void)state;
	heap_make(&heap);
	heap.words[5][0] = at(0);
	heap.words[5][3] = at(1);
	graph_begin(&heap.graph);
	graph_feed(&heap.graph, at(5), &heap.words[5][0], 16, 8);
	graph_feed(&heap.graph, at(5) + 16, &heap.words[5][2], 16, 8);
	graph_root(&heap.graph, at(5) + 4);
	graph_root(&heap.graph, 4);
	assert_int_equal(graph_end(&heap.graph), 0);
	assert_true(graph_is_reached(&heap.graph, 5));
	assert_true(graph_is_reached(&heap.graph, 0));
	assert_true(graph_is_reached(&heap.graph, 1));
	assert_false(graph_is_reached(&heap.graph, 2));
	graph_done(&heap.graph);
}

static void code_points_from_any_address(void **state)
{
	char code[19] = { 0x48, (char)0xb8 }; /* mov $pointer, %rax */
	const uint64_t pointer = at(3);
	struct heap heap;

	(void)state;
	heap_make(&heap);
	memcpy(code + 2, &pointer, sizeof(pointer));
	graph_begin(&heap.graph);
	graph_feed(&heap.graph, HEAP - 4096, code, sizeof(code), 8);
	assert_int_equal(graph_end(&heap.graph), 0);
	assert_false(graph_is_reached(&heap.graph, 3));
	graph_begin(&heap.graph);
	graph_feed(&heap.graph, HEAP - 4096, code, sizeof(code), 1);
	assert_int_equal(graph_end(&heap.graph), 0);
	assert_true(graph_is_reached(&heap.graph, 3));
	graph_done(&heap.graph);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_inside_are_found),
		cmocka_unit_test(no_blocks_have_no_addresses),
		cmocka_unit_test(absurd_sizes_are_bounded),
		cmocka_unit_test(random_heaps_are_searched_right),
		cmocka_unit_test(nothing_points_nowhere),
		cmocka_unit_test(roots_reach_chains_in_both_directions),
		cmocka_unit_test(lost_rings_stay_lost),
		cmocka_unit_test(many_pointers_of_one_block_all_count),
		cmocka_unit_test(inner_and_tagged_pointers_count),
		cmocka_unit_test(rounds_are_independent),
		cmocka_unit_test(parts_and_late_roots_count),
		cmocka_unit_test(code_points_from_any_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
