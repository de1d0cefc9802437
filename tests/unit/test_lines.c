/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "elf/elf.h"
#include "fixture.h"

/* Each line of the program is a string of its own here, so that the numbers can be counted.
 * fixture_mark is an address inside of inner(), inlined into middle(), inlined into outer(). */
static const char source[] =
	/* 1 */ "#define MARK(name) __asm__ volatile(\".globl \" #name \"\\n.type \" #name "
		"\",%function\\n\" #name \": nop\")\n"
		/* 2 */ "static inline __attribute__((always_inline)) void inner(void)\n"
		/* 3 */ "{\n"
		/* 4 */ "	MARK(fixture_mark);\n"
		/* 5 */ "}\n"
		/* 6 */ "static inline __attribute__((always_inline)) void middle(void)\n"
		/* 7 */ "{\n"
		/* 8 */ "\n"
		/* 9 */ "	inner();\n"
		/* 10 */ "}\n"
		/* 11 */ "__attribute__((noinline)) void outer(void)\n"
		/* 12 */ "{\n"
		/* 13 */ "	__asm__ volatile(\"\");\n"
		/* 14 */ "	{ int a = 1; __asm__ volatile(\"\" : : \"r\"(a)); middle(); }\n"
		/* 15 */ "	MARK(outer_mark);\n"
		/* 16 */ "}\n"
		/* 17 */ "static __attribute__((noinline)) int hidden(int a)\n"
		/* 18 */ "{\n"
		/* 19 */ "	MARK(hidden_mark);\n"
		/* 20 */ "	return a;\n"
		/* 21 */ "}\n"
		/* 22 */ "int calls_hidden(int a) { return hidden(a) + 1; }\n";

static const char cxx_source[] =
	/* 1 */ "namespace shop { struct Cart {\n"
		/* 2 */ "  template <class T> __attribute__((always_inline)) inline void put(T) {\n"
		/* 3 */ "    __asm__ volatile(\".globl cxx_mark\\n.type "
		"cxx_mark,%function\\ncxx_mark: "
		"nop\");\n"
		/* 4 */ "  }\n"
		/* 5 */ "  __attribute__((noinline)) void fill(int n);\n"
		/* 6 */ "};\n"
		/* 7 */ "void Cart::fill(int n) {\n"
		/* 8 */ "  put(n);\n"
		/* 9 */ "} }\n";

static int begin(void **state)
{
	fixture_begin(state);
	fixture_write(*state, "lines.c", source, sizeof(source) - 1);
	fixture_write(*state, "cart.cc", cxx_source, sizeof(cxx_source) - 1);
	return 0;
}

static struct image *open_image(const struct fixture *fixture, const char *name)
{
	struct image *image = NULL;
	char path[256];

	assert_int_equal(image_open(fixture_path(fixture, name, path, sizeof(path)), &image), 0);
	return image;
}

static uint64_t address_of(struct image *image, const char *name)
{
	struct symbol symbol = { 0 };

	assert_int_equal(image_find_function(image, name, &symbol), 0);
	return symbol.vaddr;
}

struct expected {
	const char *function, *file; /* the last part of its path; NULL: unknown */
	int line;
	bool inlined;
};

static void assert_frames(struct image *image, uint64_t vaddr, const struct expected *expected,
			  size_t nr_expected)
{
	struct source_frame *frames;
	long nr_frames = image_source_frames(image, vaddr, &frames);

	assert_int_equal(nr_frames, nr_expected);
	for (size_t i = 0; i < nr_expected; i++) {
		assert_string_equal(frames[i].function, expected[i].function);
		assert_int_equal(frames[i].line, expected[i].line);
		assert_int_equal(frames[i].inlined, expected[i].inlined);
		if (expected[i].file)
			assert_string_equal(strrchr(frames[i].file, '/') + 1, expected[i].file);
		else
			assert_null(frames[i].file);
	}
	source_frames_free(frames, (size_t)nr_frames);
}

