/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/profile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "report/text.h"

/* Key and length of an entry of an array in a message, at most: the arrays are limited to less
 * than 2^28 bytes. */
#define ENTRY_HEAD_BYTES 6
/* What one frame may take beside its texts: a function, a location with a line, a mapping with its
 * build-id and the heads of four strings, each at most. */
#define FRAME_BYTES 320
/* A control byte or an invalid one becomes U+FFFD, three bytes. */
#define CLEAN_FACTOR 3

/* Functions of allocators: they and what they call are not shown, so that what a site keeps counts
 * for the code that asked for it. Matched by pprof without the list of arguments. */
static const char drop_frames[] =
	"(_*|_int_|_*libc_|__GI__*|je_|tc_|mi_)(malloc|calloc|realloc|reallocarray|memalign|"
	"aligned_alloc|posix_memalign|valloc|pvalloc)"
	"|_*(strdup|strndup|v?asprintf)(_chk|_internal)?"
	"|operator new(\\[\\])?"
	"|(std|__gnu_cxx)::.*::(_M_)?allocate"
	"|__r(ust|dl|g)_(alloc|alloc_zeroed|realloc)|alloc::alloc::.*"
	"|(.*\\.)?_Cfunc__CMalloc|_cgo_[0-9a-f]+_Cfunc__Cmalloc";

static void out_of_memory(struct profile *profile)
{
	profile->error = -ENOMEM;
}

/* Memory, zeroed; NULL: out of memory, now or earlier. */
static void *get(struct profile *profile, size_t nr, size_t size)
{
	void *memory = profile->error ? NULL : calloc(MAX(nr, 1), size);

	if (!memory)
		out_of_memory(profile);
	return memory;
}

/* The array @items of @nr pointers, with room for one more. */
static void *room(struct profile *profile, struct table *table, void *items, size_t nr)
{
	if (!profile->error && vec_reserve(&items, &table->capacity, nr + 1, sizeof(void *)))
		out_of_memory(profile);
	return items;
}

/* The id of @key in @table. *@ret_new: it had none, and got @next. 0: out of memory. */
static uint64_t identify(struct profile *profile, struct table *table, size_t next, const void *key,
			 size_t len, bool *ret_new)
{
	uint64_t id = profile->error ? 0 : table_find(table, next, key, len, ret_new);

	if (id)
		return id;
	out_of_memory(profile);
	*ret_new = false;
	return 0;
}

void profile_begin(struct profile *profile)
{
	*profile = (struct profile){ 0 };
	profile->message = get(profile, 1, sizeof(*profile->message));
	if (!profile->message)
		return;
	perftools__profiles__profile__init(profile->message);
	profile_string(profile, "");
	profile->message->drop_frames = profile_string(profile, drop_frames);
}

void profile_done(struct profile *profile)
{
	table_done(&profile->strings);
	table_done(&profile->functions);
	table_done(&profile->mappings);
	table_done(&profile->locations);
	if (profile->message)
		perftools__profiles__profile__free_unpacked(profile->message, NULL);
	*profile = (struct profile){ 0 };
}

/* --- strings --- */

/* Appends @text, which is handed over when there was room. */
static void add_string(struct profile *profile, struct buf *text)
{
	Perftools__Profiles__Profile *message = profile->message;

	message->string_table =
		room(profile, &profile->strings, message->string_table, message->n_string_table);
	if (profile->error)
		return;
	profile->raw_bytes += text->len + ENTRY_HEAD_BYTES;
	message->string_table[message->n_string_table++] = take(text->data);
}

int64_t profile_string(struct profile *profile, const char *text)
{
	struct buf clean __cleanup_buf = { 0 };
	uint64_t next = profile->error ? 0 : profile->message->n_string_table + 1, id;
	bool is_new;

	buf_puts(&clean, "");
	text_clean(&clean, text);
	if (clean.error)
		out_of_memory(profile);
	id = identify(profile, &profile->strings, next, clean.data, clean.len, &is_new);
	if (is_new)
		add_string(profile, &clean);
	return id ? (int64_t)id - 1 : 0;
}

