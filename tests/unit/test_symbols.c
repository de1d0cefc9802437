/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <lzma.h>

#include "elf/elf.h"
#include "fixture.h"

/* fixture_label has no size and ends where the next symbol begins; fixture_last has none behind
 * it and ends with its section. */
static const char source[] =
	"#include <stdlib.h>\n"
	"static __attribute__((noinline, noclone)) int hidden(int a) { return a * 3 + rand(); }\n"
	"int fixture_calls(int a) { return hidden(a) + 1; }\n"
	"void *fixture_malloc(size_t size) { return malloc(size); }\n"
	"void __libc_fixture(void) { __asm__ volatile(\"\"); }\n"
	"void fixture(void) __attribute__((alias(\"__libc_fixture\")));\n"
	"void __fixture(void) __attribute__((alias(\"__libc_fixture\")));\n"
	"__asm__(\".text\\n.globl fixture_label\\n.type fixture_label,%function\\n\"\n"
	"        \"fixture_label: nop\\nnop\\nnop\\nnop\\n\"\n"
	"        \".globl fixture_next\\n.type fixture_next,%function\\nfixture_next: nop\\n\"\n"
	"        \".size fixture_next, 1\\n\"\n"
	"        \".section .text.zz,\\\"ax\\\",%progbits\\n.globl fixture_last\\n\"\n"
	"        \".type fixture_last,%function\\nfixture_last: nop\\nnop\\n.text\\n\");\n"
	"int old_answer(void) { return 41; }\n"
	"int new_answer(void) { return 42; }\n"
	"__asm__(\".symver old_answer,answer@V1\\n.symver new_answer,answer@@V2\\n\");\n";

static int begin(void **state)
{
	const struct fixture *fixture;

	fixture_begin(state);
	fixture = *state;
	fixture_write(fixture, "lib.c", source, sizeof(source) - 1);
	fixture_run(fixture, "echo 'V1 { }; V2 { } V1;' > lib.map");
	fixture_run(fixture, "cc -shared -fPIC -O2 -g -Wl,--build-id=sha1 "
			     "-Wl,--version-script=lib.map -o lib.so lib.c");
	fixture_run(fixture, "strip -o stripped.so lib.so");
	return 0;
}

static struct image *open_image(const struct fixture *fixture, const char *name)
{
	struct image *image = NULL;
	char path[256];

	assert_int_equal(image_open(fixture_path(fixture, name, path, sizeof(path)), &image), 0);
	return image;
}

static struct symbol find(struct image *image, const char *name)
{
	struct symbol symbol = { 0 };

	assert_int_equal(image_find_function(image, name, &symbol), 0);
	return symbol;
}

static void assert_name_at(struct image *image, uint64_t vaddr, const char *name)
{
	struct symbol symbol;

	assert_int_equal(image_symbol_at(image, vaddr, &symbol), 0);
	assert_string_equal(symbol.name, name);
}

static void functions_are_found_by_name(void **state)
{
	struct image *image = open_image(*state, "lib.so");
	struct symbol symbol = find(image, "fixture_calls");

	assert_true(symbol.is_function && symbol.is_global && symbol.size > 0);
	assert_true(image_is_executable(image, symbol.vaddr));
	symbol = find(image, "hidden");
	assert_true(symbol.is_function && !symbol.is_global);
	assert_int_equal(image_find_function(image, "rand", &symbol), -ENOENT); /* undefined */
	assert_int_equal(image_find_function(image, "fixture_call", &symbol), -ENOENT);
	assert_int_equal(image_find_function(image, "fixture_callsx", &symbol), -ENOENT);
	assert_int_equal(image_find_function(image, "", &symbol), -ENOENT);
	image_free(image);
}

static void versions_do_not_belong_to_names(void **state)
{
	struct image *image = open_image(*state, "lib.so");
	struct symbol symbol = find(image, "answer"), at;

	assert_int_equal(image_symbol_at(image, symbol.vaddr, &at), 0);
	assert_int_equal(at.vaddr, symbol.vaddr);
	image_free(image);
}

static void stripped_files_have_their_dynamic_symbols(void **state)
{
	struct image *image = open_image(*state, "stripped.so");
	struct image *whole = open_image(*state, "lib.so");
	struct symbol symbol = find(image, "fixture_calls");

	assert_int_equal(symbol.vaddr, find(whole, "fixture_calls").vaddr);
	assert_int_equal(image_find_function(image, "hidden", &symbol), -ENOENT);
	assert_int_equal(image_symbol_at(image, find(whole, "hidden").vaddr, &symbol), -ENOENT);
	image_free(image);
	image_free(whole);
}