/* All that is known of lines.c. */
static void assert_all_lines(struct image *image, uint64_t mark, uint64_t outer, uint64_t hidden)
{
	static const struct expected at_mark[] = {
		{ "inner", "lines.c", 4, true },
		{ "middle", "lines.c", 9, true },
		{ "outer", "lines.c", 14, false },
	};
	static const struct expected at_outer = { "outer", "lines.c", 15, false };
	static const struct expected at_hidden = { "hidden", "lines.c", 19, false };

	assert_frames(image, mark, at_mark, ARRAY_SIZE(at_mark));
	assert_frames(image, outer, &at_outer, 1);
	assert_frames(image, hidden, &at_hidden, 1);
}

static void inlined_calls_have_their_lines(void **state)
{
	static const char *const flags[] = {
		"-g -O2", "-gdwarf-4 -O2", "-gdwarf-5 -O2 -gz=zlib", "-g -O1 -fno-pie", "-g -O0",
	};

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		struct image *image;

		fixture_run(*state, "cc %s -shared -fPIC -o lines.so lines.c", flags[i]);
		image = open_image(*state, "lines.so");
		assert_all_lines(image, address_of(image, "fixture_mark"),
				 address_of(image, "outer_mark"), address_of(image, "hidden_mark"));
		image_free(image);
	}
}

/* clang writes no .debug_aranges; a build without them is as good. */
static void missing_aranges_do_not_matter(void **state)
{
	struct image *image;

	fixture_run(*state, "cc -g -O2 -shared -fPIC -o lines.so lines.c && "
			    "objcopy -R .debug_aranges lines.so bare.so");
	image = open_image(*state, "bare.so");
	assert_all_lines(image, address_of(image, "fixture_mark"), address_of(image, "outer_mark"),
			 address_of(image, "hidden_mark"));
	image_free(image);
}

static void lines_come_from_the_separate_debug_file(void **state)
{
	struct image *image;
	uint64_t mark, outer, hidden;

	fixture_run(*state,
		    "cc -g -O2 -shared -fPIC -o lines.so lines.c && "
		    "objcopy --only-keep-debug lines.so lines.dbg && strip -o cut.so lines.so "
		    "&& objcopy --add-gnu-debuglink=lines.dbg cut.so linked.so");
	image = open_image(*state, "lines.so");
	mark = address_of(image, "fixture_mark");
	outer = address_of(image, "outer_mark");
	hidden = address_of(image, "hidden_mark");
	image_free(image);
	image = open_image(*state, "linked.so");
	assert_all_lines(image, mark, outer, hidden);
	image_free(image);
}

static void names_of_cxx_are_demangled(void **state)
{
	static const struct expected expected[] = {
		{ "shop::Cart::put<int>(int)", "cart.cc", 3, true },
		{ "shop::Cart::fill(int)", "cart.cc", 8, false },
	};
	struct image *image;

	fixture_run(*state, "c++ -g -O2 -shared -fPIC -o cart.so cart.cc");
	image = open_image(*state, "cart.so");
	assert_frames(image, address_of(image, "cxx_mark"), expected, ARRAY_SIZE(expected));
	image_free(image);
}

static void trimmed_lines_come_back(void **state)
{
	struct image *image;

	fixture_run(*state, "cc -g -O2 -shared -fPIC -o lines.so lines.c");
	image = open_image(*state, "lines.so");
	for (int i = 0; i < 4; i++) {
		assert_all_lines(image, address_of(image, "fixture_mark"),
				 address_of(image, "outer_mark"), address_of(image, "hidden_mark"));
		for (int k = 0; k < i; k++)
			image_trim(image);
	}
	image_free(image);
}

