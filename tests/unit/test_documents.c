/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SVG and HTML reports byte for byte against tests/golden/ (after an intended change run this test
 * with UPDATE_GOLDEN=1 and look at the difference); no name of a target gets out of its place.
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

#include "base/base.h"
#include "flame_fixture.h"
#include "report/text.h"
#include "report/xml.h"

/* --- hostile names --- */

#define HOSTILE                                                                                    \
	"</script></style></title></text>]]><script>alert(1)</script><img src=x onerror=y> & "     \
	"&amp; \" ' \x01\x1b[31m\n\xff \xef\xbf\xbf \xe2\x80\xae -->"

static struct frame hostile_frames[] = {
	{ .function = HOSTILE, .file = HOSTILE, .line = 3, .module = HOSTILE },
	{ .function = "", .module = "" },
	{ .module = HOSTILE, .offset = 16 },
};
static const struct stack hostile_stack = { .nr_frames = 3, .frames = hostile_frames };
static char *hostile_strings[] = { (char *)HOSTILE };
static const struct target hostile_targets[] = {
	{ .pid = 7,
	  .comm = "</title>]]>&'\"",
	  .exe = (char *)HOSTILE,
	  .runtime = RUNTIME_GO,
	  .go_version = (char *)HOSTILE,
	  .allocators = hostile_strings,
	  .nr_allocators = 1,
	  .blind_spots = hostile_strings,
	  .nr_blind_spots = 1 },
	{ .pid = 8, .comm = "quiet", .exe = (char *)"/bin/quiet", .exited = true },
};

static const struct snapshot snapshot = {
	.stats = {
		.count = { [LB_KIND_HEAP] = { [LB_COUNT_HITS] = 107, [LB_COUNT_CLOSES] = 9 } },
		.loss = { [LB_KIND_HEAP] = { [LB_LOSS_LIVE_FULL] = 7 } },
		.defect = { [LB_DEFECT_STACK_TRUNCATED] = 1 },
	},
	.opened = { [LB_KIND_HEAP] = 100 },
	.closed = { [LB_KIND_HEAP] = 9 },
	.sample_shift = 1,
};

static const struct finding findings[] = {
	{ .site = { .key = { 7, LB_KIND_HEAP, 1 },
		    .live_count = 40,
		    .live_bytes = 40960,
		    .state = HOSTILE,
		    .proof = HOSTILE },
	  .verdict = VERDICT_LEAKING,
	  .confidence = 0.97,
	  .growth_bytes_per_s = 512,
	  .growth_count_per_s = 0.5,
	  .first_alert_s = 20,
	  .oldest_s = 80,
	  .history = { 0, 10240, 20480, 30720, 40960 },
	  .nr_history = 5,
	  .stack = &hostile_stack },
	{ .site = { .key = { 8, LB_KIND_HEAP, 2 }, .live_count = 3, .live_bytes = 4096 },
	  .verdict = VERDICT_GROWING,
	  .confidence = 0.5,
	  .first_alert_s = -1,
	  .oldest_s = -1,
	  .history = { 4096, 4096 },
	  .nr_history = 2,
	  .stack = &stack_a },
	{ .site = { .key = { 8, LB_KIND_GOROUTINE, 3 }, .live_count = 12, .estimated = true },
	  .verdict = VERDICT_SUSPECT,
	  .first_alert_s = -1,
	  .oldest_s = 12 },
	{ .site = { .key = { 8, LB_KIND_MMAP, 4 }, .live_count = 1, .live_bytes = 8192 },
	  .first_alert_s = -1,
	  .oldest_s = -1,
	  .stack = &stack_d },
};

static struct report hostile_report(void)
{
	return (struct report){
		.duration_s = 80.5,
		.wall_s = 1700000000,
		.nr_polls = 5,
		.judged = true,
		.polls_needed = 6,
		.targets = hostile_targets,
		.nr_targets = ARRAY_SIZE(hostile_targets),
		.findings = findings,
		.nr_findings = ARRAY_SIZE(findings),
		.verdicts = { 3, 1, 1, 1 },
		.nr_missed_children = 2,
		.nr_sites = 6,
		.live_count = 60,
		.live_bytes = 55000,
		.snapshot = &snapshot,
		.attach_mode = "multi",
		.poll_ms = 1.5,
	};
}

