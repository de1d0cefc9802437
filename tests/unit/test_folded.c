/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Folded stacks as flame graph tools need them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "report/report.h"

static const struct target target = { .pid = 7, .comm = "app 2" };

/* What a report of @findings says; owned by the caller. */
static char *folded(const struct finding *findings, size_t nr)
{
	const struct report_options options = { .format = REPORT_FOLDED };
	const struct report report = {
		.targets = &target,
		.nr_targets = 1,
		.findings = findings,
		.nr_findings = nr,
	};
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(report_write(out, &report, &options), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void assert_folded(const struct finding *findings, size_t nr, const char *wanted)
{
	char *text = folded(findings, nr);

	assert_string_equal(text, wanted);
	free(text);
}

/* flamegraph.pl takes "name 12 345" for the counts 12 and 345 of "name". */
static void names_that_end_like_a_count(void **state)
{
	struct frame frames[] = {
		{ .function = "f 12" },   { .function = "g 1.5" }, { .function = "h12" },
		{ .function = "12" },     { .function = "i 1 2" }, { .function = "void j<3>(int)" },
		{ .function = "k ...." },
	};
	const struct stack stack = { .nr_frames = ARRAY_SIZE(frames), .frames = frames };
	const struct finding finding = {
		.site = { .key = { 7, LB_KIND_HEAP, 1 }, .live_count = 1, .live_bytes = 64 },
		.stack = &stack,
	};

	(void)state;
	assert_folded(&finding, 1, "app_2;k_....;void j<3>(int);i 1_2;12;h12;g_1.5;f_12 64\n");
}

static void stable_sites_are_there_and_empty_ones_not(void **state)
{
	const struct finding findings[] = {
		{ .site = { .key = { 7, LB_KIND_HEAP, 1 }, .live_count = 2, .live_bytes = 64 },
		  .verdict = VERDICT_LEAKING },
		{ .site = { .key = { 7, LB_KIND_HEAP, 2 }, .live_count = 1, .live_bytes = 16 } },
		{ .site = { .key = { 7, LB_KIND_HEAP, 3 }, .opened_count = 9 } },
	};

	(void)state;
	assert_folded(findings, ARRAY_SIZE(findings),
		      "app_2;(stack unknown) 64\napp_2;(stack unknown) 16\n");
}

static void objects_are_not_taken_for_bytes(void **state)
{
	const struct finding findings[] = {
		{ .site = { .key = { 7, LB_KIND_GOROUTINE, 1 },
			    .live_count = 5,
			    .live_bytes = 9 } },
		{ .site = { .key = { 7, LB_KIND_MMAP, 2 }, .live_count = 1, .live_bytes = 4096 } },
	};

	(void)state;
	assert_folded(findings, 1, "app_2;(stack unknown) 5\n");
	assert_folded(findings, 2,
		      "app_2;[goroutine];(stack unknown) 5\napp_2;(stack unknown) 4096\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_that_end_like_a_count),
		cmocka_unit_test(stable_sites_are_there_and_empty_ones_not),
		cmocka_unit_test(objects_are_not_taken_for_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