/* Makes big.so, whose line table has @more bytes of opcodes at its end. */
static void grow_line_table(const struct fixture *fixture, uint32_t more)
{
	size_t len;
	uint32_t length;
	char *table;

	fixture_run(fixture, "cc -g -O2 -shared -fPIC -o lines.so lines.c && "
			     "objcopy --dump-section .debug_line=line.bin lines.so");
	table = fixture_read(fixture, "line.bin", &len);
	table = realloc(table, len + more);
	if (!table) {
		fail_msg("no memory for %zu bytes", len + more);
		return; /* what the analyzer does not know of fail_msg() */
	}
	memset(table + len, 1, more); /* DW_LNS_copy: a row each */
	memcpy(&length, table, sizeof(length));
	length += more;
	memcpy(table, &length, sizeof(length));
	fixture_write(fixture, "line.bin", table, len + more);
	free(table);
	fixture_run(fixture, "objcopy --update-section .debug_line=line.bin lines.so big.so");
}

static void huge_line_tables_are_left_alone(void **state)
{
	static const struct expected known = { "outer", "lines.c", 15, false };
	static const struct expected unknown = { "outer", NULL, 0, false };
	struct image *image;

	grow_line_table(*state, 1000);
	image = open_image(*state, "big.so");
	assert_frames(image, address_of(image, "outer_mark"), &known, 1);
	image_free(image);
	grow_line_table(*state, 9 << 20);
	image = open_image(*state, "big.so");
	assert_frames(image, address_of(image, "outer_mark"), &unknown, 1);
	image_free(image);
}

static void without_dwarf_the_symbol_remains(void **state)
{
	static const struct expected expected = { "calls_hidden", NULL, 0, false };
	struct source_frame *frames = NULL;
	struct image *image;

	fixture_run(*state, "cc -O2 -shared -fPIC -o plain.so lines.c");
	image = open_image(*state, "plain.so");
	assert_frames(image, address_of(image, "calls_hidden"), &expected, 1);
	assert_int_equal(image_source_frames(image, UINT64_MAX, &frames), 0);
	assert_int_equal(image_source_frames(image, 0, &frames), 0);
	assert_null(frames);
	image_free(image);
}

/* The .dwo file is named by the binary, so it is not opened: lines remain, inlining is lost. A pipe
 * in its place would hold up whoever opens it. */
static void split_dwarf_is_not_followed(void **state)
{
	struct source_frame *frames;
	struct image *image;
	long nr_frames;

	fixture_run(*state, "cc -g -gsplit-dwarf -O2 -shared -fPIC -o split.so lines.c && "
			    "rm *.dwo && mkfifo split.so-lines.dwo lines.dwo split-lines.dwo");
	image = open_image(*state, "split.so");
	nr_frames = image_source_frames(image, address_of(image, "outer_mark"), &frames);
	assert_int_equal(nr_frames, 1);
	assert_string_equal(frames[0].function, "outer");
	assert_int_equal(frames[0].line, 15);
	source_frames_free(frames, 1);
	image_free(image);
}

/* dwz moves what two files share into a third one. Here the third one is missing, and a pipe
 * stands where it is said to be. */
static void missing_alternate_file_leaves_the_symbols(void **state)
{
	static const char link[] = "alternate\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21\22\23";
	static const struct expected expected = { "calls_hidden", NULL, 0, false };
	struct image *image;

	fixture_write(*state, "link", link, sizeof(link));
	fixture_run(*state, "mkfifo alternate; cc -g -O2 -shared -fPIC -o lines.so lines.c && "
			    "objcopy --add-section .gnu_debugaltlink=link lines.so alt.so");
	image = open_image(*state, "alt.so");
	assert_frames(image, address_of(image, "calls_hidden"), &expected, 1);
	image_free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inlined_calls_have_their_lines),
		cmocka_unit_test(missing_aranges_do_not_matter),
		cmocka_unit_test(lines_come_from_the_separate_debug_file),
		cmocka_unit_test(names_of_cxx_are_demangled),
		cmocka_unit_test(trimmed_lines_come_back),
		cmocka_unit_test(huge_line_tables_are_left_alone),
		cmocka_unit_test(without_dwarf_the_symbol_remains),
		cmocka_unit_test(split_dwarf_is_not_followed),
		cmocka_unit_test(missing_alternate_file_leaves_the_symbols),
	};

	return cmocka_run_group_tests(tests, begin, fixture_end);
}
