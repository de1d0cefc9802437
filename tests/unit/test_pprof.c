/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What profiles say: values, labels, mappings, stacks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <regex.h>

#include "pprof_reader.h"

/* --- what is reported --- */

static const struct code_mapping server_mapping = {
	.start = 0x555500001000,
	.end = 0x555500009000,
	.file_offset = 0x1000,
	.build_id = "0123456789abcdef0123456789abcdef01234567",
};

static const struct code_mapping libc_mapping = {
	.start = 0x7f0000028000,
	.end = 0x7f0000180000,
	.file_offset = 0x28000,
};

static struct frame leak_frames[] = {
	{ .function = "operator new(unsigned long)", .module = "/usr/lib/libstdc++.so.6" },
	{ .function = "app_malloc",
	  .file = "/build/memory.h",
	  .line = 3,
	  .module = "/srv/server",
	  .mapping = &server_mapping,
	  .address = 0x555500001111,
	  .inlined = true },
	{ .function = "make_buffer",
	  .file = "/build/server.c",
	  .line = 17,
	  .module = "/srv/server",
	  .mapping = &server_mapping,
	  .address = 0x555500001111 },
	{ .function = "serve",
	  .file = "/build/server.c",
	  .line = 40,
	  .module = "/srv/server",
	  .mapping = &server_mapping,
	  .address = 0x555500002222 },
	{ .function = "__libc_start_main",
	  .module = "/usr/lib/libc.so.6",
	  .mapping = &libc_mapping,
	  .address = 0x7f0000029d90 },
	{ .address = 0xdeadbeef },
};

static const char hostile[] = "ev\033[31mil;na\nme\xff\xc3 \xe2\x80\xae end";

static struct frame hostile_frames[] = {
	{ .function = hostile, .file = hostile, .line = -4, .module = hostile, .inlined = true },
	{ .function = "", .file = "", .module = "", .address = UINT64_MAX, .inlined = true },
};

static const struct stack leak_stack = {
	.nr_frames = ARRAY_SIZE(leak_frames),
	.frames = leak_frames,
};

static const struct stack hostile_stack = {
	.nr_frames = ARRAY_SIZE(hostile_frames),
	.frames = hostile_frames,
};

static const struct finding findings[] = {
	{ .site = { .key = { 4242, LB_KIND_HEAP, 1 },
		    .opened_count = 20000,
		    .opened_bytes = 20480000,
		    .live_count = 12345,
		    .live_bytes = 12641280 },
	  .verdict = VERDICT_LEAKING,
	  .stack = &leak_stack },
	{ .site = { .key = { 77, LB_KIND_MMAP, 2 },
		    .opened_count = 6,
		    .opened_bytes = 24576,
		    .live_count = 6,
		    .live_bytes = 24576 },
	  .stack = &hostile_stack },
	{ .site = { .key = { 4242, LB_KIND_HEAP, 3 },
		    .opened_count = UINT64_MAX,
		    .opened_bytes = UINT64_MAX } },
	{ .site = { .key = { 4242, LB_KIND_HEAP, 4 } }, .stack = &leak_stack },
};

static const struct finding goroutines[] = {
	{ .site = { .key = { 4242, LB_KIND_GOROUTINE, 5 },
		    .opened_count = 100,
		    .live_count = 70,
		    .state = "chan receive" },
	  .verdict = VERDICT_GROWING,
	  .stack = &leak_stack },
	{ .site = { .key = { 4242, LB_KIND_GOROUTINE, 6 }, .opened_count = 3 } },
};

static void assert_type(const profile_message *profile, const Perftools__Profiles__ValueType *value,
			const char *type, const char *unit)
{
	assert_non_null(value);
	assert_string_equal(string_at(profile, value->type), type);
	assert_string_equal(string_at(profile, value->unit), unit);
}

static void assert_heap_types(const profile_message *profile)
{
	assert_true(profile->n_sample_type >= 4);
	assert_type(profile, profile->sample_type[0], "alloc_objects", "count");
	assert_type(profile, profile->sample_type[1], "alloc_space", "bytes");
	assert_type(profile, profile->sample_type[2], "inuse_objects", "count");
	assert_type(profile, profile->sample_type[3], "inuse_space", "bytes");
	assert_type(profile, profile->period_type, "space", "bytes");
	assert_int_equal(profile->period, 1);
	assert_string_equal(string_at(profile, profile->default_sample_type), "inuse_space");
}

static void assert_values(const sample_message *sample, int64_t a, int64_t b, int64_t c, int64_t d)
{
	assert_true(sample->n_value >= 4);
	assert_int_equal(sample->value[0], a);
	assert_int_equal(sample->value[1], b);
	assert_int_equal(sample->value[2], c);
	assert_int_equal(sample->value[3], d);
}

/* The label @key of the sample; NULL: it has none. */
static const Perftools__Profiles__Label *label_of(const profile_message *profile,
						  const sample_message *sample, const char *key)
{
	size_t i;

	for (i = 0; i < sample->n_label; i++) {
		if (strcmp(string_at(profile, sample->label[i]->key), key) == 0)
			return sample->label[i];
	}
	return NULL;
}

