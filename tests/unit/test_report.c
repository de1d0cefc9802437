/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reports byte for byte against tests/golden/. After an intended change run this test with
 * UPDATE_GOLDEN=1 and look at the difference.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "report/report.h"
#include "report/text.h"

/* --- what is reported --- */

#define HOSTILE "ev\033[31mil;na\nme\xff\xc3 \xe2\x80\xae \"quoted\\\" end"

static struct frame leak_frames[] = {
	{ .function = "operator new(unsigned long)",
	  .module = "/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30",
	  .address = 0x7f00000a1234,
	  .offset = 0xa1234 },
	{ .function = "std::vector<int>::reserve(unsigned long)",
	  .file = "/usr/include/c++/12/bits/vector.tcc",
	  .line = 70,
	  .module = "/srv/app/server",
	  .address = 0x555500001111,
	  .offset = 0x1111,
	  .inlined = true },
	{ .function = "app_malloc",
	  .file = "/build/app/src/memory.h",
	  .line = 3,
	  .module = "/srv/app/server",
	  .address = 0x555500001111,
	  .offset = 0x1111,
	  .inlined = true },
	{ .function = "make_buffer",
	  .file = "/build/app/src/server.c",
	  .line = 17,
	  .module = "/srv/app/server",
	  .address = 0x555500001111,
	  .offset = 0x1111 },
	{ .module = "/srv/app/server", .address = 0x555500002222, .offset = 0x2222 },
	{ .function = "__libc_start_main",
	  .module = "/usr/lib/x86_64-linux-gnu/libc.so.6",
	  .address = 0x7f0000029d90,
	  .offset = 0x29d90 },
	{ .address = 0xdeadbeef },
};

static struct frame hostile_frames[] = {
	{ .function = HOSTILE,
	  .file = "/tmp/" HOSTILE,
	  .line = 1,
	  .module = HOSTILE,
	  .address = 1 },
	{ .function = "", .module = "", .address = UINT64_MAX, .offset = UINT64_MAX },
};

static const struct stack leak_stack = {
	.id = 1,
	.flags = LB_STACK_INCOMPLETE,
	.nr_frames = ARRAY_SIZE(leak_frames),
	.frames = leak_frames,
};

static const struct stack hostile_stack = {
	.id = 2,
	.flags = LB_STACK_TRUNCATED,
	.nr_frames = ARRAY_SIZE(hostile_frames),
	.frames = hostile_frames,
};

static const struct finding findings[] = {
	{ .site = { .key = { 4242, LB_KIND_HEAP, 1 },
		    .opened_count = 20000,
		    .opened_bytes = 20480000,
		    .closed_count = 7655,
		    .closed_bytes = 7838720,
		    .live_count = 12345,
		    .live_bytes = 12641280 },
	  .verdict = VERDICT_LEAKING,
	  .confidence = 0.975,
	  .growth_count_per_s = 411.5,
	  .growth_bytes_per_s = 421376,
	  .growth_count_low = 400.25,
	  .growth_count_high = 422.75,
	  .growth_bytes_low = 409856,
	  .growth_bytes_high = 432896,
	  .first_alert_s = 30,
	  .oldest_s = 59.5,
	  .residue = { .nr_judged = 12,
		       .nr_stuck = 12,
		       .kept_min = 48,
		       .kept_max = 52,
		       .undrained_s = 240 },
	  .history = { 0, 1000000, 2000000, 4000000, 8000000, 12641280 },
	  .nr_history = 6,
	  .stack = &leak_stack },
	{ .site = { .key = { 77, LB_KIND_MMAP, 2 },
		    .opened_count = 6,
		    .opened_bytes = 24576,
		    .live_count = 6,
		    .live_bytes = 24576,
		    .estimated = true },
	  .verdict = VERDICT_GROWING,
	  .confidence = 0.5,
	  .growth_count_per_s = 0.1,
	  .growth_bytes_per_s = 409.6,
	  .nr_stacks = 3,
	  .first_alert_s = 125,
	  .oldest_s = -1,
	  .residue = { .nr_judged = 9,
		       .nr_stuck = 6,
		       .nr_draining = 1,
		       .nr_empty = 2,
		       .kept_min = 1,
		       .kept_max = 1 },
	  .history = { 24576, 24576, 24576, 24576, 24576, 24576, 24576, 24576, 24576, 24576,
		       24576, 24576, 24576, 24576, 24576, 24576, 24576, 24576, 24576, 24576 },
	  .nr_history = 20,
	  .stack = &hostile_stack },
	{ .site = { .key = { 4242, LB_KIND_HEAP, 3 },
		    .opened_count = 5,
		    .live_count = 5,
		    .state = "sem\nacquire" },
	  .verdict = VERDICT_SUSPECT,
	  .confidence = 0.1,
	  .growth_bytes_per_s = -0.25,
	  .first_alert_s = -1,
	  .oldest_s = 7300,
	  .residue = { .nr_judged = 9,
		       .nr_stuck = 2,
		       .nr_empty = 7,
		       .quiet_s = 40,
		       .doubt = DOUBT_STOPPED } },
	{ .site = { .key = { 4242, LB_KIND_HEAP, 4 },
		    .opened_count = 1,
		    .opened_bytes = 1ULL << 50,
		    .live_count = 1,
		    .live_bytes = 1ULL << 50 },
	  .verdict = VERDICT_STABLE,
	  .first_alert_s = -1,
	  .oldest_s = -1,
	  .stack = &leak_stack },
};