static Perftools__Profiles__ValueType *new_type(struct profile *profile, const char *type,
						const char *unit)
{
	Perftools__Profiles__ValueType *value = get(profile, 1, sizeof(*value));

	if (!value)
		return NULL;
	perftools__profiles__value_type__init(value);
	value->type = profile_string(profile, type);
	value->unit = profile_string(profile, unit);
	profile->raw_bytes +=
		perftools__profiles__value_type__get_packed_size(value) + ENTRY_HEAD_BYTES;
	return value;
}

void profile_add_type(struct profile *profile, const char *type, const char *unit)
{
	Perftools__Profiles__ValueType *value = new_type(profile, type, unit);
	Perftools__Profiles__Profile *message = profile->message;
	void *grown = value ? reallocarray(message->sample_type, message->n_sample_type + 1,
					   sizeof(void *))
			    : NULL;

	if (!grown) {
		free(value);
		out_of_memory(profile);
		return;
	}
	message->sample_type = grown;
	message->sample_type[message->n_sample_type++] = value;
}

void profile_set_period(struct profile *profile, const char *type, const char *unit)
{
	if (profile->error)
		return;
	profile->message->period_type = new_type(profile, type, unit);
	profile->message->period = 1;
}

void profile_add_comment(struct profile *profile, const char *text)
{
	int64_t string = profile_string(profile, text);
	Perftools__Profiles__Profile *message = profile->message;
	int64_t *grown = profile->error ? NULL
					: reallocarray(message->comment, message->n_comment + 1,
						       sizeof(*grown));

	if (!grown) {
		out_of_memory(profile);
		return;
	}
	grown[message->n_comment++] = string;
	message->comment = grown;
	profile->raw_bytes += ENTRY_HEAD_BYTES;
}

/* --- functions and mappings --- */

static uint64_t find_function(struct profile *profile, const char *name, const char *file)
{
	const int64_t key[] = { profile_string(profile, name), profile_string(profile, file) };
	Perftools__Profiles__Profile *message = profile->message;
	size_t nr = profile->error ? 0 : message->n_function;
	Perftools__Profiles__Function *function;
	bool is_new;
	uint64_t id = identify(profile, &profile->functions, nr + 1, key, sizeof(key), &is_new);

	if (!is_new)
		return id;
	message->function = room(profile, &profile->functions, message->function, nr);
	function = get(profile, 1, sizeof(*function));
	if (!function)
		return 0;
	perftools__profiles__function__init(function);
	function->id = id;
	function->name = function->system_name = key[0];
	function->filename = key[1];
	message->function[message->n_function++] = function;
	profile->raw_bytes +=
		perftools__profiles__function__get_packed_size(function) + ENTRY_HEAD_BYTES;
	return id;
}

static uint64_t add_mapping(struct profile *profile, uint64_t id, const uint64_t key[5])
{
	Perftools__Profiles__Profile *message = profile->message;
	Perftools__Profiles__Mapping *mapping;

	message->mapping = room(profile, &profile->mappings, message->mapping, message->n_mapping);
	mapping = get(profile, 1, sizeof(*mapping));
	if (!mapping)
		return 0;
	perftools__profiles__mapping__init(mapping);
	mapping->id = id;
	mapping->memory_start = key[0];
	mapping->memory_limit = key[1];
	mapping->file_offset = key[2];
	mapping->filename = (int64_t)key[3];
	mapping->build_id = (int64_t)key[4];
	mapping->has_functions = true;
	message->mapping[message->n_mapping++] = mapping;
	/* three flags may be set later */
	profile->raw_bytes +=
		perftools__profiles__mapping__get_packed_size(mapping) + ENTRY_HEAD_BYTES + 6;
	return id;
}