static char *render(enum report_format format, bool all_sites)
{
	struct report report = hostile_report();
	struct report_options options = { .format = format, .all_sites = all_sites };
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(report_write(out, &report, &options), 0);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(strlen(text), len);
	return text;
}

static size_t count_of(const char *text, const char *word)
{
	size_t nr = 0;

	for (; (text = strstr(text, word)); text++)
		nr++;
	return nr;
}

/* Style and script are files of their own: goldens are without. */
static void cut_out(char *text, const char *begin, const char *end)
{
	char *from = strstr(text, begin), *to = from ? strstr(from, end) : NULL;

	if (!to) {
		fail_msg("there is no %s", begin);
		return;
	}
	from += strlen(begin);
	memmove(from, to, strlen(to) + 1);
}

static void assert_golden(const char *name, char *text)
{
	char path[512], *wanted = NULL;
	size_t len;

	cut_out(text, "<style>", "</style>");
	cut_out(text, "<script>", "</script>");
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
}

/* What the document would contain had a name got out of its place. */
static void assert_harmless(const char *text)
{
	size_t scripts = count_of(text, "<script>"), i;

	assert_int_equal(scripts, 1);
	assert_int_equal(count_of(text, "</script>"), 1);
	assert_int_equal(count_of(text, "<style>"), 1);
	assert_int_equal(count_of(text, "</style>"), 1);
	assert_int_equal(count_of(text, "<img"), 0);
	assert_int_equal(count_of(text, "\xef\xbf\xbf"), 0);
	assert_int_equal(count_of(text, "\xe2\x80\xae"), 0);
	assert_true(count_of(text, "&lt;img src=x onerror=y&gt; &amp; &amp;amp; &quot; &#39; ") >
		    3);
	for (i = 0; text[i]; i++)
		assert_true(text[i] == '\n' || text[i] == '\t' || (unsigned char)text[i] >= 0x20);
}

static void svg_document(void **state)
{
	char *text = render(REPORT_SVG, false);

	(void)state;
	assert_harmless(text);
	assert_int_equal(count_of(text, "]]>"), 2); /* ends of style and script */
	assert_golden("flame.svg", text);
	free(text);
}

static void svg_difference(void **state)
{
	struct flame_stack stacks[] = {
		bytes_at(&stack_a, 4000, VERDICT_STABLE), bytes_at(&stack_b, 300, VERDICT_STABLE),
		bytes_at(&stack_c, 600, VERDICT_STABLE),  bytes_at(&stack_d, 50, VERDICT_STABLE),
		bytes_at(&stack_d, 12, VERDICT_STABLE),
	};
	struct flame_input input = input_of(stacks, ARRAY_SIZE(stacks));
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	input.difference = true;
	stacks[0].before = 1000;
	stacks[1].before = 300;
	stacks[2].before = 900;
	stacks[4].counted = true;
	assert_int_equal(flame_write(out, &input), 0);
	assert_int_equal(fclose(out), 0);
	assert_golden("flame-difference.svg", text);
	free(text);
}

static void html_document(void **state)
{
	char *text = render(REPORT_HTML, true);

	(void)state;
	assert_harmless(text);
	assert_int_equal(count_of(text, "<tbody role=\"rowgroup\" class=\"finding\">"), 4);
	assert_golden("report.html", text);
	free(text);
	text = render(REPORT_HTML, false);
	assert_int_equal(count_of(text, "<tbody role=\"rowgroup\" class=\"finding\">"), 3);
	free(text);
}

static void a_page_has_so_many_findings(void **state)
{
	struct finding *many = calloc(2000, sizeof(*many));
	struct report report = hostile_report();
	struct report_options options = { .format = REPORT_HTML, .all_sites = true };
	char *text = NULL;
	size_t len = 0, i;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	assert_non_null(many);
	for (i = 0; i < 2000; i++)
		many[i] = findings[3];
	report.findings = many;
	report.nr_findings = 2000;
	report.verdicts[VERDICT_STABLE] = 1997;
	assert_int_equal(report_write(out, &report, &options), 0);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(count_of(text, "class=\"finding\""), 500);
	assert_non_null(strstr(text, "1500 more not shown"));
	free(text);
	free(many);
}

