/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reports written as profiles and read back, with what each must hold.
 */
#ifndef TESTS_UNIT_PPROF_READER_H
#define TESTS_UNIT_PPROF_READER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/base.h"
#include "profile.pb-c.h"
#include "report/report.h"
#include "report/text.h"

#define MAX_RAW_BYTES (2UL << 20)
#define MAX_SAMPLES   8000

typedef Perftools__Profiles__Profile profile_message;
typedef Perftools__Profiles__Sample sample_message;

static const struct target targets[] = {
	{ .pid = 4242, .comm = "server", .exe = (char *)"/srv/server" },
	{ .pid = 77, .comm = "b\xff \033]0;x\007", .exited = true },
};

static const struct snapshot snapshot = { .sample_shift = 2 };

static struct report report_of(const struct finding *items, size_t nr)
{
	return (struct report){
		.duration_s = 200.25,
		.wall_s = 1700000000,
		.targets = targets,
		.nr_targets = ARRAY_SIZE(targets),
		.findings = items,
		.nr_findings = nr,
		.snapshot = &snapshot,
	};
}

static inline char *render(const struct report *report, size_t top, size_t *ret_len)
{
	const struct report_options options = { .format = REPORT_PPROF, .top = top };
	char *bytes = NULL;
	FILE *out = open_memstream(&bytes, ret_len);

	assert_non_null(out);
	assert_int_equal(report_write(out, report, &options), 0);
	assert_int_equal(fclose(out), 0);
	return bytes;
}

/* gzip with neither name nor time in its header, to the end. */
static inline size_t inflate_all(char *bytes, size_t len, uint8_t *raw, size_t size)
{
	z_stream stream = {
		.next_in = (uint8_t *)bytes,
		.avail_in = (uInt)len,
		.next_out = raw,
		.avail_out = (uInt)size,
	};
	static const char head[] = { 0x1f, (char)0x8b, 8, 0, 0, 0, 0, 0 };

	assert_memory_equal(bytes, head, sizeof(head));
	assert_int_equal(inflateInit2(&stream, MAX_WBITS + 16), Z_OK);
	assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
	assert_int_equal(stream.avail_in, 0);
	assert_int_equal(inflateEnd(&stream), Z_OK);
	return stream.total_out;
}

static inline const char *string_at(const profile_message *profile, int64_t index)
{
	assert_in_range(index, 0, profile->n_string_table - 1);
	return profile->string_table[index];
}

static inline void check_strings(const profile_message *profile)
{
	size_t i, k;

	assert_string_equal(profile->string_table[0], "");
	for (i = 0; i < profile->n_string_table; i++) {
		const char *at = profile->string_table[i];

		while (*at) {
			uint32_t character;
			size_t len = utf8_decode(at, &character);

			assert_false(character == 0xfffd && len == 1);
			assert_true(character >= 0x20);
			at += len;
		}
		for (k = 0; k < i && profile->n_string_table < 100; k++)
			assert_string_not_equal(profile->string_table[i], profile->string_table[k]);
	}
}

static inline void check_tables(const profile_message *profile)
{
	size_t i, k;

	for (i = 0; i < profile->n_mapping; i++) {
		assert_int_equal(profile->mapping[i]->id, i + 1);
		assert_true(profile->mapping[i]->has_functions);
		string_at(profile, profile->mapping[i]->filename);
		string_at(profile, profile->mapping[i]->build_id);
	}
	for (i = 0; i < profile->n_function; i++) {
		assert_int_equal(profile->function[i]->id, i + 1);
		string_at(profile, profile->function[i]->name);
		string_at(profile, profile->function[i]->filename);
	}
	for (i = 0; i < profile->n_location; i++) {
		const Perftools__Profiles__Location *location = profile->location[i];

		assert_int_equal(location->id, i + 1);
		assert_in_range(location->mapping_id, 0, profile->n_mapping);
		assert_in_range(location->n_line, 1, 2);
		for (k = 0; k < location->n_line; k++) {
			assert_in_range(location->line[k]->function_id, 1, profile->n_function);
			assert_in_range(location->line[k]->line, 0, INT32_MAX);
		}
	}
}

static inline void check_sample(const profile_message *profile, const sample_message *sample)
{
	size_t i;

	assert_int_equal(sample->n_value, profile->n_sample_type);
	assert_true(sample->n_location_id > 0);
	for (i = 0; i < sample->n_location_id; i++)
		assert_in_range(sample->location_id[i], 1, profile->n_location);
	for (i = 0; i < sample->n_value; i++)
		assert_true(sample->value[i] >= 0);
	for (i = 0; i < sample->n_label; i++) {
		assert_int_not_equal(sample->label[i]->key, 0);
		string_at(profile, sample->label[i]->key);
		string_at(profile, sample->label[i]->str);
		assert_true(sample->label[i]->str == 0 || sample->label[i]->num == 0);
	}
}

/* Unpacks the profile and checks what its readers rely on. */
static inline profile_message *read_back(const struct report *report, size_t top)
{
	uint8_t *raw = malloc(MAX_RAW_BYTES);
	profile_message *profile;
	size_t len, i;
	char *bytes = render(report, top, &len);

	assert_non_null(raw);
	len = inflate_all(bytes, len, raw, MAX_RAW_BYTES);
	profile = perftools__profiles__profile__unpack(NULL, len, raw);
	assert_non_null(profile);
	free(raw);
	free(bytes);
	check_strings(profile);
	check_tables(profile);
	assert_true(profile->n_sample <= MAX_SAMPLES);
	for (i = 0; i < profile->n_sample; i++)
		check_sample(profile, profile->sample[i]);
	return profile;
}

static inline void done(profile_message *profile)
{
	perftools__profiles__profile__free_unpacked(profile, NULL);
}

/* The function of line @line of the location at @at of the stack. */
static inline const char *function_at(const profile_message *profile, const sample_message *sample,
				      size_t at, size_t line)
{
	const Perftools__Profiles__Location *location;

	assert_true(at < sample->n_location_id);
	location = profile->location[sample->location_id[at] - 1];
	assert_true(line < location->n_line);
	return string_at(profile, profile->function[location->line[line]->function_id - 1]->name);
}

#endif
