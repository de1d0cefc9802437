/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The live screen without a terminal: frames byte for byte against tests/golden/ (after an intended
 * change run this with UPDATE_GOLDEN=1 and look at the difference), keys, and what must hold of any
 * frame.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <stdio.h>
#include <wchar.h>

#include "base/base.h"
#include "live_world.h"
#include "report/text.h"

static void show(struct live *live, uint64_t more, size_t nr_more)
{
	struct live_world *world = world_new(more, nr_more);

	assert_int_equal(live_update(live, &world->report), 0);
	world_free(world);
}

static struct live *live_with(bool colour, unsigned int rows, unsigned int columns)
{
	struct report_options options = { .colour = colour };
	struct live *live = live_new(&options, true);

	assert_non_null(live);
	live_resize(live, rows, columns);
	show(live, 0, 0);
	return live;
}

/* The frame; to be freed. */
static char *frame_of(struct live *live)
{
	struct buf frame = { 0 };

	assert_int_equal(live_frame(live, &frame), 0);
	assert_non_null(frame.data);
	return frame.data;
}

static void press(struct live *live, const char *keys)
{
	for (; *keys; keys++)
		assert_true(live_press(live, (unsigned char)*keys));
}

/* The frame has the text. */
static bool shows(struct live *live, const char *text)
{
	char *frame = frame_of(live);
	bool found = strstr(frame, text) != NULL;

	free(frame);
	return found;
}

/* --- golden frames --- */

static void assert_golden(const char *name, struct live *live)
{
	char *frame = frame_of(live), *wanted = NULL, path[512];
	size_t len;

	snprintf(path, sizeof(path), "%s/golden/%s", LEAKBPF_TESTS_DIR, name);
	if (getenv("UPDATE_GOLDEN")) {
		FILE *file = fopen(path, "w");

		assert_non_null(file);
		fprintf(file, "%s\n", frame);
		fclose(file);
	}
	assert_int_equal(io_read_file(path, 1 << 20, &wanted, &len), 0);
	assert_int_equal(wanted[len - 1], '\n');
	wanted[len - 1] = '\0';
	assert_string_equal(frame, wanted);
	free(wanted);
	free(frame);
}

static void frame_80x24(void **state)
{
	struct live *live = live_with(false, 24, 80);

	(void)state;
	assert_golden("live-80x24.txt", live);
	press(live, "\r");
	assert_golden("live-80x24-stack.txt", live);
	live_free(live);
}

static void frame_120x40(void **state)
{
	struct live *live = live_with(true, 40, 120);

	(void)state;
	press(live, "jj\rG\r");
	assert_golden("live-120x40.txt", live);
	live_free(live);
}

static void frame_40x10(void **state)
{
	struct live *live = live_with(false, 10, 40);

	(void)state;
	assert_golden("live-40x10.txt", live);
	press(live, "?");
	assert_golden("live-40x10-help.txt", live);
	live_free(live);
}

/* --- what must hold of any frame --- */

/* The length of a colour that begins at @text; 0: it is none that live_frame() may make. */
static size_t colour_length(const char *text)
{
	size_t len = strspn(text, "\033[0123456789;") + 1;

	return strncmp(text, "\033[", 2) == 0 && text[len - 1] == 'm' ? len : 0;
}

/* As many lines as rows, none wider than the screen, and nothing but characters that print. */
static void assert_fits(struct live *live, unsigned int rows, unsigned int columns, bool colour)
{
	char *frame = frame_of(live), *at = frame;
	unsigned int nr_lines = 1, used = 0;

	while (*at) {
		uint32_t character;
		size_t len = colour ? colour_length(at) : 0;
		int width;

		if (len > 0) {
			at += len;
			continue;
		}
		len = utf8_decode(at, &character);
		assert_false(character == 0xfffd && len == 1);
		at += len;
		if (character == '\n') {
			nr_lines++;
			used = 0;
			continue;
		}
		width = wcwidth((wchar_t)character);
		assert_true(width > 0); /* controls and marks of direction have none */
		used += (unsigned int)width;
		assert_true(used <= columns);
	}
	assert_int_equal(nr_lines, rows);
	free(frame);
}

/* Every state of the screen at every size, tiny ones too. */
static void frames_fit(void **state)
{
	static const char *const states[] = { "",      "\r",   "jjj\r",
					      "G\r",   "?",    "/ma\xff\033",
					      "sTp\r", "atta", "jj\rjj\rG" };
	size_t i;

	(void)state;
	assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
	for (i = 0; i < 2 * ARRAY_SIZE(states); i++) {
		bool colour = i % 2;
		struct live *live = live_with(colour, 24, 80);
		unsigned int rows, columns;

		show(live, 1, 20);
		press(live, states[i / 2]);
		for (rows = 1; rows < 50; rows += rows < 12 ? 1 : 9) {
			for (columns = 1; columns < 200; columns += columns < 60 ? 1 : 7) {
				live_resize(live, rows, columns);
				assert_fits(live, rows, columns, colour);
			}
		}
		live_free(live);
	}
}

