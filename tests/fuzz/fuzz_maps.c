/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Text of any content, as /proc/PID/maps (first byte even) or as a perf map of a JIT compiler
 * (odd): refused, or a sorted list in which everything is found again.
 */
#include <stdlib.h>
#include <string.h>

#include "proc/symbolizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void check_maps(const char *text, size_t len)
{
	struct maps maps = { 0 };
	uint64_t end = 0;

	if (maps_parse(text, len, &maps))
		return;
	for (size_t i = 0; i < maps.nr_mappings; i++) {
		const struct mapping *mapping = &maps.mappings[i];

		require(mapping->start >= end && mapping->start < mapping->end);
		require(strlen(mapping->perms) == 4 && strlen(mapping->path) <= len);
		require(maps_find(&maps, mapping->start) == mapping);
		require(maps_find(&maps, mapping->end - 1) == mapping);
		end = mapping->end;
	}
	maps_done(&maps);
}

/* In two pieces, as it comes when it is read while it is written. */
static void check_perf_map(const char *text, size_t len)
{
	struct perf_map *map = perf_map_new(0);
	uint64_t address = 0;
	const char *name;
	long used;

	require(map);
	used = perf_map_parse(map, text, len / 2);
	require(used >= 0 && (size_t)used <= len / 2);
	perf_map_find(map, 0x1000);
	used = perf_map_parse(map, text + used, len - (size_t)used);
	require(used >= 0);
	memcpy(&address, text, len < sizeof(address) ? len : sizeof(address));
	for (int i = 0; i < 64; i++) {
		name = perf_map_find(map, address >> i);
		require(!name || (*name && strlen(name) < len));
	}
	perf_map_free(map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] & 1)
		check_perf_map((const char *)data + 1, size - 1);
	else
		check_maps((const char *)data + 1, size - 1);
	return 0;
}