uint64_t profile_mapping(struct profile *profile, const struct code_mapping *mapping,
			 const char *path)
{
	const char *build_id = mapping && mapping->build_id ? mapping->build_id : "";
	const uint64_t key[5] = {
		mapping ? mapping->start : 0,
		mapping ? mapping->end : 0,
		mapping ? mapping->file_offset : 0,
		(uint64_t)profile_string(profile, path),
		(uint64_t)profile_string(profile, build_id),
	};
	size_t nr = profile->error ? 0 : profile->message->n_mapping;
	bool is_new;
	uint64_t id = identify(profile, &profile->mappings, nr + 1, key, sizeof(key), &is_new);

	return is_new ? add_mapping(profile, id, key) : id;
}

/* --- locations --- */

/* A location as it is searched: mapping and address, then function and line of each frame. */
static void add_word(struct buf *key, uint64_t word)
{
	buf_add(key, (const char *)&word, sizeof(word));
}

static uint64_t word_at(const struct buf *key, size_t index)
{
	uint64_t word;

	memcpy(&word, key->data + index * sizeof(word), sizeof(word));
	return word;
}

static void add_lines(struct profile *profile, Perftools__Profiles__Location *location,
		      const struct buf *key)
{
	size_t nr = (key->len / sizeof(uint64_t) - 2) / 2;

	location->line = get(profile, nr, sizeof(*location->line));
	while (location->line && location->n_line < nr) {
		Perftools__Profiles__Line *line = get(profile, 1, sizeof(*line));

		if (!line)
			return;
		perftools__profiles__line__init(line);
		line->function_id = word_at(key, 2 + location->n_line * 2);
		line->line = (int64_t)word_at(key, 3 + location->n_line * 2);
		location->line[location->n_line++] = line;
	}
}

static uint64_t find_location(struct profile *profile, const struct buf *key)
{
	Perftools__Profiles__Profile *message = profile->message;
	size_t nr = profile->error ? 0 : message->n_location;
	Perftools__Profiles__Location *location;
	bool is_new;
	uint64_t id = identify(profile, &profile->locations, nr + 1, key->data, key->len, &is_new);

	if (!is_new)
		return id;
	message->location = room(profile, &profile->locations, message->location, nr);
	location = get(profile, 1, sizeof(*location));
	if (!location)
		return 0;
	perftools__profiles__location__init(location);
	location->id = id;
	location->mapping_id = word_at(key, 0);
	location->address = word_at(key, 1);
	message->location[message->n_location++] = location;
	add_lines(profile, location, key);
	profile->raw_bytes +=
		perftools__profiles__location__get_packed_size(location) + ENTRY_HEAD_BYTES;
	return id;
}

uint64_t profile_pseudo_location(struct profile *profile, const char *name)
{
	struct buf key __cleanup_buf = { 0 };

	add_word(&key, 0);
	add_word(&key, 0);
	add_word(&key, find_function(profile, name, ""));
	add_word(&key, 0);
	if (key.error)
		out_of_memory(profile);
	return find_location(profile, &key);
}

static void add_frame(struct profile *profile, struct buf *key, const struct frame *frame)
{
	struct buf name __cleanup_buf = { 0 };

	frame_name(&name, frame);
	if (name.error)
		out_of_memory(profile);
	add_word(key, find_function(profile, name.data ? name.data : "",
				    frame->file ? frame->file : ""));
	add_word(key, frame->line > 0 ? (uint64_t)frame->line : 0);
}

/* Says of the mapping what is known of its code. */
static void mark_mapping(struct profile *profile, uint64_t id, const struct frame *frame)
{
	Perftools__Profiles__Mapping *mapping;

	if (profile->error || !id)
		return;
	mapping = profile->message->mapping[id - 1];
	mapping->has_filenames |= frame->file != NULL;
	mapping->has_line_numbers |= frame->line > 0;
	mapping->has_inline_frames |= frame->inlined;
}

