/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf/elf.h"
#include "fixture.h"

static const char source[] = "#include <stdlib.h>\n"
			     "int fixture_data = 42;\n"
			     "const int fixture_constant = 4711;\n"
			     "void *fixture_call(size_t size) { return malloc(size); }\n";

static int begin(void **state)
{
	const struct fixture *fixture;

	fixture_begin(state);
	fixture = *state;
	fixture_write(fixture, "lib.c", source, sizeof(source) - 1);
	fixture_run(fixture, "cc -shared -fPIC -O1 -Wl,--build-id=0x%s -o lib.so lib.c",
		    "00112233445566778899aabbccddeeff00112233");
	fixture_run(fixture, "echo 'int main(void) { return 0; }' > main.c");
	fixture_run(fixture, "cc -static -o static main.c && cc -o dynamic main.c");
	return 0;
}

static struct image *open_image(const struct fixture *fixture, const char *name)
{
	struct image *image = NULL;
	char path[256];

	assert_int_equal(image_open(fixture_path(fixture, name, path, sizeof(path)), &image), 0);
	return image;
}

static void build_id_is_that_of_the_linker(void **state)
{
	static const uint8_t wanted[20] = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66,
					    0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd,
					    0xee, 0xff, 0x00, 0x11, 0x22, 0x33 };
	struct image *image = open_image(*state, "lib.so");
	uint8_t id[BUILD_ID_MAX];

	assert_int_equal(image_build_id(image, id), sizeof(wanted));
	assert_memory_equal(id, wanted, sizeof(wanted));
	image_free(image);
}

static void build_id_is_found_without_program_headers_of_notes(void **state)
{
	uint8_t id[BUILD_ID_MAX];
	struct image *image;

	fixture_run(*state, "objcopy --only-keep-debug lib.so lib.debug");
	image = open_image(*state, "lib.debug");
	assert_int_equal(image_build_id(image, id), 20);
	assert_int_equal(id[1], 0x11);
	image_free(image);
}

static void no_build_id_is_none(void **state)
{
	uint8_t id[BUILD_ID_MAX];
	struct image *image;

	fixture_run(*state, "cc -shared -fPIC -Wl,--build-id=none -o plain.so lib.c");
	image = open_image(*state, "plain.so");
	assert_int_equal(image_build_id(image, id), 0);
	image_free(image);
}

static void static_and_dynamic_are_told_apart(void **state)
{
	struct image *image = open_image(*state, "static");

	assert_true(image_is_static(image));
	assert_false(image_is_go(image));
	image_free(image);
	image = open_image(*state, "dynamic");
	assert_false(image_is_static(image));
	image_free(image);
	image = open_image(*state, "lib.so"); /* no interpreter, but needs libc */
	assert_false(image_is_static(image));
	image_free(image);
}

/* A note and section as the Go linker makes them, with the given build information. */
static void write_go_program(const struct fixture *fixture, const char *info)
{
	struct buf text __cleanup_buf = { 0 };

	buf_puts(&text, ".section .note.go.buildid,\"a\",@note\n.balign 4\n"
			".long 4, 9, 4\n.ascii \"Go\\0\\0\"\n.ascii \"abc/def/g\"\n.balign 4\n"
			".section .go.buildinfo,\"aw\"\n.balign 16\n"
			".ascii \"\\377 Go buildinf:\"\n");
	buf_puts(&text, info);
	buf_puts(&text, ".section .note.GNU-stack,\"\",%progbits\n");
	fixture_write(fixture, "go.s", text.data, text.len);
	fixture_run(fixture, "sed -i 's/@note/%%note/' go.s && "
			     "cc -no-pie -Wl,--build-id=none -o go main.c go.s");
}

static void go_is_recognised(void **state)
{
	uint8_t id[BUILD_ID_MAX];
	struct image *image;
	char *version;

	write_go_program(*state, ".byte 8, 2\n.zero 16\n.byte 8\n.ascii \"go1.23.5\"\n");
	image = open_image(*state, "go");
	assert_true(image_is_go(image));
	assert_int_equal(image_build_id(image, id), 20);
	version = image_go_version(image);
	assert_string_equal(version, "go1.23.5");
	free(version);
	image_free(image);
}