static void every_byte_of_a_function_has_its_name(void **state)
{
	struct image *image = open_image(*state, "lib.so");
	struct symbol symbol = find(image, "fixture_calls"), at;

	for (uint64_t i = 0; i < symbol.size; i++)
		assert_name_at(image, symbol.vaddr + i, "fixture_calls");
	if (!image_symbol_at(image, symbol.vaddr + symbol.size, &at))
		assert_string_not_equal(at.name, "fixture_calls");
	assert_int_equal(image_symbol_at(image, 0, &at), -ENOENT);
	assert_int_equal(image_symbol_at(image, UINT64_MAX, &at), -ENOENT);
	image_free(image);
}

static void best_known_alias_wins(void **state)
{
	struct image *image = open_image(*state, "lib.so");

	assert_name_at(image, find(image, "__libc_fixture").vaddr, "fixture");
	image_free(image);
}

static void unsized_symbols_end_at_the_next_one_or_with_their_section(void **state)
{
	struct image *image = open_image(*state, "lib.so");
	struct symbol label = find(image, "fixture_label"), at;
	struct symbol last = find(image, "fixture_last");

	assert_int_equal(label.size, 0);
	assert_name_at(image, label.vaddr + 3, "fixture_label");
	assert_name_at(image, label.vaddr + 4, "fixture_next");
	assert_name_at(image, last.vaddr + 1, "fixture_last");
	if (!image_symbol_at(image, last.vaddr + 4096, &at))
		assert_string_not_equal(at.name, "fixture_last");
	image_free(image);
}

struct count {
	size_t all, calls;
	uint64_t last;
};

static int count_function(const struct symbol *symbol, void *context)
{
	struct count *count = context;

	assert_true(symbol->is_function);
	assert_true(symbol->vaddr >= count->last);
	count->last = symbol->vaddr;
	count->all++;
	count->calls += !strcmp(symbol->name, "fixture_calls");
	return count->all == 1000;
}

static int stop_at_once(const struct symbol *symbol, void *context)
{
	(void)symbol;
	++*(int *)context;
	return 5;
}

static void each_function_is_visited_once(void **state)
{
	struct image *image = open_image(*state, "lib.so");
	struct count count = { 0 };
	int visits = 0;

	assert_int_equal(image_for_each_function(image, count_function, &count), 0);
	assert_int_equal(count.calls, 1); /* though both tables have it */
	assert_true(count.all >= 9);
	assert_int_equal(image_for_each_function(image, stop_at_once, &visits), 5);
	assert_int_equal(visits, 1);
	image_free(image);
}

/* --- what was stripped --- */

static void debug_file_is_found_by_build_id_under_a_root(void **state)
{
	const struct fixture *fixture = *state;
	struct image *image = open_image(fixture, "stripped.so");
	struct image *whole = open_image(fixture, "lib.so");
	uint64_t hidden = find(whole, "hidden").vaddr;
	uint8_t id[BUILD_ID_MAX];
	struct buf name __cleanup_buf = { 0 };
	struct symbol symbol;

	assert_int_equal(image_build_id(image, id), 20);
	for (int i = 1; i < 20; i++)
		buf_printf(&name, "%02x", id[i]);
	fixture_run(fixture,
		    "d=root/usr/lib/debug/.build-id/%02x && mkdir -p $d && "
		    "objcopy --only-keep-debug lib.so $d/%s.debug",
		    id[0], name.data);
	assert_int_equal(image_set_debug_root(image, "/nowhere"), 0);
	buf_reset(&name);
	buf_printf(&name, "%s/root", fixture->directory);
	assert_int_equal(image_set_debug_root(image, name.data), 0);
	assert_name_at(image, hidden, "hidden");
	assert_int_equal(image_find_function(image, "hidden", &symbol), -ENOENT);
	image_free(image);
	image_free(whole);
	fixture_run(fixture, "rm -r root");
}