uint64_t profile_location(struct profile *profile, const struct frame *frames, size_t nr,
			  size_t *ret_nr)
{
	struct buf key __cleanup_buf = { 0 };
	uint64_t mapping = 0;
	bool was_inlined;
	size_t i = 0;

	if (frames[0].module)
		mapping = profile_mapping(profile, frames[0].mapping, frames[0].module);
	add_word(&key, mapping);
	add_word(&key, frames[0].address ? frames[0].address - 1 : 0);
	do {
		add_frame(profile, &key, &frames[i]);
		mark_mapping(profile, mapping, &frames[i]);
		was_inlined = frames[i++].inlined;
	} while (was_inlined && i < nr && frames[i].address == frames[0].address);
	*ret_nr = i;
	if (key.error)
		out_of_memory(profile);
	return find_location(profile, &key);
}

/* --- samples --- */

Perftools__Profiles__Sample *profile_add_sample(struct profile *profile, size_t nr_locations)
{
	Perftools__Profiles__Profile *message = profile->message;
	Perftools__Profiles__Sample *sample;

	if (profile->error)
		return NULL;
	message->sample = room(profile, &profile->samples, message->sample, message->n_sample);
	sample = get(profile, 1, sizeof(*sample));
	if (!sample)
		return NULL;
	perftools__profiles__sample__init(sample);
	message->sample[message->n_sample++] = sample;
	sample->location_id = get(profile, nr_locations, sizeof(*sample->location_id));
	sample->value = get(profile, message->n_sample_type, sizeof(*sample->value));
	if (!sample->value)
		return NULL;
	sample->n_value = message->n_sample_type;
	return sample;
}

void profile_add_stack(struct profile *profile, Perftools__Profiles__Sample *sample,
		       const struct stack *stack)
{
	size_t nr = stack ? stack->nr_frames : 0, i = 0;

	while (i < nr && !profile->error) {
		size_t used = 1;

		sample->location_id[sample->n_location_id++] =
			profile_location(profile, &stack->frames[i], nr - i, &used);
		i += used;
	}
	if (nr == 0)
		sample->location_id[sample->n_location_id++] =
			profile_pseudo_location(profile, UNKNOWN_STACK);
}

static Perftools__Profiles__Label *add_label(struct profile *profile,
					     Perftools__Profiles__Sample *sample, const char *key)
{
	int64_t name = profile_string(profile, key);
	Perftools__Profiles__Label *label = get(profile, 1, sizeof(*label));
	void *grown =
		label ? reallocarray(sample->label, sample->n_label + 1, sizeof(void *)) : NULL;

	if (!grown) {
		free(label);
		out_of_memory(profile);
		return NULL;
	}
	perftools__profiles__label__init(label);
	label->key = name;
	sample->label = grown;
	sample->label[sample->n_label++] = label;
	return label;
}

void profile_label_text(struct profile *profile, Perftools__Profiles__Sample *sample,
			const char *key, const char *text)
{
	Perftools__Profiles__Label *label = add_label(profile, sample, key);

	if (label)
		label->str = profile_string(profile, text);
}

void profile_label_number(struct profile *profile, Perftools__Profiles__Sample *sample,
			  const char *key, int64_t number)
{
	Perftools__Profiles__Label *label = add_label(profile, sample, key);

	if (label)
		label->num = number;
}

void profile_end_sample(struct profile *profile, const Perftools__Profiles__Sample *sample)
{
	if (!profile->error)
		profile->raw_bytes +=
			perftools__profiles__sample__get_packed_size(sample) + ENTRY_HEAD_BYTES;
}

size_t profile_stack_bytes(const struct stack *stack)
{
	size_t bytes = 0, i;

	for (i = 0; i < stack->nr_frames; i++) {
		const struct frame *frame = &stack->frames[i];

		bytes += FRAME_BYTES;
		bytes += frame->function ? CLEAN_FACTOR * strlen(frame->function) : 0;
		bytes += frame->file ? CLEAN_FACTOR * strlen(frame->file) : 0;
		bytes += frame->module ? 2 * CLEAN_FACTOR * strlen(frame->module) : 0;
	}
	return bytes;
}