static void assert_text_label(const profile_message *profile, const sample_message *sample,
			      const char *key, const char *text)
{
	const Perftools__Profiles__Label *label = label_of(profile, sample, key);

	assert_non_null(label);
	assert_string_equal(string_at(profile, label->str), text);
}

/* --- tests --- */

static void heap_has_the_values_of_go(void **state)
{
	struct report report = report_of(findings, ARRAY_SIZE(findings));
	profile_message *profile = read_back(&report, 0);

	(void)state;
	assert_heap_types(profile);
	assert_int_equal(profile->n_sample_type, 4);
	assert_int_equal(profile->n_sample, 3); /* all that count something */
	assert_values(profile->sample[0], 20000, 20480000, 12345, 12641280);
	assert_values(profile->sample[1], 6, 24576, 6, 24576);
	assert_values(profile->sample[2], INT64_MAX, INT64_MAX, 0, 0);
	assert_int_equal(profile->time_nanos, 1700000000 * 1000000000LL);
	assert_int_equal(profile->duration_nanos, 200250000000LL);
	assert_non_null(strstr(string_at(profile, profile->comment[0]), "1 in 4 objects"));
	done(profile);
}

static void samples_are_labelled(void **state)
{
	struct report report = report_of(findings, ARRAY_SIZE(findings));
	profile_message *profile = read_back(&report, 0);
	const sample_message *first = profile->sample[0];

	(void)state;
	assert_text_label(profile, first, "comm", "server");
	assert_text_label(profile, first, "kind", "heap");
	assert_text_label(profile, first, "verdict", "leaking");
	assert_int_equal(label_of(profile, first, "pid")->num, 4242);
	assert_null(label_of(profile, first, "state"));
	assert_text_label(profile, profile->sample[1], "comm", "b\xef\xbf\xbd ?]0;x?");
	assert_text_label(profile, profile->sample[1], "kind", "mmap");
	assert_text_label(profile, profile->sample[1], "verdict", "stable");
	done(profile);
}

static void mappings_say_what_was_mapped(void **state)
{
	struct report report = report_of(findings, ARRAY_SIZE(findings));
	profile_message *profile = read_back(&report, 0);
	const Perftools__Profiles__Mapping *program = profile->mapping[0], *libc;
	const Perftools__Profiles__Location *location;

	(void)state;
	assert_string_equal(string_at(profile, program->filename), "/srv/server");
	assert_string_equal(string_at(profile, program->build_id), server_mapping.build_id);
	assert_int_equal(program->memory_start, server_mapping.start);
	assert_int_equal(program->memory_limit, server_mapping.end);
	assert_int_equal(program->file_offset, server_mapping.file_offset);
	assert_true(program->has_filenames && program->has_line_numbers &&
		    program->has_inline_frames);
	location = profile->location[profile->sample[0]->location_id[3] - 1];
	libc = profile->mapping[location->mapping_id - 1];
	assert_string_equal(string_at(profile, libc->filename), "/usr/lib/libc.so.6");
	assert_string_equal(string_at(profile, libc->build_id), "");
	assert_false(libc->has_filenames || libc->has_line_numbers || libc->has_inline_frames);
	assert_int_equal(location->address, 0x7f0000029d8f); /* in the call, not behind it */
	location = profile->location[profile->sample[0]->location_id[4] - 1];
	assert_int_equal(location->mapping_id, 0);
	done(profile);
}

static void the_program_comes_first_without_a_frame_too(void **state)
{
	struct report report = report_of(&findings[1], 1);
	profile_message *profile = read_back(&report, 0);

	(void)state;
	assert_string_equal(string_at(profile, profile->mapping[0]->filename), "/srv/server");
	done(profile);
}

static void inlined_frames_are_lines_of_one_location(void **state)
{
	struct report report = report_of(findings, ARRAY_SIZE(findings));
	profile_message *profile = read_back(&report, 0);
	const sample_message *sample = profile->sample[0];

	(void)state;
	assert_int_equal(sample->n_location_id, 5);
	assert_string_equal(function_at(profile, sample, 0, 0), "operator new(unsigned long)");
	assert_string_equal(function_at(profile, sample, 1, 0), "app_malloc");
	assert_string_equal(function_at(profile, sample, 1, 1), "make_buffer");
	assert_string_equal(function_at(profile, sample, 2, 0), "serve");
	assert_string_equal(function_at(profile, sample, 4, 0), "0xdeadbeef");
	assert_int_equal(profile->location[sample->location_id[1] - 1]->line[0]->line, 3);
	assert_int_equal(profile->location[sample->location_id[1] - 1]->line[1]->line, 17);
	assert_string_equal(function_at(profile, profile->sample[2], 0, 0), UNKNOWN_STACK);
	done(profile);
}