static void go_version_before_1_18_stands_behind_pointers(void **state)
{
	struct image *image;
	char *version;

	write_go_program(*state, ".byte 8, 0\n.quad version, 0\n.data\n.balign 8\n"
				 "version: .quad text, 6\ntext: .ascii \"go1.15 \"\n");
	image = open_image(*state, "go");
	version = image_go_version(image);
	assert_string_equal(version, "go1.15");
	free(version);
	image_free(image);
}

/* Without build information: a note, and @text among the constants. */
static char *version_in(const struct fixture *fixture, const char *text)
{
	struct buf assembly __cleanup_buf = { 0 };
	struct image *image;
	char *version;

	buf_puts(&assembly, ".section .note.go.buildid,\"a\",%note\n.balign 4\n"
			    ".long 4, 9, 4\n.ascii \"Go\\0\\0\"\n.ascii \"abc/def/g\"\n.balign 4\n"
			    ".section .rodata\n");
	buf_puts(&assembly, text);
	buf_puts(&assembly, "\n.section .note.GNU-stack,\"\",%progbits\n");
	fixture_write(fixture, "bare.s", assembly.data, assembly.len);
	fixture_run(fixture, "cc -no-pie -o bare main.c bare.s");
	image = open_image(fixture, "bare");
	version = image_go_version(image);
	image_free(image);
	return version;
}