static void debug_file_of_another_build_is_not_taken(void **state)
{
	const struct fixture *fixture = *state;
	struct image *image = open_image(fixture, "stripped.so");
	struct image *whole = open_image(fixture, "lib.so");
	uint8_t id[BUILD_ID_MAX];
	struct buf name __cleanup_buf = { 0 };
	struct symbol symbol;

	assert_int_equal(image_build_id(image, id), 20);
	for (int i = 1; i < 20; i++)
		buf_printf(&name, "%02x", id[i]);
	fixture_run(fixture,
		    "d=other/usr/lib/debug/.build-id/%02x && mkdir -p $d && "
		    "cc -shared -fPIC -O2 -g -Wl,--build-id=0x1234 "
		    "-Wl,--version-script=lib.map -o $d/%s.debug lib.c",
		    id[0], name.data);
	buf_reset(&name);
	buf_printf(&name, "%s/other", fixture->directory);
	assert_int_equal(image_set_debug_root(image, name.data), 0);
	assert_int_equal(image_symbol_at(image, find(whole, "hidden").vaddr, &symbol), -ENOENT);
	image_free(image);
	image_free(whole);
}

static void debug_link_is_followed_when_its_checksum_is_right(void **state)
{
	struct image *whole = open_image(*state, "lib.so"), *image;
	uint64_t hidden = find(whole, "hidden").vaddr;
	struct symbol symbol;

	fixture_run(*state, "mkdir -p .debug && objcopy --only-keep-debug lib.so lib.dbg && "
			    "objcopy --add-gnu-debuglink=lib.dbg stripped.so linked.so");
	image = open_image(*state, "linked.so");
	assert_name_at(image, hidden, "hidden");
	image_free(image);
	fixture_run(*state, "mv lib.dbg .debug/");
	image = open_image(*state, "linked.so");
	assert_name_at(image, hidden, "hidden");
	image_free(image);
	fixture_run(*state, "echo >> .debug/lib.dbg");
	image = open_image(*state, "linked.so");
	assert_int_equal(image_symbol_at(image, hidden, &symbol), -ENOENT);
	image_free(image);
	image_free(whole);
}

static void write_packed(const struct fixture *fixture, const char *from, const char *to)
{
	size_t len, size, packed_len = 0;
	char *bytes = fixture_read(fixture, from, &len);
	uint8_t *packed;

	size = lzma_stream_buffer_bound(len);
	packed = malloc(size);
	assert_non_null(packed);
	assert_int_equal(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, NULL, (uint8_t *)bytes, len,
						 packed, &packed_len, size),
			 LZMA_OK);
	fixture_write(fixture, to, packed, packed_len);
	free(packed);
	free(bytes);
}

static void mini_debug_info_is_unpacked(void **state)
{
	struct image *whole = open_image(*state, "lib.so"), *image;
	uint64_t hidden = find(whole, "hidden").vaddr;
	struct symbol symbol;

	fixture_run(*state, "strip -S -o mini lib.so");
	write_packed(*state, "mini", "mini.xz");
	fixture_run(*state, "objcopy --add-section .gnu_debugdata=mini.xz stripped.so mini.so");
	image = open_image(*state, "mini.so");
	assert_name_at(image, hidden, "hidden");
	assert_int_equal(image_find_function(image, "hidden", &symbol), -ENOENT);
	image_free(image);
	fixture_run(*state, "head -c 300 mini.xz > cut.xz && "
			    "objcopy --add-section .gnu_debugdata=cut.xz stripped.so mini.so");
	image = open_image(*state, "mini.so");
	assert_int_equal(image_symbol_at(image, hidden, &symbol), -ENOENT);
	image_free(image);
	image_free(whole);
}

/* --- PLT --- */

#ifdef __x86_64__
/* The address that the `jmp rel32` at the end of fixture_malloc goes to. */
static uint64_t tail_call(struct image *image)
{
	struct symbol symbol = find(image, "fixture_malloc");
	uint8_t code[16] = { 0 };
	int32_t displacement;
	size_t at = 0;

	assert_true(image_read(image, symbol.vaddr, code, sizeof(code)) > 9);
	if (code[0] == 0xf3)
		at += 4; /* endbr64 */
	if (code[at] == 0xf2)
		at++; /* bnd */
	assert_int_equal(code[at], 0xe9);
	memcpy(&displacement, code + at + 1, sizeof(displacement));
	return symbol.vaddr + at + 5 + (uint64_t)(int64_t)displacement;
}