/* Appends the frame's line with the cursor, without its blanks. */
static void add_cursor_line(struct live *live, struct buf *text)
{
	char *frame = frame_of(live), *line = strstr(frame, "\n>");

	assert_non_null(line);
	for (line += 2; *line && *line != '\n'; line++) {
		if (*line != ' ')
			buf_add(text, line, 1);
	}
	free(frame);
}

/* On a small screen the cursor comes to all that there is: each name of a stack is read whole. */
static void nothing_is_lost_on_small_screens(void **state)
{
	static const char *const wanted[] = { "why:12of12generationskept48-52objects",
					      "serve",
					      "confidence0.97",
					      "main",
					      "opened199999998",
					      "max" };
	struct buf text __cleanup_buf = { 0 }, name __cleanup_buf = { 0 };
	struct live *live = live_with(false, 10, 40);
	const char *at;
	size_t i;

	(void)state;
	press(live, "jj\r");
	for (i = 0; i < 30; i++) {
		add_cursor_line(live, &text);
		press(live, "j");
	}
	for (i = 0; i + 1 < ARRAY_SIZE(wanted); i++)
		assert_non_null(strstr(text.data, wanted[i]));
	for (at = LONG_NAME; *at; at++) {
		if (*at != ' ')
			buf_add(&name, at, 1);
	}
	assert_non_null(strstr(text.data, name.data));
	live_free(live);
}

/* --- keys --- */

/* The rows name these functions, in this order. */
static void assert_order(struct live *live, const char *const functions[], size_t nr)
{
	char *frame = frame_of(live), *at = frame;
	size_t i;

	for (i = 0; i < nr; i++) {
		at = strstr(at, functions[i]);
		assert_non_null(at);
	}
	free(frame);
}

static void s_sorts(void **state)
{
	static const char *const verdict[] = { "by verdict", "make_buffer", "main.worker", "std::",
					       "ev?[31mil",  "cache_fill",  "(stack" };
	static const char *const count[] = { "by count",    "std::",     "make_buffer",
					     "main.worker", "ev?[31mil", "(stack" };
	static const char *const bytes[] = { "by bytes", "cache_fill", "make_buffer", "ev?[31mil",
					     "std::" };
	static const char *const age[] = { "by age", "cache_fill", "main.worker", "make_buffer",
					   "std::",  "(stack",     "ev?[31mil" };
	struct live *live = live_with(false, 24, 120);

	(void)state;
	assert_order(live, verdict, ARRAY_SIZE(verdict));
	press(live, "s");
	assert_order(live, count, ARRAY_SIZE(count));
	press(live, "s");
	assert_order(live, bytes, ARRAY_SIZE(bytes));
	press(live, "s");
	assert_order(live, age, ARRAY_SIZE(age));
	press(live, "s");
	assert_order(live, verdict, ARRAY_SIZE(verdict));
	live_free(live);
}

static void tab_chooses_a_kind(void **state)
{
	static const char *const views[] = { "3 of 1007 sites, heap only",
					     "1 of 1007 sites, mmap only",
					     "1 of 1007 sites, goroutine only",
					     "1 of 1007 sites, timer only" };
	struct live *live = live_with(false, 24, 80);
	size_t i;

	(void)state;
	assert_true(shows(live, "6 of 1007 sites, by verdict"));
	for (i = 0; i < ARRAY_SIZE(views); i++) {
		press(live, i % 2 ? "t" : "\t");
		assert_true(shows(live, views[i]));
	}
	press(live, "t");
	assert_true(shows(live, "6 of 1007 sites, by verdict"));
	live_free(live);
}

static void a_hides_what_has_no_verdict(void **state)
{
	struct live *live = live_with(false, 24, 80);

	(void)state;
	assert_true(shows(live, "cache_fill"));
	assert_false(shows(live, "drained"));
	press(live, "a");
	assert_true(shows(live, "4 of 1007 sites, findings only"));
	assert_false(shows(live, "cache_fill"));
	press(live, "a");
	assert_true(shows(live, "cache_fill"));
	live_free(live);
}

static void slash_filters_by_function(void **state)
{
	struct live *live = live_with(false, 24, 100);

	(void)state;
	press(live, "/SERx");
	assert_true(shows(live, "0 of 1007 sites"));
	press(live, "\x7fV");
	assert_true(shows(live, "3 of 1007 sites, by verdict, through 'SERV'"));
	assert_true(shows(live, "/SERV_"));
	assert_false(shows(live, "main.worker"));
	press(live, "\rs"); /* no longer typing: s sorts */
	assert_true(shows(live, "3 of 1007 sites, by count, through 'SERV'"));
	assert_true(live_press(live, LIVE_KEY_ESCAPE));
	assert_true(shows(live, "6 of 1007 sites, by count"));
	press(live, "/q");
	assert_true(shows(live, "/q_"));
	assert_true(live_press(live, LIVE_KEY_ESCAPE));
	assert_true(shows(live, "6 of 1007 sites"));
	live_free(live);
}