static void go_version_is_left_by_the_runtime(void **state)
{
	static const struct {
		const char *text, *version;
	} cases[] = {
		{ ".ascii \"\\0go1.26.5\\0\"", "go1.26.5" },
		{ ".ascii \"\\0go1.20\\0\"", "go1.20" },
		{ ".ascii \"\\0go1.27rc1\\0\"", "go1.27rc1" },
		{ ".ascii \"\\0devel go1.28-12ab Mon\\0\"", "devel go1.28-12ab Mon" },
		{ ".ascii \"\\0go1.26.5\\0\\0go1.26.5\\0fs_go1.13.go\\0\"", "go1.26.5" },
		{ ".zero 0x3ffc0\n.ascii \"go1.26.5\\0\"", "go1.26.5" }, /* at a seam */
		{ ".ascii \"\\0go1.26.5\\0\\0go1.20\\0\"", "" },
		{ ".ascii \"\\0see go1.26.5\\0\"", "" },
		{ ".ascii \"\\0go1.go\\0\\0go1.x\\0\"", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *version = version_in(*state, cases[i].text);

		if (strcmp(version ? version : "", cases[i].version) != 0)
			fail_msg("%s: %s", cases[i].text, version);
		free(version);
	}
}

static void go_version_of_c_is_unknown(void **state)
{
	struct image *image = open_image(*state, "dynamic");

	assert_null(image_go_version(image));
	image_free(image);
}

/* The dynamic linker is the oracle: what lies in memory must be what image_read() returns. */
static void addresses_and_bytes_agree_with_the_dynamic_linker(void **state)
{
	struct image *image = open_image(*state, "lib.so");
	uint64_t vaddr, offset, back;
	struct link_map *map;
	char path[256], bytes[16];
	const char *address;
	void *handle;
	int constant;

	handle = dlopen(fixture_path(*state, "lib.so", path, sizeof(path)), RTLD_NOW);
	assert_non_null(handle);
	assert_int_equal(dlinfo(handle, RTLD_DI_LINKMAP, &map), 0);
	address = dlsym(handle, "fixture_constant");
	vaddr = (uint64_t)(address - (const char *)map->l_addr);
	assert_int_equal(image_read(image, vaddr, &constant, sizeof(constant)), sizeof(constant));
	assert_int_equal(constant, 4711);
	assert_false(image_is_executable(image, vaddr));
	address = dlsym(handle, "fixture_call");
	vaddr = (uint64_t)(address - (const char *)map->l_addr);
	assert_true(image_is_executable(image, vaddr));
	assert_int_equal(image_read(image, vaddr, bytes, 8), 8);
	assert_memory_equal(bytes, address, 8);
	assert_int_equal(image_vaddr_to_offset(image, vaddr, &offset), 0);
	assert_int_equal(image_offset_to_vaddr(image, offset, &back), 0);
	assert_int_equal(back, vaddr);
	dlclose(handle);
	image_free(image);
}

static void addresses_outside_are_refused(void **state)
{
	struct image *image = open_image(*state, "lib.so");
	uint64_t number = 7;
	char byte;

	assert_int_equal(image_vaddr_to_offset(image, 1ULL << 40, &number), -ENXIO);
	assert_int_equal(image_vaddr_to_offset(image, UINT64_MAX, &number), -ENXIO);
	assert_int_equal(image_offset_to_vaddr(image, 1ULL << 40, &number), -ENXIO);
	assert_int_equal(image_read(image, UINT64_MAX, &byte, 1), -ENXIO);
	assert_int_equal(number, 7);
	assert_false(image_is_executable(image, UINT64_MAX));
	image_free(image);
}

static void memory_and_file_are_the_same(void **state)
{
	struct image *file = open_image(*state, "lib.so"), *memory;
	uint8_t a[BUILD_ID_MAX], b[BUILD_ID_MAX];
	char one[64], two[64];
	size_t len;
	char *bytes = fixture_read(*state, "lib.so", &len);

	assert_int_equal(image_open_memory(bytes, len, &memory), 0);
	free(bytes);
	assert_int_equal(image_machine(memory), image_machine(file));
	assert_int_equal(image_build_id(file, a), image_build_id(memory, b));
	assert_memory_equal(a, b, 20);
	assert_int_equal(image_read(file, 0, one, 64), 64);
	assert_int_equal(image_read(memory, 0, two, 64), 64);
	assert_memory_equal(one, two, 64);
	image_free(file);
	image_free(memory);
}

static int open_bytes(const struct fixture *fixture, const void *bytes, size_t len)
{
	struct image *image = NULL;
	char path[256];
	int err;

	fixture_write(fixture, "bytes", bytes, len);
	err = image_open(fixture_path(fixture, "bytes", path, sizeof(path)), &image);
	image_free(image);
	return err;
}

static void other_files_are_refused(void **state)
{
	const struct fixture *fixture = *state;
	struct image *image = NULL;
	Elf64_Ehdr header;
	char path[256];
	size_t len;
	char *bytes = fixture_read(fixture, "lib.so", &len);

	assert_int_equal(open_bytes(fixture, "", 0), -ENOEXEC);
	assert_int_equal(open_bytes(fixture, "#!/bin/sh\n", 10), -ENOEXEC);
	memcpy(&header, bytes, sizeof(header));
	header.e_machine = EM_S390;
	assert_int_equal(open_bytes(fixture, &header, sizeof(header)), -ENOEXEC);
	memcpy(&header, bytes, sizeof(header));
	header.e_ident[EI_CLASS] = ELFCLASS32;
	assert_int_equal(open_bytes(fixture, &header, sizeof(header)), -ENOEXEC);
	memcpy(&header, bytes, sizeof(header));
	header.e_ident[EI_DATA] = ELFDATA2MSB;
	assert_int_equal(open_bytes(fixture, &header, sizeof(header)), -ENOEXEC);
	free(bytes);
	assert_int_equal(image_open("/tmp", &image), -ENOEXEC);
	assert_int_equal(image_open("/nowhere/at/all", &image), -ENOENT);
	fixture_path(fixture, "pipe", path, sizeof(path));
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(image_open(path, &image), -ENOEXEC); /* and does not wait for a writer */
	assert_null(image);
}

static void damaged_segments_are_refused(void **state)
{
	size_t len;
	char *bytes = fixture_read(*state, "lib.so", &len);
	Elf64_Ehdr header;
	Elf64_Phdr segment;

	memcpy(&header, bytes, sizeof(header));
	memcpy(&segment, bytes + header.e_phoff, sizeof(segment));
	assert_int_equal(segment.p_type, PT_LOAD);
	segment.p_vaddr = UINT64_MAX - 1;
	memcpy(bytes + header.e_phoff, &segment, sizeof(segment));
	assert_int_equal(open_bytes(*state, bytes, len), -ENOEXEC);
	segment.p_vaddr = 0;
	segment.p_offset = UINT64_MAX - 1;
	memcpy(bytes + header.e_phoff, &segment, sizeof(segment));
	assert_int_equal(open_bytes(*state, bytes, len), -ENOEXEC);
	free(bytes);
}

/* A file that is cut after it was opened: reading ends, nothing else. */
/* An image of nothing but these bytes. Is the text found in it? */
static bool has_text(const void *bytes, size_t len)
{
	static const char *const texts[] = { "not there", "the text" };
	struct image *image;
	size_t found = 99;
	int error;

	assert_int_equal(image_open_memory(bytes, len, &image), 0);
	error = image_find_constant(image, texts, ARRAY_SIZE(texts), &found);
	image_free(image);
	assert_true(error ? error == -ENOENT && found == 99 : found == 1);
	return !error;
}

static void constants_are_found_wherever_they_are(void **state)
{
	static struct {
		Elf64_Ehdr header;
		Elf64_Phdr segment;
		char content[600000];
	} file = {
		.header = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			    .e_type = ET_DYN,
			    .e_machine = EM_X86_64,
			    .e_version = EV_CURRENT,
			    .e_phoff = sizeof(Elf64_Ehdr),
			    .e_ehsize = sizeof(Elf64_Ehdr),
			    .e_phentsize = sizeof(Elf64_Phdr),
			    .e_phnum = 1 },
		.segment = { .p_type = PT_LOAD,
			     .p_flags = PF_R,
			     .p_filesz = sizeof(file),
			     .p_memsz = sizeof(file) },
	};
	size_t last = sizeof(file.content) - strlen("the text");

	(void)state;
	assert_false(has_text(&file, sizeof(file)));
	for (size_t at = 0; at <= last; at += at > 261800 && at < 262200 ? 1 : 1000) {
		memcpy(file.content + at, "the text", strlen("the text"));
		assert_true(has_text(&file, sizeof(file)));
		memset(file.content + at, 0, strlen("the text"));
	}
	memcpy(file.content + last, "the text", strlen("the text"));
	assert_true(has_text(&file, sizeof(file)));
	assert_false(has_text(&file, sizeof(file) - 1));
	file.segment.p_flags = PF_R | PF_W;
	assert_false(has_text(&file, sizeof(file)));
}

