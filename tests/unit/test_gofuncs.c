/* SPDX-License-Identifier: GPL-2.0-only */
/* Functions of stripped Go programs whose table does not tell where the code is (Go 1.26). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "elf/elf.h"
#include "fake_go.h"
#include "fixture.h"

static const char program[] =
	".section .note.go.buildid,\"a\",%note\n.balign 4\n"
	".long 4, 9, 4\n.ascii \"Go\\0\\0\"\n.ascii \"abc/def/g\"\n.balign 4\n"
	".section .gopclntab,\"a\"\n.balign 32\n"
	"table: .incbin \"table.bin\"\n"
	".data\n.balign 8\n"
	"module: .quad MODULE, table + NAMES\n.zero 160\n.quad code\n"
	".text\n.balign 64\n.globl code\n.type code,%function\n"
	"code: .zero 256, 0x90\n.size code, 256\n"
	".section .note.GNU-stack,\"\",%progbits\n";

static struct image *open_image(const struct fixture *fixture, const char *name)
{
	struct image *image = NULL;
	char path[256];

	assert_int_equal(image_open(fixture_path(fixture, name, path, sizeof(path)), &image), 0);
	return image;
}

/* @flag: how to link it; @module: what moduledata begins with. */
static void make_program(const struct fixture *fixture, const char *flag, const char *module)
{
	uint8_t table[FAKE_TABLE_BYTES];

	fake_table(table);
	fixture_write(fixture, "table.bin", table, sizeof(table));
	fixture_write(fixture, "go.s", program, sizeof(program) - 1);
	fixture_run(fixture,
		    "echo 'int main(void) { return 0; }' > main.c && sed -i 's/MODULE/%s/; "
		    "s/NAMES/%d/' go.s && cc %s -o go main.c go.s && "
		    "strip -o stripped go",
		    module, FAKE_NAMES_AT, flag);
}

static uint64_t address_of(struct image *image, const char *name)
{
	struct symbol symbol;

	return image_find_function(image, name, &symbol) ? 0 : symbol.vaddr;
}

static void functions_are_found_by_moduledata(void **state)
{
	static const char *const flags[] = { "-no-pie", "-pie" };

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		struct image *whole, *stripped;
		uint64_t code;

		make_program(*state, flags[i], "table");
		whole = open_image(*state, "go");
		stripped = open_image(*state, "stripped");
		code = address_of(whole, "code");
		assert_int_not_equal(code, 0);
		assert_int_equal(address_of(stripped, "main.inner"), code + FAKE_INNER);
		assert_int_equal(address_of(stripped, "runtime.goexit"), code + FAKE_GOEXIT);
		image_free(whole);
		image_free(stripped);
	}
}

/* What does not begin with a pointer to the table is not moduledata. */
static void nothing_is_found_without_moduledata(void **state)
{
	struct image *image;

	make_program(*state, "-no-pie", "table + 8");
	image = open_image(*state, "stripped");
	assert_int_equal(address_of(image, "main.inner"), 0);
	image_free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(functions_are_found_by_moduledata, fixture_begin,
						fixture_end),
		cmocka_unit_test_setup_teardown(nothing_is_found_without_moduledata, fixture_begin,
						fixture_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
