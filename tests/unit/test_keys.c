/* SPDX-License-Identifier: GPL-2.0-only */
/* What terminals send -> keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"
#include "cmd/keys.h"
#include "report/report.h"

/* The keys of the bytes go to @keys; returns their number. */
static size_t decode(struct keys *state, const char *bytes, size_t len, int *keys)
{
	size_t nr = 0, i;

	for (i = 0; i < len; i++) {
		int key = keys_take(state, (unsigned char)bytes[i]);

		if (key != LIVE_KEY_NONE)
			keys[nr++] = key;
	}
	return nr;
}

#define assert_keys(bytes, ...)                                                                    \
	do {                                                                                       \
		const int wanted_[] = { __VA_ARGS__ };                                             \
		struct keys state_ = { 0 };                                                        \
		int keys_[64];                                                                     \
		size_t nr_ = decode(&state_, bytes, sizeof(bytes) - 1, keys_);                     \
                                                                                                   \
		assert_int_equal(nr_, ARRAY_SIZE(wanted_));                                        \
		assert_memory_equal(keys_, wanted_, sizeof(wanted_));                              \
	} while (0)

static void plain_bytes(void **state)
{
	(void)state;
	assert_keys("jQ/\t\r\x7f\xc3\xa4", 'j', 'Q', '/', '\t', '\r', 0x7f, 0xc3, 0xa4);
}

static void cursor_keys(void **state)
{
	(void)state;
	assert_keys("\033[A\033[B\033[C\033[D\033[H\033[F", LIVE_KEY_UP, LIVE_KEY_DOWN,
		    LIVE_KEY_RIGHT, LIVE_KEY_LEFT, LIVE_KEY_HOME, LIVE_KEY_END);
	assert_keys("\033OA\033OB\033OC\033OD\033OH\033OF", LIVE_KEY_UP, LIVE_KEY_DOWN,
		    LIVE_KEY_RIGHT, LIVE_KEY_LEFT, LIVE_KEY_HOME, LIVE_KEY_END);
	assert_keys("\033[1~\033[4~\033[7~\033[8~\033[5~\033[6~", LIVE_KEY_HOME, LIVE_KEY_END,
		    LIVE_KEY_HOME, LIVE_KEY_END, LIVE_KEY_PAGE_UP, LIVE_KEY_PAGE_DOWN);
	assert_keys("\033[1;5A", LIVE_KEY_UP);
}

/* Sequences that are not known, however long, leave nothing behind that looks like a key. */
static void foreign_sequences(void **state)
{
	(void)state;
	assert_keys("\033[15~\033[1;2P\033[<35;10;20Mq", 'q');
	assert_keys("\033[0123456789012345678901234567890123456789;9;9;9qj", 'j');
	assert_keys("\033qs", 's'); /* Alt-q is no q */
	assert_keys("\033[3~\033Oxj", 'j');
}

static void escape_alone(void **state)
{
	struct keys keys = { 0 };

	(void)state;
	assert_keys("\033\033[A", LIVE_KEY_ESCAPE, LIVE_KEY_UP);
	assert_int_equal(keys_take(&keys, 0x1b), LIVE_KEY_NONE);
	assert_int_equal(keys_end(&keys), LIVE_KEY_ESCAPE);
	assert_int_equal(keys_end(&keys), LIVE_KEY_NONE);
	assert_int_equal(keys_take(&keys, '['), '[');
}

/* A sequence that does not go on is given up. */
static void broken_off(void **state)
{
	struct keys keys = { 0 };

	(void)state;
	assert_int_equal(keys_take(&keys, 0x1b), LIVE_KEY_NONE);
	assert_int_equal(keys_take(&keys, '['), LIVE_KEY_NONE);
	assert_int_equal(keys_end(&keys), LIVE_KEY_NONE);
	assert_int_equal(keys_take(&keys, 'q'), 'q');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_bytes),       cmocka_unit_test(cursor_keys),
		cmocka_unit_test(foreign_sequences), cmocka_unit_test(escape_alone),
		cmocka_unit_test(broken_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
