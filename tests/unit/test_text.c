/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(broken_utf8),
		cmocka_unit_test(numbers_for_people),
		cmocka_unit_test(names_of_kinds_and_counters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
