/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where images keep their call frame information.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <cmocka.h>

#include "cfi_writer.h"

struct file {
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	Elf64_Shdr sections[3];
	char names[32];
	char content[512];
};

/* An executable of one page of code and one section @name with @bytes. */
static struct file file_with(const char *name, const void *bytes, size_t len, uint64_t flags)
{
	struct file file = {
		.header = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			    .e_type = ET_EXEC,
			    .e_machine = EM_X86_64,
			    .e_version = EV_CURRENT,
			    .e_phoff = offsetof(struct file, segment),
			    .e_shoff = offsetof(struct file, sections),
			    .e_ehsize = sizeof(Elf64_Ehdr),
			    .e_phentsize = sizeof(Elf64_Phdr),
			    .e_phnum = 1,
			    .e_shentsize = sizeof(Elf64_Shdr),
			    .e_shnum = 3,
			    .e_shstrndx = 1 },
		.segment = { .p_type = PT_LOAD,
			     .p_flags = PF_R | PF_X,
			     .p_vaddr = BASE,
			     .p_filesz = sizeof(struct file),
			     .p_memsz = LIMIT - BASE },
		.sections = { { 0 },
			      { .sh_type = SHT_STRTAB,
				.sh_offset = offsetof(struct file, names),
				.sh_size = sizeof(file.names) },
			      { .sh_name = 1,
				.sh_type = SHT_PROGBITS,
				.sh_flags = flags,
				.sh_offset = offsetof(struct file, content),
				.sh_size = len,
				.sh_addralign = 1 } },
	};

	assert_in_range(len, 1, sizeof(file.content));
	memcpy(file.names + 1, name, strlen(name));
	memcpy(file.content, bytes, len);
	return file;
}

static int rows_of(const struct file *file, struct unwind_rows **ret_rows)
{
	struct image *image = NULL;
	int err = image_open_memory(file, sizeof(*file), &image);

	assert_int_equal(err, 0);
	err = image_unwind_rows(image, ret_rows);
	image_free(image);
	return err;
}

static void check_debug_frame(const char *name, const void *bytes, size_t len, uint64_t flags)
{
	struct file file = file_with(name, bytes, len, flags);
	struct unwind_rows *rows = NULL;

	assert_int_equal(rows_of(&file, &rows), 0);
	assert_int_equal(rows->base, BASE);
	assert_int_equal(rows->nr_rows, 2);
	assert_int_equal(unwind_rows_find(rows, CODE), LB_RULE(LB_RULE_SP, 16, 0));
	unwind_rows_free(rows);
}

/* Plain, compressed as the ELF standard says, and compressed as GNU tools did before. */
static void test_debug_frame_section(void **state)
{
	struct writer writer = { .format = DEBUG_FRAME };
	Elf64_Chdr header = { .ch_type = ELFCOMPRESS_ZLIB, .ch_addralign = 1 };
	unsigned char packed[256] = { 0 };
	uLongf len = sizeof(packed) - sizeof(header);

	(void)state;
	put_cie(&writer, CIE_BODY);
	put_fde(&writer, CODE, 16, "\x0e\x10");
	check_debug_frame(".debug_frame", writer.buf.data, writer.buf.len, 0);
	assert_int_equal(compress(packed + sizeof(header), &len, (const Bytef *)writer.buf.data,
				  writer.buf.len),
			 Z_OK);
	header.ch_size = writer.buf.len;
	memcpy(packed, &header, sizeof(header));
	check_debug_frame(".debug_frame", packed, len + sizeof(header), SHF_COMPRESSED);
	memcpy(packed + sizeof(header) - 12, "ZLIB\0\0\0\0\0\0\0", 12);
	packed[sizeof(header) - 1] = (unsigned char)writer.buf.len;
	check_debug_frame(".zdebug_frame", packed + sizeof(header) - 12, len + 12, 0);
	buf_done(&writer.buf);
}

/* A section that claims to unpack to more than we read. */
static void test_bomb(void **state)
{
	const Elf64_Chdr header = { .ch_type = ELFCOMPRESS_ZLIB,
				    .ch_size = 1ULL << 40,
				    .ch_addralign = 1 };
	struct file file = file_with(".debug_frame", &header, sizeof(header), SHF_COMPRESSED);
	struct unwind_rows *rows = NULL;

	(void)state;
	assert_int_equal(rows_of(&file, &rows), 0);
	assert_int_equal(rows->nr_rows, 0);
	unwind_rows_free(rows);
}

static void test_other_machine(void **state)
{
	struct file file = file_with(".text", "", 1, 0);
	struct unwind_rows *rows = NULL;

	(void)state;
	file.header.e_machine = EM_AARCH64;
	assert_int_equal(rows_of(&file, &rows), -ENOTSUP);
	assert_null(rows);
}

/* Without a section table the program header leads to the same rows. */
static void test_without_sections(void **state)
{
	struct unwind_rows *by_section = NULL, *by_header = NULL;
	struct image *image = NULL;
	Elf64_Ehdr header;
	char *bytes = NULL;
	size_t len;

	(void)state;
	assert_int_equal(io_read_file("/proc/self/exe", 256UL << 20, &bytes, &len), 0);
	assert_int_equal(image_open_memory(bytes, len, &image), 0);
	assert_int_equal(image_unwind_rows(image, &by_section), 0);
	image = image_free(image);
	memcpy(&header, bytes, sizeof(header));
	header.e_shnum = header.e_shstrndx = 0;
	header.e_shoff = 0;
	memcpy(bytes, &header, sizeof(header));
	assert_int_equal(image_open_memory(bytes, len, &image), 0);
	assert_int_equal(image_unwind_rows(image, &by_header), 0);
	image_free(image);
	assert_int_equal(by_header->nr_rows, by_section->nr_rows);
	assert_memory_equal(by_header->rows, by_section->rows,
			    by_section->nr_rows * sizeof(struct lb_row));
	unwind_rows_free(by_header);
	unwind_rows_free(by_section);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_debug_frame_section),
		cmocka_unit_test(test_bomb),
		cmocka_unit_test(test_other_machine),
		cmocka_unit_test(test_without_sections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