static void cut_file_reads_short(void **state)
{
	struct image *image;
	char path[256], byte[8];

	fixture_run(*state, "cp lib.so cut.so");
	image = open_image(*state, "cut.so");
	assert_int_equal(image_read(image, 0, byte, 8), 8);
	assert_int_equal(truncate(fixture_path(*state, "cut.so", path, sizeof(path)), 4), 0);
	assert_int_equal(image_read(image, 0, byte, 8), 4);
	assert_int_equal(image_read(image, 8, byte, 8), 0);
	image_free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(build_id_is_that_of_the_linker),
		cmocka_unit_test(build_id_is_found_without_program_headers_of_notes),
		cmocka_unit_test(no_build_id_is_none),
		cmocka_unit_test(static_and_dynamic_are_told_apart),
		cmocka_unit_test(go_is_recognised),
		cmocka_unit_test(go_version_before_1_18_stands_behind_pointers),
		cmocka_unit_test(go_version_is_left_by_the_runtime),
		cmocka_unit_test(go_version_of_c_is_unknown),
		cmocka_unit_test(addresses_and_bytes_agree_with_the_dynamic_linker),
		cmocka_unit_test(addresses_outside_are_refused),
		cmocka_unit_test(memory_and_file_are_the_same),
		cmocka_unit_test(other_files_are_refused),
		cmocka_unit_test(damaged_segments_are_refused),
		cmocka_unit_test(constants_are_found_wherever_they_are),
		cmocka_unit_test(cut_file_reads_short),
	};

	return cmocka_run_group_tests(tests, begin, fixture_end);
}
