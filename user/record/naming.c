/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers strings and modules, and gathers what the next chunk of names has to tell. */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "record/format.h"

struct numbered_string {
	uint64_t number;
	char *text; /* owned */
};

#define CHUNK_BYTES (1U << 20) /* so many bytes of names make a chunk */

/* A module path with a mapping of it. All numbers, so that two are compared as bytes. */
struct module_key {
	uint64_t path, build_id; /* numbers of strings */
	uint64_t has_mapping;
	uint64_t start, end, file_offset;
};

struct numbered_module {
	uint64_t number;
	struct module_key key;
};

/* What is new of one sort. */
struct fresh {
	struct buf bytes;
	uint64_t nr;
};

struct naming {
	void *strings, *modules; /* trees: tsearch(3) */
	void *stacks;            /* those told, as keys without kind */
	uint64_t nr_strings, nr_modules, nr_stacks, nr_frames, strings_bytes;
	struct fresh new_strings, new_modules, new_stacks;
	struct buf chunks; /* that are full */
};

static void string_free(void *value)
{
	struct numbered_string *string = value;

	if (string)
		free(string->text);
	free(string);
}

DEFINE_CLEANUP(string, struct numbered_string *, string_free(*value))
DEFINE_CLEANUP(module, struct numbered_module *, free(*value))
DEFINE_CLEANUP(key, struct lb_site_key *, free(*value))

static int string_compare(const void *left, const void *right)
{
	const struct numbered_string *a = left, *b = right;

	return strcmp(a->text, b->text);
}

static int module_compare(const void *left, const void *right)
{
	const struct numbered_module *a = left, *b = right;

	return memcmp(&a->key, &b->key, sizeof(a->key));
}

static int key_compare(const void *left, const void *right)
{
	return site_key_compare(left, right);
}

struct naming *naming_new(void)
{
	return calloc(1, sizeof(struct naming));
}

struct naming *naming_free(struct naming *naming)
{
	if (!naming)
		return NULL;
	tdestroy(naming->strings, string_free);
	tdestroy(naming->modules, free);
	tdestroy(naming->stacks, free);
	buf_done(&naming->new_strings.bytes);
	buf_done(&naming->new_modules.bytes);
	buf_done(&naming->new_stacks.bytes);
	buf_done(&naming->chunks);
	free(naming);
	return NULL;
}

static int add_string(struct naming *naming, const char *text, uint64_t *ret_number)
{
	struct numbered_string *string __cleanup_of(string) = calloc(1, sizeof(*string));
	struct numbered_string **place;

	if (!string)
		return -ENOMEM;
	string->number = naming->nr_strings + 1;
	string->text = strdup(text);
	place = string->text ? tsearch(string, &naming->strings, string_compare) : NULL;
	if (!place)
		return -ENOMEM;
	*place = take(string);
	*ret_number = ++naming->nr_strings;
	naming->strings_bytes += MIN(strlen(text), MAX_STRING_BYTES);
	naming->new_strings.nr++;
	put_string(&naming->new_strings.bytes, text);
	return naming->new_strings.bytes.error;
}

int naming_string(struct naming *naming, const char *text, uint64_t *ret_number)
{
	struct numbered_string wanted = { .text = (char *)text };
	struct numbered_string *const *found;

	*ret_number = 0;
	if (!text)
		return 0;
	found = tfind(&wanted, &naming->strings, string_compare);
	if (found) {
		*ret_number = (*found)->number;
		return 0;
	}
	if (naming->nr_strings == MAX_STRINGS ||
	    naming->strings_bytes > MAX_STRINGS_SUM - MAX_STRING_BYTES)
		return 0;
	return add_string(naming, text, ret_number);
}

static void put_module(struct buf *bytes, const struct module_key *key)
{
	put_number(bytes, key->path);
	put_number(bytes, key->has_mapping);
	if (!key->has_mapping)
		return;
	put_number(bytes, key->build_id);
	put_number(bytes, key->start);
	put_change(bytes, key->start, key->end);
	put_number(bytes, key->file_offset);
}

static int add_module(struct naming *naming, const struct module_key *key, uint64_t *ret_number)
{
	struct numbered_module *module __cleanup_of(module) = calloc(1, sizeof(*module));
	struct numbered_module **place;

	if (!module)
		return -ENOMEM;
	module->key = *key;
	module->number = naming->nr_modules + 1;
	place = tsearch(module, &naming->modules, module_compare);
	if (!place)
		return -ENOMEM;
	*place = take(module);
	*ret_number = ++naming->nr_modules;
	naming->new_modules.nr++;
	put_module(&naming->new_modules.bytes, key);
	return naming->new_modules.bytes.error;
}

static int module_key(struct naming *naming, const struct frame *frame, struct module_key *ret_key)
{
	const struct code_mapping *mapping = frame->mapping;
	struct module_key key = { 0 };
	int error = naming_string(naming, frame->module, &key.path);

	if (!error && mapping) {
		key.has_mapping = 1;
		key.start = mapping->start;
		key.end = mapping->end;
		key.file_offset = mapping->file_offset;
		error = naming_string(naming, mapping->build_id, &key.build_id);
	}
	*ret_key = key;
	return error;
}