/* A sum stands for its largest site, as trend/ tells it, and its verdict holds for the others in it. */
static void sums_colour_their_sites(void **state)
{
	const struct finding sites[] = {
		{ .site = { .key = { 8, LB_KIND_HEAP, 1 },
			    .group = 5,
			    .live_count = 1,
			    .live_bytes = 1024 },
		  .nr_stacks = 2,
		  .verdict = VERDICT_LEAKING,
		  .stack = &stack_a },
		{ .site = { .key = { 8, LB_KIND_HEAP, 2 },
			    .group = 5,
			    .live_count = 1,
			    .live_bytes = 1024 },
		  .nr_stacks = 1,
		  .stack = &stack_b },
		{ .site = { .key = { 8, LB_KIND_HEAP, 3 },
			    .group = 6,
			    .live_count = 1,
			    .live_bytes = 1024 },
		  .nr_stacks = 1,
		  .stack = &stack_c },
	};
	struct report report = hostile_report();
	struct report_options options = { .format = REPORT_SVG };
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	report.findings = sites;
	report.nr_findings = ARRAY_SIZE(sites);
	report.nr_sites = 3;
	assert_int_equal(report_write(out, &report, &options), 0);
	assert_int_equal(fclose(out), 0);
	assert_non_null(strstr(text, "<title>all\n3.0 KiB (100.0 %), 3 objects, heap; "
				     "leaking: 2.0 KiB</title>"));
	assert_non_null(strstr(text, "<g class=\"f l4\"><title>leak\n/src/app.c:17-21\n"));
	assert_non_null(strstr(text, "<g class=\"f q\"><title>cache\n"));
	assert_null(strstr(text, "Not in this graph"));
	free(text);
}

static void html_without_findings(void **state)
{
	struct report report = hostile_report();
	struct report_options options = { .format = REPORT_HTML };
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	memset(report.verdicts, 0, sizeof(report.verdicts));
	report.nr_findings = 0;
	assert_int_equal(report_write(out, &report, &options), 0);
	assert_int_equal(fclose(out), 0);
	assert_non_null(strstr(text, "<h1>Nothing grows</h1>"));
	assert_non_null(strstr(text, "Nothing to report: no site kept growing."));
	assert_non_null(strstr(text, "Nothing is outstanding."));
	free(text);
}

/* Nothing is named that would have to be fetched. */
static void documents_need_nothing_else(void **state)
{
	static const char *const words[] = { "src=", "href", "url(", "@import", "http" };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(words); i++) {
		bool namespace = strcmp(words[i], "http") == 0;

		assert_int_equal(count_of(embedded_flame_css, words[i]), 0);
		assert_int_equal(count_of(embedded_page_css, words[i]), 0);
		assert_int_equal(count_of(embedded_page_js, words[i]), 0);
		assert_int_equal(count_of(embedded_flame_js, words[i]), namespace ? 2 : 0);
	}
	assert_int_equal(count_of(embedded_flame_js, "]]>"), 0);
	assert_int_equal(count_of(embedded_flame_css, "]]>"), 0);
	assert_int_equal(count_of(embedded_flame_js, "</"), 0);
	assert_int_equal(count_of(embedded_page_js, "</"), 0);
}

static void xml_escapes(void **state)
{
	struct buf buf __cleanup_buf = { 0 };

	(void)state;
	xml_text(&buf, "a<b>&\"'\n\x7f\xc2\x85\xef\xbf\xbe\xc3\xa9");
	assert_string_equal(buf.data, "a&lt;b&gt;&amp;&quot;&#39;\n"
				      "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xc3\xa9");
	buf_reset(&buf);
	xml_foreign(&buf, "a\n\xff]]>");
	assert_string_equal(buf.data, "a?\xef\xbf\xbd]]&gt;");
}

static void a_full_disk_is_an_error(void **state)
{
	struct flame_stack stack = bytes_at(&stack_a, 10, VERDICT_STABLE);
	struct flame_input input = input_of(&stack, 1);
	FILE *out = fopen("/dev/full", "w");

	(void)state;
	assert_non_null(out);
	assert_int_equal(flame_write(out, &input), -ENOSPC);
	fclose(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(svg_document),
		cmocka_unit_test(svg_difference),
		cmocka_unit_test(html_document),
		cmocka_unit_test(a_page_has_so_many_findings),
		cmocka_unit_test(sums_colour_their_sites),
		cmocka_unit_test(html_without_findings),
		cmocka_unit_test(documents_need_nothing_else),
		cmocka_unit_test(xml_escapes),
		cmocka_unit_test(a_full_disk_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