static const struct snapshot busy_snapshot = {
	.stats = {
		.count = {
			[LB_KIND_HEAP] = {
				[LB_COUNT_HITS] = 20107,
				[LB_COUNT_FAILED] = 2,
				[LB_COUNT_NESTED] = 90,
				[LB_COUNT_SAMPLED_OUT] = 30,
				[LB_COUNT_CLOSES] = 7702,
				[LB_COUNT_UNMATCHED] = 45,
			},
			[LB_KIND_MMAP] = { [LB_COUNT_HITS] = 6,
					   [LB_COUNT_CLOSES] = 1,
					   [LB_COUNT_PARTIAL] = 1 },
		},
		.loss = {
			[LB_KIND_HEAP] = { [LB_LOSS_LIVE_FULL] = 11, [LB_LOSS_ABANDONED] = 1 },
			[LB_KIND_MMAP] = { [LB_LOSS_LIVE_FULL] = 1 },
		},
		.defect = { [LB_DEFECT_STACK_TRUNCATED] = 1 },
	},
	.opened = { [LB_KIND_HEAP] = 19970, [LB_KIND_MMAP] = 5 },
	.closed = { [LB_KIND_HEAP] = 7655 },
	.sample_shift = 2,
	.nr_live = 12315,
	.max_live = 1048576,
};

static const struct snapshot quiet_snapshot = {
	.stats = { .count = { [LB_KIND_HEAP] = { [LB_COUNT_HITS] = 10 } } },
	.opened = { [LB_KIND_HEAP] = 10 },
	.max_live = 1048576,
};

static char *allocators[] = { (char *)"jemalloc", (char *)"glibc" };
static char *blind_spots[] = { (char *)"/opt/a\033b.so: its malloc could not be probed" };

static const struct target targets[] = {
	{ .pid = 4242,
	  .comm = "server",
	  .exe = (char *)"/srv/app/server",
	  .allocators = allocators,
	  .nr_allocators = 2 },
	{ .pid = 77,
	  .comm = "a;b \033]0;x\007",
	  .runtime = RUNTIME_GO,
	  .go_version = (char *)"go1.22.1",
	  .blind_spots = blind_spots,
	  .nr_blind_spots = 1,
	  .exited = true },
};

static struct report busy_report(void)
{
	return (struct report){
		.duration_s = 200.25,
		.wall_s = 1700000000,
		.nr_polls = 41,
		.judged = true,
		.polls_needed = 6,
		.targets = targets,
		.nr_targets = ARRAY_SIZE(targets),
		.findings = findings,
		.nr_findings = ARRAY_SIZE(findings),
		.verdicts = { 7, 1, 1, 1 },
		.nr_missed_children = 2,
		.nr_sites = 10,
		.live_count = 12357,
		.live_bytes = 1125899919508480,
		.snapshot = &busy_snapshot,
		.attach_mode = "session",
		.poll_ms = 1.25,
	};
}

static struct report quiet_report(void)
{
	struct report report = busy_report();

	report.duration_s = 45;
	report.nr_targets = 1;
	report.nr_findings = 0;
	memset(report.verdicts, 0, sizeof(report.verdicts));
	report.nr_missed_children = 0;
	report.nr_sites = 1;
	report.live_count = 6;
	report.live_bytes = 24576;
	report.snapshot = &quiet_snapshot;
	return report;
}

