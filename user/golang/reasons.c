/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The names of wait reasons, whose numbers change with each release, out of the process: the array
 * of strings that begins with "" and "GC assist marking" (Go 1.18 to 1.27 runtime/runtime2.go,
 * waitReasonStrings).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "golang/process.h"

#define MAX_VARIABLES    (64UL << 20)
#define MAX_REASON_BYTES 64
#define MAX_CANDIDATES   65536 /* that may be looked at in one range */

struct go_string {
	uint64_t address, len;
};

static const char second_reason[] = "GC assist marking";

static bool is_second_reason(struct golang *golang, uint64_t address)
{
	char text[sizeof(second_reason) - 1];

	return !memory_read(&golang->memory, address, text, sizeof(text)) &&
	       !memcmp(text, second_reason, sizeof(text));
}

static bool is_text(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return true;
}

/* Takes the strings of the array, up to what can not be one. */
static void take_reasons(struct golang *golang, const struct go_string *strings, size_t nr_strings)
{
	for (size_t i = 1; i < MIN(nr_strings, (size_t)MAX_REASONS); i++) {
		char text[MAX_REASON_BYTES + 1];

		if (!strings[i].len || strings[i].len > MAX_REASON_BYTES ||
		    memory_read(&golang->memory, strings[i].address, text, strings[i].len) ||
		    !is_text(text, strings[i].len))
			return;
		text[strings[i].len] = '\0';
		golang->reasons[i] = strings_intern(golang->symbols.strings, text);
	}
}

static bool search_range(struct golang *golang, const struct range *range, uint8_t *bytes,
			 size_t len)
{
	unsigned int left = MAX_CANDIDATES;

	if (memory_read(&golang->memory, range->start, bytes, len))
		return false;
	for (size_t at = 0; at + 2 * sizeof(struct go_string) <= len; at += 8) {
		struct go_string strings[MAX_REASONS];
		size_t nr = MIN((len - at) / sizeof(strings[0]), (size_t)MAX_REASONS);

		memcpy(strings, bytes + at, 2 * sizeof(strings[0]));
		if (strings[0].len || strings[1].len != sizeof(second_reason) - 1)
			continue;
		if (!left--)
			return false;
		if (!is_second_reason(golang, strings[1].address))
			continue;
		memcpy(strings, bytes + at, nr * sizeof(strings[0]));
		take_reasons(golang, strings, nr);
		return true;
	}
	return false;
}

int reasons_read(struct golang *golang)
{
	for (size_t i = 0; i < ARRAY_SIZE(golang->module.data); i++) {
		const struct range *range = &golang->module.data[i];
		size_t len = MIN(range->end - range->start, MAX_VARIABLES);
		uint8_t *bytes = malloc(len + 1);
		bool found;

		if (!bytes)
			return -ENOMEM;
		found = search_range(golang, range, bytes, len);
		free(bytes);
		if (found)
			return 0;
	}
	return -ENOENT;
}

const char *golang_wait_reason(const struct golang *golang, uint32_t number)
{
	return number < MAX_REASONS ? golang->reasons[number] : NULL;
}
