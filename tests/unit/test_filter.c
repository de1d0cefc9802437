/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "filter/filter.h"

static struct frame frames[] = {
	{ .function = "cache_add", .file = "/src/cache.c", .module = "/opt/lib/libcache.so.1" },
	{ .function = "serve", .file = "/src/serve.c", .module = "/opt/bin/server" },
	{ .function = "main", .file = "/src/main.c", .module = "/opt/bin/server" },
};
static const struct stack stack = { .frames = frames, .nr_frames = ARRAY_SIZE(frames) };

static bool matches(const char *rule)
{
	struct filter *filter = filter_new();
	struct error error = { 0 };
	bool result;

	assert_non_null(filter);
	assert_int_equal(filter_add_rules(filter, "f", rule, strlen(rule), &error), 0);
	result = filter_drops(filter, "heap", &stack);
	assert_int_equal(filter_used(filter), result);
	assert_true((filter_unused(filter, 0) == NULL) == result);
	filter_free(filter);
	return result;
}

static void every_rule(void **state)
{
	(void)state;
	assert_true(matches("leak:erv"));
	assert_true(matches("leak:libcache"));
	assert_true(matches("leak:main.c"));
	assert_false(matches("leak:other"));
	assert_true(matches("kind:heap"));
	assert_true(matches("kind:h*"));
	assert_false(matches("kind:mmap"));
	assert_true(matches("function:cache_*"));
	assert_false(matches("function:cache"));
	assert_true(matches("module:libcache.so.?"));
	assert_true(matches("module:/opt/bin/*"));
	assert_false(matches("module:lib"));
	assert_true(matches("file:serve.c"));
	assert_false(matches("file:serve"));
	assert_true(matches("ignore-top:cache_add"));
	assert_false(matches("ignore-top:serve"));
	assert_true(matches("ignore-any:serve"));
	assert_true(matches("ignore-created-by:main"));
	assert_false(matches("ignore-created-by:serve"));
}

/* The frame of a go statement is known by its text and by the function it is in. */
static void go_statements(void **state)
{
	struct frame *last = &frames[ARRAY_SIZE(frames) - 1], kept = *last;

	(void)state;
	last->function = CREATED_BY "main.serve";
	assert_true(matches("ignore-created-by:main.serve"));
	assert_true(matches("ignore-created-by:created by main.*"));
	assert_true(matches("leak:main.serve"));
	assert_false(matches("ignore-created-by:serve"));
	assert_false(matches("ignore-created-by:main"));
	*last = kept;
}

static void comments_and_spaces(void **state)
{
	(void)state;
	assert_true(matches("# of others\r\n\n  leak:cache_add \t\r\n"));
}

static void bad(const char *text, size_t len, const char *sentence)
{
	struct filter *filter = filter_new();
	struct error error = { 0 };

	assert_non_null(filter);
	assert_true(filter_add_rules(filter, "s.txt", text, len, &error) < 0);
	assert_non_null(strstr(error.text, sentence));
	filter_free(filter);
}

static void bad_lines(void **state)
{
	char longest[FILTER_MAX_WORD + 16] = "leak:";

	(void)state;
	bad("leak:a\nnonsense", 15, "s.txt:2: a rule is");
	bad("lek:a", 5, "s.txt:1: 'lek' is no rule");
	bad("leak:", 5, "s.txt:1: the pattern is empty");
	bad("leak:a\0b", 8, "s.txt:1: a NUL byte");
	memset(longest + 5, 'x', FILTER_MAX_WORD + 1);
	bad(longest, 5 + FILTER_MAX_WORD + 1, "longer than");
}

static int add_report(struct filter *filter, const char *text, struct error *error)
{
	return filter_add_report(filter, "b.json", text, strlen(text), error);
}

static void baseline(void **state)
{
	struct filter *filter = filter_new();
	struct error error = { 0 };

	(void)state;
	assert_non_null(filter);
	assert_int_equal(add_report(filter,
				    "{\"schema\":\"leakbpf/1\",\"findings\":[{\"kind\":\"heap\","
				    "\"stack\":[{\"function\":\"cache_add\",\"line\":1},"
				    "{\"function\":\"serve\"},{\"function\":\"main\"}]}]}",
				    &error),
			 0);
	assert_true(filter_drops(filter, "heap", &stack));
	assert_int_equal(filter_used(filter), 1);
	assert_false(filter_drops(filter, "mmap", &stack));
	assert_false(filter_drops(filter, "heap", NULL));
	filter_reset(filter);
	assert_int_equal(filter_used(filter), 0);
	filter_free(filter);
}

static void bad_baselines(void **state)
{
	static const char *const texts[] = {
		"",
		"[",
		"[]",
		"{}",
		"{\"schema\":\"leakbpf/2\",\"findings\":[]}",
		"{\"schema\":\"leakbpf/1\",\"findings\":7}",
		"{\"schema\":\"leakbpf/1\",\"findings\":[7]}",
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		struct filter *filter = filter_new();
		struct error error = { 0 };

		assert_non_null(filter);
		assert_true(add_report(filter, texts[i], &error) < 0);
		assert_non_null(strstr(error.text, "b.json"));
		filter_free(filter);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_rule),
		cmocka_unit_test(go_statements),
		cmocka_unit_test(comments_and_spaces),
		cmocka_unit_test(bad_lines),
		cmocka_unit_test(baseline),
		cmocka_unit_test(bad_baselines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