static void a_filter_has_an_end(void **state)
{
	struct live *live = live_with(false, 24, 200);
	int i;

	(void)state;
	press(live, "/");
	for (i = 0; i < 500; i++)
		press(live, "\xc3\xa4");
	assert_true(shows(live, "through '"));
	for (i = 0; i < 40; i++)
		press(live, "\x7f");
	assert_true(shows(live, "6 of 1007 sites, by verdict, poll"));
	live_free(live);
}

static void enter_opens_and_closes(void **state)
{
	struct live *live = live_with(false, 24, 80);

	(void)state;
	press(live, "\r");
	assert_true(shows(live, "why: 12 of 12 generations kept 48-52 objects each"));
	assert_true(shows(live, "\n    * make_buffer  /build/app/src/server.c:17\n"));
	assert_true(shows(live, "\n      serve  /build/app/src/server.c:18 (inlined)\n"));
	press(live, "jjj\r"); /* from a line of the stack */
	assert_false(shows(live, "why:"));
	assert_true(live_press(live, LIVE_KEY_LEFT));
	assert_false(shows(live, "why:"));
	assert_true(live_press(live, LIVE_KEY_RIGHT));
	assert_true(live_press(live, LIVE_KEY_RIGHT));
	assert_true(shows(live, "why:"));
	live_free(live);
}

/* What is open or chosen stays so from poll to poll, wherever it moves. */
static void the_cursor_stays_with_its_site(void **state)
{
	struct live *live = live_with(false, 24, 120);

	(void)state;
	press(live, "jj\r");
	assert_true(shows(live, "\n>growing"));
	show(live, 5, 3);
	assert_true(shows(live, "\n>growing"));
	assert_true(shows(live, "live 812 B in 100000004 objects"));
	press(live, "s");
	assert_true(shows(live, "\n>growing"));
	press(live, "t");
	assert_true(shows(live, "\n>growing"));
	live_free(live);
}

static void pausing_holds_the_poll(void **state)
{
	struct live *live = live_with(false, 24, 80);

	(void)state;
	press(live, "p");
	show(live, 7, 0);
	show(live, 8, 0);
	assert_true(shows(live, "PAUSED"));
	assert_true(shows(live, " 12345 "));
	press(live, "p");
	assert_false(shows(live, "PAUSED"));
	assert_true(shows(live, " 12353 "));
	live_free(live);
}

static void q_ends_unless_typed(void **state)
{
	struct live *live = live_with(false, 24, 80);

	(void)state;
	assert_true(live_press(live, '/'));
	assert_true(live_press(live, 'q'));
	assert_true(live_press(live, '\r'));
	assert_true(live_press(live, 'x')); /* no key of ours */
	assert_false(live_press(live, 'q'));
	press(live, "?");
	assert_false(live_press(live, 'q'));
	live_free(live);
}

/* Long tables scroll, to both ends and no further. */
static void the_table_scrolls(void **state)
{
	struct live *live = live_with(false, 10, 80);
	int i;

	(void)state;
	show(live, 0, 25);
	assert_true(live_press(live, LIVE_KEY_END));
	assert_false(shows(live, "make_buffer"));
	for (i = 0; i < 10; i++)
		assert_true(live_press(live, LIVE_KEY_PAGE_UP));
	assert_true(shows(live, "\n>leaking"));
	for (i = 0; i < 50; i++)
		press(live, "j");
	assert_true(shows(live, "\n>stable"));
	assert_true(live_press(live, LIVE_KEY_HOME));
	assert_true(shows(live, "make_buffer"));
	live_free(live);
}

/* Before the first poll, and with nobody to press keys. */
static void an_empty_screen(void **state)
{
	struct report_options options = { 0 };
	struct live *live = live_new(&options, false);

	(void)state;
	assert_non_null(live);
	assert_true(shows(live, "No site holds anything yet."));
	press(live, "jkGg\r?x/\r");
	assert_true(shows(live, "Ctrl-C"));
	show(live, 0, 0);
	assert_false(shows(live, "\n>"));
	live_free(live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frame_80x24),
		cmocka_unit_test(frame_120x40),
		cmocka_unit_test(frame_40x10),
		cmocka_unit_test(frames_fit),
		cmocka_unit_test(nothing_is_lost_on_small_screens),
		cmocka_unit_test(s_sorts),
		cmocka_unit_test(tab_chooses_a_kind),
		cmocka_unit_test(a_hides_what_has_no_verdict),
		cmocka_unit_test(slash_filters_by_function),
		cmocka_unit_test(a_filter_has_an_end),
		cmocka_unit_test(enter_opens_and_closes),
		cmocka_unit_test(the_cursor_stays_with_its_site),
		cmocka_unit_test(pausing_holds_the_poll),
		cmocka_unit_test(q_ends_unless_typed),
		cmocka_unit_test(the_table_scrolls),
		cmocka_unit_test(an_empty_screen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
