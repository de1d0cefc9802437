/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "report/text.h"

static void broken_utf8(void **state)
{
	static const char *const wrong[] = {
		"\x80",
		"\xc0\xaf",
		"\xc3",
		"\xe2\x82",
		"\xe0\x80\x80",
		"\xed\xa0\x80",
		"\xf0\x80\x80\x80",
		"\xf4\x90\x80\x80",
		"\xff",
		"\xf8\x88\x80\x80",
	};
	uint32_t character;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(utf8_decode(wrong[i], &character), 1);
		assert_int_equal(character, 0xfffd);
	}
	assert_int_equal(utf8_decode("€", &character), 3);
	assert_int_equal(character, 0x20ac);
	assert_int_equal(utf8_decode("\xf4\x8f\xbf\xbf", &character), 4);
	assert_int_equal(character, 0x10ffff);
}

static void assert_text(void (*add)(struct buf *, double), double value, const char *wanted)
{
	struct buf buf = { 0 };

	add(&buf, value);
	assert_string_equal(buf.data, wanted);
	buf_done(&buf);
}

static void numbers_for_people(void **state)
{
	(void)state;
	assert_text(text_bytes, 0, "0 B");
	assert_text(text_bytes, 1023, "1023 B");
	assert_text(text_bytes, 1024, "1.0 KiB");
	assert_text(text_bytes, 1024 * 1024 - 1, "1.0 MiB");
	assert_text(text_bytes, 1023 * 1024, "1023 KiB");
	assert_text(text_bytes, 99.9 * 1024, "99.9 KiB");
	assert_text(text_bytes, -1536, "-1.5 KiB");
	assert_text(text_bytes, 1e30, "888178419700125 PiB");
	assert_text(text_seconds, 0, "0.0 s");
	assert_text(text_seconds, 9.96, "10 s");
	assert_text(text_seconds, 119.4, "119 s");
	assert_text(text_seconds, 200.25, "3 min 20 s");
	assert_text(text_seconds, 7300, "2 h 1 min");
	assert_text(text_seconds, 172800, "2 d 0 h");
	assert_text(text_seconds, 1804860, "20 d 21 h");
	assert_text(text_seconds, 1e300, "0 s");
}

static void names_of_kinds_and_counters(void **state)
{
	enum lb_kind kind = LB_KIND_MAX;
	size_t i;

	(void)state;
	assert_int_equal(kind_parse("mmap", &kind), 0);
	assert_int_equal(kind, LB_KIND_MMAP);
	assert_int_equal(kind_parse("", &kind), -EINVAL);
	assert_int_equal(kind_parse("heap,mmap", &kind), -EINVAL);
	assert_string_equal(kind_name(LB_KIND_HEAP), "heap");
	assert_string_equal(kind_name(LB_KIND_MAX), "unknown");
	for (i = 0; i < LB_COUNT_MAX; i++)
		assert_non_null(count_name((enum lb_count)i));
	for (i = 0; i < LB_LOSS_MAX; i++)
		assert_non_null(loss_name((enum lb_loss)i));
	for (i = 0; i < LB_DEFECT_MAX; i++)
		assert_non_null(defect_name((enum lb_defect)i));
}

/* Where a goroutine is that has called C, and a block that C code which Go calls has. */
static void where_go_calls_c(void **state)
{
	struct frame frames[] = {
		{ .function = "main._Cfunc_wait", .file = "_cgo_gotypes.go", .line = 45 },
		{ .function = "main.callC", .file = "/src/main.go", .line = 7 },
		{ .function = "created by main.main", .file = "/src/main.go", .line = 9 },
	};
	struct frame block[] = {
		{ .function = "_cgo_be59f0f25121_Cfunc_wait" },
		{ .function = "runtime.asmcgocall" },
		{ .function = "main._Cfunc_wait", .file = "_cgo_gotypes.go", .line = 45 },
		{ .function = "example.com/store.(*Store).Open" },
	};
	struct stack goroutine = { .nr_frames = ARRAY_SIZE(frames), .frames = frames };
	struct stack of_block = { .nr_frames = ARRAY_SIZE(block), .frames = block };

	(void)state;
	assert_ptr_equal(stack_where(&goroutine), &frames[1]);
	assert_ptr_equal(stack_where(&of_block), &block[3]);
	block[0].function = "open_store";
	assert_ptr_equal(stack_where(&of_block), &block[0]);
}

/* What is said of goroutines that wait: how long all did, and the longest wait. */
static void numbers_of_waits(void **state)
{
	struct finding finding = {
		.site = { .key = { .kind = LB_KIND_GOPARK },
			  .opened_count = 7,
			  .closed_count = 5,
			  .closed_bytes = 3 * NSEC_PER_SEC,
			  .live_count = 2,
			  .longest_ns = NSEC_PER_SEC * 5 / 2,
			  .state = "chan receive" },
		.oldest_s = -1,
		.first_alert_s = -1,
	};
	struct buf text __cleanup_buf = { 0 };

	(void)state;
	text_numbers(&text, &finding);
	assert_string_equal(text.data, "live 2 goroutines, waited 3.0 s, longest 2.5 s, opened 7, "
				       "closed 5, state chan receive");
	buf_reset(&text);
	finding.site.longest_ns = 12345678;
	finding.site.closed_bytes = 999400000;
	text_numbers(&text, &finding);
	assert_non_null(strstr(text.data, ", waited 999 ms, longest 12.3 ms, "));
	buf_reset(&text);
	finding.site.longest_ns = 0; /* none is over */
	text_numbers(&text, &finding);
	assert_null(strstr(text.data, "longest"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(broken_utf8),
		cmocka_unit_test(numbers_for_people),
		cmocka_unit_test(names_of_kinds_and_counters),
		cmocka_unit_test(where_go_calls_c),
		cmocka_unit_test(numbers_of_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