static void plt_entries_of_all_kinds_are_resolved(void **state)
{
	static const char *const flags[] = {
		"-Wl,-z,lazy -fcf-protection=none",
		"-Wl,-z,now -fcf-protection=none",
		"-Wl,-z,lazy -fcf-protection=full -Wl,-z,ibtplt", /* .plt.sec */
		"-Wl,-z,now -fcf-protection=full -Wl,-z,ibtplt",
		"-Dtaken -fcf-protection=none", /* .plt.got: the address is taken too */
	};

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		struct image *image;
		uint64_t stub;

		fixture_run(*state,
			    "(cat lib.c; echo '#ifdef taken'; echo 'void *p(void)"
			    " { return (void *)malloc; }'; echo '#endif') > plt.c && "
			    "cc -shared -fPIC -O2 %s -Wl,--version-script=lib.map -o plt.so plt.c",
			    flags[i]);
		image = open_image(*state, "plt.so");
		stub = tail_call(image);
		assert_string_equal(image_plt_target(image, stub), "malloc");
		assert_null(image_plt_target(image, find(image, "fixture_calls").vaddr));
		assert_null(image_plt_target(image, stub + 1));
		assert_null(image_plt_target(image, UINT64_MAX));
		image_free(image);
	}
}

/* Turns the relocation of the slot at @slot into that of AArch64. */
static void patch_relocation(char *bytes, size_t len, uint64_t slot)
{
	for (size_t i = 0; i + sizeof(Elf64_Rela) <= len; i += 8) {
		Elf64_Rela rela;

		memcpy(&rela, bytes + i, sizeof(rela));
		if (rela.r_offset != slot || ELF64_R_TYPE(rela.r_info) != R_X86_64_JUMP_SLOT)
			continue;
		rela.r_info = ELF64_R_INFO(ELF64_R_SYM(rela.r_info), R_AARCH64_JUMP_SLOT);
		memcpy(bytes + i, &rela, sizeof(rela));
		return;
	}
	fail();
}

/* The stub of binutils for AArch64, put by hand into a file for x86-64. */
static void aarch64_stub_is_decoded(void **state)
{
	struct image *image;
	uint64_t stub, slot, offset;
	const uint16_t machine = EM_AARCH64;
	int32_t displacement;
	uint32_t page, code[4];
	uint8_t old[6];
	size_t len;
	char *bytes;

	fixture_run(*state, "cc -shared -fPIC -O2 -fcf-protection=none -Wl,-z,lazy "
			    "-Wl,--version-script=lib.map -o arm.so lib.c");
	image = open_image(*state, "arm.so");
	stub = tail_call(image);
	assert_int_equal(image_read(image, stub, old, 6), 6);
	memcpy(&displacement, old + 2, 4);
	slot = stub + 6 + (uint64_t)(int64_t)displacement;
	assert_int_equal(image_vaddr_to_offset(image, stub, &offset), 0);
	image_free(image);
	page = (uint32_t)((slot >> 12) - (stub >> 12));
	code[0] = 0x90000010 | (page & 3) << 29 | (page >> 2 & 0x7ffff) << 5;
	code[1] = 0xf9400211 | (uint32_t)(slot >> 3 & 0x1ff) << 10;
	code[2] = 0x91000210 | (uint32_t)(slot & 0xfff) << 10;
	code[3] = 0xd61f0220;
	bytes = fixture_read(*state, "arm.so", &len);
	memcpy(bytes + offset, code, sizeof(code));
	memcpy(bytes + offsetof(Elf64_Ehdr, e_machine), &machine, sizeof(machine));
	patch_relocation(bytes, len, slot);
	assert_int_equal(image_open_memory(bytes, len, &image), 0);
	assert_string_equal(image_plt_target(image, stub), "malloc");
	image_free(image);
	free(bytes);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_are_found_by_name),
		cmocka_unit_test(versions_do_not_belong_to_names),
		cmocka_unit_test(stripped_files_have_their_dynamic_symbols),
		cmocka_unit_test(every_byte_of_a_function_has_its_name),
		cmocka_unit_test(best_known_alias_wins),
		cmocka_unit_test(unsized_symbols_end_at_the_next_one_or_with_their_section),
		cmocka_unit_test(each_function_is_visited_once),
		cmocka_unit_test(debug_file_is_found_by_build_id_under_a_root),
		cmocka_unit_test(debug_file_of_another_build_is_not_taken),
		cmocka_unit_test(debug_link_is_followed_when_its_checksum_is_right),
		cmocka_unit_test(mini_debug_info_is_unpacked),
#ifdef __x86_64__
		cmocka_unit_test(plt_entries_of_all_kinds_are_resolved),
		cmocka_unit_test(aarch64_stub_is_decoded),
#endif
	};

	return cmocka_run_group_tests(tests, begin, fixture_end);
}