/* --- comparing --- */

enum style { STYLE_REPORT, STYLE_LINES };

static char *render(const struct report *report, const struct report_options *options,
		    enum style style)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	if (style == STYLE_LINES)
		assert_int_equal(report_lines(out, report, options), 0);
	else
		assert_int_equal(report_write(out, report, options), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void assert_golden(const char *name, const struct report *report,
			  const struct report_options *options, enum style style)
{
	char *text = render(report, options, style), *wanted = NULL;
	char path[512];
	size_t len;

	snprintf(path, sizeof(path), "%s/golden/%s", LEAKBPF_TESTS_DIR, name);
	if (getenv("UPDATE_GOLDEN")) {
		FILE *file = fopen(path, "w");

		assert_non_null(file);
		fputs(text, file);
		fclose(file);
	}
	assert_int_equal(io_read_file(path, 1 << 20, &wanted, &len), 0);
	assert_string_equal(text, wanted);
	free(wanted);
	free(text);
}

static void text_report(void **state)
{
	struct report report = busy_report();
	struct report_options options = { .format = REPORT_TEXT };

	(void)state;
	assert_golden("report.txt", &report, &options, STYLE_REPORT);
	options.all_sites = true;
	options.verbose = true;
	options.colour = true;
	assert_golden("report-all-colour.txt", &report, &options, STYLE_REPORT);
}

static void text_without_findings(void **state)
{
	struct report report = quiet_report();
	struct report_options options = { .format = REPORT_TEXT };

	(void)state;
	assert_golden("nothing.txt", &report, &options, STYLE_REPORT);
	report.judged = false;
	report.nr_polls = 3;
	assert_golden("too-short.txt", &report, &options, STYLE_REPORT);
}

static void json_report(void **state)
{
	struct report report = busy_report();
	struct report_options options = { .format = REPORT_JSON, .all_sites = true };

	(void)state;
	assert_golden("report.json", &report, &options, STYLE_REPORT);
}

static void folded_report(void **state)
{
	struct report report = busy_report();
	struct report_options options = { .format = REPORT_FOLDED };

	(void)state;
	assert_golden("report.folded", &report, &options, STYLE_REPORT);
}

static void log_lines(void **state)
{
	struct report report = busy_report();
	struct report_options options = { .format = REPORT_TEXT };

	(void)state;
	setenv("TZ", "UTC", 1);
	assert_golden("lines.txt", &report, &options, STYLE_LINES);
	report = quiet_report();
	assert_golden("lines-nothing.txt", &report, &options, STYLE_LINES);
}

/* --- properties --- */

/* No escape sequence, control character or invalid UTF-8 of a target reaches the terminal. */
static void nothing_foreign_is_printed_raw(void **state)
{
	struct report report = busy_report();
	struct report_options options = { .format = REPORT_TEXT, .verbose = true };
	enum style style;

	(void)state;
	for (style = STYLE_REPORT; style <= STYLE_LINES; style++) {
		char *text = render(&report, &options, style), *at = text;

		while (*at) {
			uint32_t character;
			size_t size = utf8_decode(at, &character);

			assert_false(character == 0xfffd && size == 1);
			assert_true(character == '\n' || (character >= 0x20 && character != 0x7f));
			assert_int_not_equal(character, 0x202e);
			at += size;
		}
		free(text);
	}
}

static void top_cuts_after_the_worst(void **state)
{
	struct report report = busy_report();
	struct report_options options = { .format = REPORT_FOLDED, .top = 1, .all_sites = true };
	char *text = render(&report, &options, STYLE_REPORT);

	(void)state;
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	free(text);
}

static void a_full_disk_is_an_error(void **state)
{
	struct report report = busy_report();
	struct report_options options = { .format = REPORT_JSON };
	FILE *out = fopen("/dev/full", "w");

	(void)state;
	assert_non_null(out);
	assert_int_equal(report_write(out, &report, &options), -ENOSPC);
	fclose(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_report),
		cmocka_unit_test(text_without_findings),
		cmocka_unit_test(json_report),
		cmocka_unit_test(folded_report),
		cmocka_unit_test(log_lines),
		cmocka_unit_test(nothing_foreign_is_printed_raw),
		cmocka_unit_test(top_cuts_after_the_worst),
		cmocka_unit_test(a_full_disk_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
