/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Suppression files and baselines of any content: taken or refused with a sentence, and what is
 * taken matches stacks that hold pieces of it. An odd first byte: rules; an even one: a report.
 */
#include <stdlib.h>
#include <string.h>

#include "filter/filter.h"

#define NAME_BYTES 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* A stack of two frames that are named by the end of @text. */
static bool drops(struct filter *filter, const char *text, size_t size)
{
	char name[NAME_BYTES + 1] = { 0 };
	struct frame frames[] = {
		{ .function = name, .file = name, .module = name, .line = 1 },
		{ .function = "main" },
	};
	const struct stack stack = { .nr_frames = ARRAY_SIZE(frames), .frames = frames };

	memcpy(name, text + size - MIN(size, NAME_BYTES), MIN(size, NAME_BYTES));
	return filter_drops(filter, "heap", &stack);
}

static void check_filter(struct filter *filter, const char *text, size_t size)
{
	bool dropped = drops(filter, text, size);
	size_t nr_unused = 0, nr_used = filter_used(filter);

	require(dropped == (nr_used > 0));
	require(drops(filter, text, size) == dropped && filter_used(filter) == nr_used);
	while (filter_unused(filter, nr_unused))
		nr_unused++;
	require(nr_unused <= FILTER_MAX_RULES);
	filter_reset(filter);
	require(filter_used(filter) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct filter *filter = filter_new();
	struct error error = { 0 };
	const char *text = (const char *)data + 1;
	int code;

	require(filter);
	if (size > 0) {
		code = data[0] & 1 ? filter_add_rules(filter, "rules", text, size - 1, &error)
				   : filter_add_report(filter, "report", text, size - 1, &error);
		require(!code == !error.text[0]);
		check_filter(filter, text, size - 1);
	}
	filter_free(filter);
	return 0;
}
