/* SPDX-License-Identifier: GPL-2.0-only */
/* Functions of stripped Go programs whose table does not tell where the code is (Go 1.26). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
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
	"trees: .long 0, 0, 0, 0, 0, 10, 0, 0\n" /* main.work and main.inner */
	".data\n.balign 8\n"
	"module: .quad MODULE, table + NAMES\n.zero 160\n.quad code\n"
	".zero 112\n.quad 1, 2, 0, TREES\n"
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

/* The last function, runtime.goexit, has a tree of inlined calls: the first two of moduledata.gofunc. */
static void add_tree(uint8_t *table)
{
	static const uint8_t values[] = { 2, 8, 2, 8, 0 }; /* 0, from the 8th byte on 1 */
	size_t at = FAKE_FUNCTIONS_AT + 5 * 8 + 3 * 64;

	memcpy(table + FAKE_VALUES_AT + 16, values, sizeof(values));
	fake_u32(table, at + 28, 3); /* struct _func: npcdata */
	table[at + 43] = 4;          /* nfuncdata */
	fake_u32(table, at + 44 + 2 * 4, 16);
	fake_u32(table, at + 44 + (3 + 3) * 4, 0);
}

/* @flag: how to link it; @module: what moduledata begins with; @trees: moduledata.gofunc. */
static void make_program(const struct fixture *fixture, const char *flag, const char *module,
			 const char *trees)
{
	uint8_t table[FAKE_TABLE_BYTES];

	fake_table(table);
	add_tree(table);
	fixture_write(fixture, "table.bin", table, sizeof(table));
	fixture_write(fixture, "go.s", program, sizeof(program) - 1);
	fixture_run(fixture,
		    "echo 'int main(void) { return 0; }' > main.c && sed -i 's/MODULE/%s/; "
		    "s/NAMES/%d/; s/TREES/%s/' go.s && cc %s -o go main.c go.s && "
		    "strip -o stripped go",
		    module, FAKE_NAMES_AT, trees, flag);
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

		make_program(*state, flags[i], "table", "table");
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

/* Has it this function at the line? */
static void assert_line(struct image *image, uint64_t vaddr, const char *function, int line)
{
	struct source_frame *frames = NULL;
	long nr = image_source_frames(image, vaddr, &frames);

	assert_int_equal(nr, 1);
	assert_string_equal(frames->function, function);
	assert_int_equal(frames->line, line);
	if (line)
		assert_string_equal(frames->file, "/src/fake.go");
	else
		assert_null(frames->file);
	assert_false(frames->inlined);
	source_frames_free(frames, (size_t)nr);
}

/* Without the trees of inlined calls a line may be of another function: none is told then. */
static void lines_are_found_with_the_trees_of_inlined_calls(void **state)
{
	static const char *const trees[] = { "table", "0" };

	for (size_t i = 0; i < ARRAY_SIZE(trees); i++) {
		struct image *image;
		uint64_t code;

		make_program(*state, "-no-pie", "table", trees[i]);
		image = open_image(*state, "stripped");
		code = address_of(image, "main.work");
		assert_line(image, code, "main.work", i ? 0 : 10);
		assert_line(image, code + 0x11, "main.work", i ? 0 : 11);
		image_free(image);
	}
}

struct visit {
	char names[64]; /* each with a blank behind it */
	int result;
};

static int note_name(const char *name, void *context)
{
	struct visit *visit = context;
	size_t len = strlen(visit->names);

	snprintf(visit->names + len, sizeof(visit->names) - len, "%s ", name);
	return visit->result;
}

static void assert_inlined(struct image *image, const char *prefix, int stop, int result,
			   const char *names)
{
	struct visit visit = { .result = stop };

	assert_int_equal(image_for_each_inlined(image, prefix, note_name, &visit), result);
	assert_string_equal(visit.names, names);
}

static void inlined_calls_are_visited(void **state)
{
	static const char *const names[] = { "go", "stripped" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct image *image;

		make_program(*state, "-pie", "table", "trees");
		image = open_image(*state, names[i]);
		assert_inlined(image, "runtime.", 0, 0, "main.work main.inner ");
		address_of(image, "code"); /* its symbols are read now */
		assert_inlined(image, "runtime.", 0, 0, "main.work main.inner ");
		assert_inlined(image, "runtime.", 7, 7, "main.work ");
		assert_inlined(image, "main.", 0, 0, "");
		image_free(image);
		make_program(*state, "-pie", "table", "0");
		image = open_image(*state, names[i]);
		assert_inlined(image, "runtime.", 0, -ENOENT, "");
		image_free(image);
	}
}

/* What does not begin with a pointer to the table is not moduledata. */
static void nothing_is_found_without_moduledata(void **state)
{
	struct image *image;

	make_program(*state, "-no-pie", "table + 8", "table");
	image = open_image(*state, "stripped");
	assert_int_equal(address_of(image, "main.inner"), 0);
	image_free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(functions_are_found_by_moduledata, fixture_begin,
						fixture_end),
		cmocka_unit_test_setup_teardown(lines_are_found_with_the_trees_of_inlined_calls,
						fixture_begin, fixture_end),
		cmocka_unit_test_setup_teardown(inlined_calls_are_visited, fixture_begin,
						fixture_end),
		cmocka_unit_test_setup_teardown(nothing_is_found_without_moduledata, fixture_begin,
						fixture_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