static void goroutines_are_counted_as_go_does(void **state)
{
	struct report report = report_of(goroutines, ARRAY_SIZE(goroutines));
	profile_message *profile = read_back(&report, 0);

	(void)state;
	assert_int_equal(profile->n_sample_type, 1);
	assert_type(profile, profile->sample_type[0], "goroutine", "count");
	assert_type(profile, profile->period_type, "goroutine", "count");
	assert_int_equal(profile->period, 1);
	assert_int_equal(profile->default_sample_type, 0);
	assert_int_equal(profile->n_sample, 1);
	assert_int_equal(profile->sample[0]->value[0], 70);
	assert_text_label(profile, profile->sample[0], "state", "chan receive");
	done(profile);
}

static void mixed_kinds_have_a_value_each(void **state)
{
	struct finding mixed[] = { goroutines[0], findings[0] };
	struct report report = report_of(mixed, ARRAY_SIZE(mixed));
	profile_message *profile = read_back(&report, 0);

	(void)state;
	assert_heap_types(profile);
	assert_int_equal(profile->n_sample_type, 5);
	assert_type(profile, profile->sample_type[4], "goroutine", "count");
	assert_values(profile->sample[0], 0, 0, 0, 0);
	assert_int_equal(profile->sample[0]->value[4], 70);
	assert_values(profile->sample[1], 20000, 20480000, 12345, 12641280);
	assert_int_equal(profile->sample[1]->value[4], 0);
	done(profile);
}

static void nothing_is_a_profile_too(void **state)
{
	struct report report = report_of(NULL, 0);
	profile_message *profile = read_back(&report, 0);

	(void)state;
	assert_heap_types(profile);
	assert_int_equal(profile->n_sample, 0);
	done(profile);
}

static void top_cuts_after_the_worst(void **state)
{
	struct report report = report_of(findings, ARRAY_SIZE(findings));
	profile_message *profile = read_back(&report, 1);

	(void)state;
	assert_int_equal(profile->n_sample, 1);
	assert_values(profile->sample[0], 20000, 20480000, 12345, 12641280);
	done(profile);
}

static void equal_reports_are_equal_files(void **state)
{
	struct report report = report_of(findings, ARRAY_SIZE(findings));
	size_t len, len_again;
	char *bytes = render(&report, 0, &len), *again = render(&report, 0, &len_again);

	(void)state;
	assert_int_equal(len, len_again);
	assert_memory_equal(bytes, again, len);
	free(bytes);
	free(again);
}

/* --- the rest --- */

static void allocators_are_dropped(void **state)
{
	static const char *const dropped[] = {
		"malloc",
		"calloc",
		"__libc_malloc",
		"_int_realloc",
		"je_malloc",
		"operator new",
		"operator new[]",
		"__strdup",
		"vasprintf",
		"__rust_alloc_zeroed",
		"alloc::alloc::box_free",
		"std::__new_allocator<char>::allocate",
		"main._Cfunc__CMalloc",
	};
	static const char *const kept[] = {
		"main", "malloc_pool", "app_malloc", "zmalloc", "std::vector<int>::reserve",
		"free", "allocate",    "[truncated]"
	};
	struct report report = report_of(findings, ARRAY_SIZE(findings));
	profile_message *profile = read_back(&report, 0);
	struct buf pattern __cleanup_buf = { 0 };
	regex_t regex;
	size_t i;

	(void)state;
	buf_printf(&pattern, "^(%s)$", string_at(profile, profile->drop_frames));
	assert_int_equal(regcomp(&regex, pattern.data, REG_EXTENDED), 0);
	for (i = 0; i < ARRAY_SIZE(dropped); i++)
		assert_int_equal(regexec(&regex, dropped[i], 0, NULL, 0), 0);
	for (i = 0; i < ARRAY_SIZE(kept); i++)
		assert_int_equal(regexec(&regex, kept[i], 0, NULL, 0), REG_NOMATCH);
	regfree(&regex);
	done(profile);
}

static void a_full_disk_is_an_error(void **state)
{
	const struct report_options options = { .format = REPORT_PPROF };
	struct report report = report_of(findings, ARRAY_SIZE(findings));
	FILE *out = fopen("/dev/full", "we");

	(void)state;
	assert_non_null(out);
	assert_int_equal(report_write(out, &report, &options), -ENOSPC);
	fclose(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heap_has_the_values_of_go),
		cmocka_unit_test(samples_are_labelled),
		cmocka_unit_test(mappings_say_what_was_mapped),
		cmocka_unit_test(the_program_comes_first_without_a_frame_too),
		cmocka_unit_test(inlined_frames_are_lines_of_one_location),
		cmocka_unit_test(goroutines_are_counted_as_go_does),
		cmocka_unit_test(mixed_kinds_have_a_value_each),
		cmocka_unit_test(nothing_is_a_profile_too),
		cmocka_unit_test(top_cuts_after_the_worst),
		cmocka_unit_test(equal_reports_are_equal_files),
		cmocka_unit_test(allocators_are_dropped),
		cmocka_unit_test(a_full_disk_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
