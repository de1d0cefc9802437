/* SPDX-License-Identifier: GPL-2.0-only */
/* What was there before: stacks by kind and function names. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "filter/private.h"

#define MAX_FRAMES 1024

/* FNV-1a, with the final zero of the string as separator. */
static uint64_t hash_string(uint64_t hash, const char *text)
{
	do {
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ULL;
	} while (*text++);
	return hash;
}

/* Frames without a name count by their file's name. */
static uint64_t hash_stack(const char *kind, const struct stack *stack)
{
	uint64_t hash = hash_string(0xcbf29ce484222325ULL, kind);
	size_t i;

	for (i = 0; i < stack->nr_frames; i++) {
		const struct frame *frame = &stack->frames[i];
		const char *name = frame->function ? frame->function : frame->module;

		hash = hash_string(hash, name ? name : "");
	}
	return hash;
}

static int compare(const void *a, const void *b)
{
	uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;

	return (first > second) - (first < second);
}

int filter_add_stack(struct filter *filter, const char *kind, const struct stack *stack)
{
	void *hashes = filter->hashes;

	if (!stack || stack->nr_frames == 0)
		return 0;
	if (vec_reserve(&hashes, &filter->hashes_capacity, filter->nr_hashes + 1, sizeof(uint64_t)))
		return -ENOMEM;
	filter->hashes = hashes;
	filter->hashes[filter->nr_hashes++] = hash_stack(kind, stack);
	filter->is_sorted = false;
	return 0;
}

bool baseline_has(struct filter *filter, const char *kind, const struct stack *stack)
{
	uint64_t hash;

	if (!stack || stack->nr_frames == 0 || filter->nr_hashes == 0)
		return false;
	if (!filter->is_sorted)
		qsort(filter->hashes, filter->nr_hashes, sizeof(hash), compare);
	filter->is_sorted = true;
	hash = hash_stack(kind, stack);
	return bsearch(&hash, filter->hashes, filter->nr_hashes, sizeof(hash), compare) != NULL;
}

DEFINE_CLEANUP(json, json_t *, json_decref(*value))

/* @finding may be anything. */
static int add_finding(struct filter *filter, const json_t *finding)
{
	const char *kind = json_string_value(json_object_get(finding, "kind"));
	const json_t *frames = json_object_get(finding, "stack");
	struct frame copies[MAX_FRAMES] = { 0 };
	struct stack stack = { .frames = copies };

	if (!kind || json_array_size(frames) > MAX_FRAMES)
		return -EINVAL;
	stack.nr_frames = json_array_size(frames);
	for (size_t i = 0; i < stack.nr_frames; i++) {
		const json_t *frame = json_array_get(frames, i);

		copies[i].function = json_string_value(json_object_get(frame, "function"));
		copies[i].module = json_string_value(json_object_get(frame, "module"));
	}
	return filter_add_stack(filter, kind, &stack);
}

int filter_add_report(struct filter *filter, const char *path, const char *text, size_t len,
		      struct error *error)
{
	json_error_t wrong = { 0 };
	json_t *document __cleanup_of(json) = json_loadb(text, len, 0, &wrong);
	const char *schema = json_string_value(json_object_get(document, "schema"));
	const json_t *findings = json_object_get(document, "findings");

	if (!document)
		return error_set(error, -EINVAL, "the baseline '%s' is no JSON: line %d: %s", path,
				 wrong.line, wrong.text);
	if (!schema || strcmp(schema, "leakbpf/1") != 0 || !json_is_array(findings))
		return error_set(error, -EINVAL,
				 "the baseline '%s' is no report of leakbpf: make it with -f json",
				 path);
	for (size_t i = 0; i < json_array_size(findings); i++) {
		int code = add_finding(filter, json_array_get(findings, i));

		if (code)
			return error_set(error, code, "the baseline '%s': finding %zu: %s", path, i,
					 code == -ENOMEM ? "out of memory" : "it has no kind");
	}
	return 0;
}