static int module_number(struct naming *naming, const struct frame *frame, uint64_t *ret_number)
{
	struct numbered_module wanted = { 0 };
	struct numbered_module *const *found;
	int error = frame->module ? module_key(naming, frame, &wanted.key) : 0;

	*ret_number = 0;
	if (error || !frame->module)
		return error;
	found = tfind(&wanted, &naming->modules, module_compare);
	if (found) {
		*ret_number = (*found)->number;
		return 0;
	}
	return naming->nr_modules == MAX_MODULES ? 0 : add_module(naming, &wanted.key, ret_number);
}

static int put_frame(struct naming *naming, const struct frame *before, const struct frame *frame)
{
	struct buf *bytes = &naming->new_stacks.bytes;
	uint64_t function, file, module;
	int error = naming_string(naming, frame->function, &function);

	if (!error)
		error = naming_string(naming, frame->file, &file);
	if (!error)
		error = module_number(naming, frame, &module);
	if (error)
		return error;
	put_number(bytes, function);
	put_number(bytes, file);
	put_number(bytes, module);
	put_change(bytes, before->address, frame->address);
	put_change(bytes, before->offset - before->address, frame->offset - frame->address);
	put_number(bytes, FRAME_LINE(MAX(frame->line, 0), frame->inlined));
	return bytes->error;
}

static struct lb_site_key without_kind(const struct lb_site_key *key)
{
	return (struct lb_site_key){ .tgid = key->tgid, .stack = key->stack };
}

bool naming_knows(const struct naming *naming, const struct lb_site_key *key)
{
	const struct lb_site_key wanted = without_kind(key);

	return tfind(&wanted, &naming->stacks, key_compare);
}

void naming_forget(struct naming *naming, const struct lb_site_key *key)
{
	const struct lb_site_key wanted = without_kind(key);
	struct lb_site_key *const *found = tfind(&wanted, &naming->stacks, key_compare);
	struct lb_site_key *known = found ? *found : NULL;

	if (known)
		tdelete(&wanted, &naming->stacks, key_compare);
	free(known);
}

static int know_stack(struct naming *naming, const struct lb_site_key *key)
{
	struct lb_site_key *known __cleanup_of(key) = malloc(sizeof(*known));
	struct lb_site_key **place;

	if (!known)
		return -ENOMEM;
	*known = without_kind(key);
	place = tsearch(known, &naming->stacks, key_compare);
	if (!place)
		return -ENOMEM;
	*place = take(known);
	return 0;
}

static void put_fresh(struct buf *payload, struct fresh *fresh)
{
	put_number(payload, fresh->nr);
	buf_add(payload, fresh->bytes.data, fresh->bytes.len);
	if (fresh->bytes.error)
		payload->error = fresh->bytes.error;
	buf_reset(&fresh->bytes);
	fresh->nr = 0;
}

/* Makes a chunk of what is new. */
static int end_chunk(struct naming *naming)
{
	struct buf payload __cleanup_buf = { 0 };

	if (!naming->new_strings.nr && !naming->new_modules.nr && !naming->new_stacks.nr)
		return 0;
	put_fresh(&payload, &naming->new_strings);
	put_fresh(&payload, &naming->new_modules);
	put_fresh(&payload, &naming->new_stacks);
	return chunk_put(&naming->chunks, CHUNK_NAMES, &payload);
}

/* Chunks have a largest size, so many stacks take several. */
static int end_full_chunk(struct naming *naming)
{
	size_t len = naming->new_strings.bytes.len + naming->new_modules.bytes.len +
		     naming->new_stacks.bytes.len;

	return len < CHUNK_BYTES ? 0 : end_chunk(naming);
}

int naming_stack(struct naming *naming, const struct lb_site_key *key, const struct stack *stack)
{
	static const struct frame none;
	const struct frame *before = &none;
	size_t nr = MIN(stack->nr_frames, MAX_STACK_FRAMES);
	struct buf *bytes = &naming->new_stacks.bytes;
	int error = 0;

	if (naming->nr_stacks == MAX_STACKS || nr > MAX_FRAMES - naming->nr_frames ||
	    naming_knows(naming, key))
		return 0;
	put_number(bytes, key->tgid);
	put_number(bytes, key->stack);
	put_number(bytes, stack->flags);
	put_number(bytes, nr);
	for (size_t i = 0; i < nr && !error; i++) {
		error = put_frame(naming, before, &stack->frames[i]);
		before = &stack->frames[i];
	}
	naming->new_stacks.nr++;
	naming->nr_stacks++;
	naming->nr_frames += nr;
	if (!error)
		error = bytes->error;
	if (!error)
		error = know_stack(naming, key);
	return error ? error : end_full_chunk(naming);
}

int naming_flush(struct naming *naming, struct buf *out)
{
	int error = end_chunk(naming);

	if (error)
		return error;
	buf_add(out, naming->chunks.data, naming->chunks.len);
	buf_reset(&naming->chunks);
	return out->error;
}
