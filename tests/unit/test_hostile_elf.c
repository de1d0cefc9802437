/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>

#include "elf/elf.h"
#include "fixture.h"

static int touch_symbol(const struct symbol *symbol, void *context)
{
	size_t *total = context;

	*total += strlen(symbol->name);
	return *total > 100000;
}

/* Everything that can be asked, all over the file; whatever comes out, it must come to an end. */
static void ask_everything(const char *bytes, size_t len)
{
	struct image *image;
	struct symbol symbol;
	size_t total = 0;
	char *version;

	if (image_open_memory(bytes, len, &image))
		return;
	image_find_function(image, "fixture_calls", &symbol);
	image_for_each_function(image, touch_symbol, &total);
	version = image_go_version(image);
	free(version);
	for (uint64_t vaddr = 0x1000; vaddr < 0x1200; vaddr += 7) {
		struct source_frame *frames;
		long nr_frames = image_source_frames(image, vaddr, &frames);

		image_plt_target(image, vaddr);
		image_symbol_at(image, vaddr, &symbol);
		if (nr_frames > 0)
			source_frames_free(frames, (size_t)nr_frames);
	}
	image_free(image);
}

static char *read_small(const struct fixture *fixture, size_t *ret_len)
{
	fixture_run(fixture, "echo 'int fixture_calls(int a) { return a; } "
			     "int twice(int a) { return fixture_calls(a) * 2; }' > small.c && "
			     "cc -shared -fPIC -O1 -g -nostdlib -Wl,-z,noseparate-code "
			     "-o small.so small.c");
	return fixture_read(fixture, "small.so", ret_len);
}

static void truncated_files_do_no_harm(void **state)
{
	size_t len;
	char *bytes = read_small(*state, &len);

	for (size_t cut = 0; cut < len; cut++) {
		char *part = malloc(cut + 1); /* of its own, so that a read behind it is seen */

		assert_non_null(part);
		memcpy(part, bytes, cut);
		ask_everything(part, cut);
		free(part);
	}
	free(bytes);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void flipped_bits_do_no_harm(void **state)
{
	uint32_t seed = 1;
	size_t len;
	char *bytes = read_small(*state, &len);
	char *copy = malloc(len);

	assert_non_null(copy);
	for (int i = 0; i < 4000; i++) {
		memcpy(copy, bytes, len);
		for (uint32_t k = next_random(&seed) % 8 + 1; k; k--) {
			uint32_t at = next_random(&seed) % (i % 2 ? 1024 : (uint32_t)len);

			copy[at] = (char)(copy[at] ^ 1 << next_random(&seed) % 8);
		}
		ask_everything(copy, len);
	}
	free(copy);
	free(bytes);
}

/* What libelf would keep in memory must be in the file, side by side. */
static void absurd_sections_are_refused(void **state)
{
	const size_t count_at = offsetof(Elf64_Ehdr, e_shnum);
	struct image *image = NULL;
	Elf64_Ehdr header;
	Elf64_Shdr section;
	size_t len, at;
	char *bytes = read_small(*state, &len);

	memcpy(&header, bytes, sizeof(header));
	at = header.e_shoff + header.e_shstrndx * sizeof(section);
	memcpy(&section, bytes + at, sizeof(section));
	section.sh_size = len;
	memcpy(bytes + at, &section, sizeof(section));
	assert_int_equal(image_open_memory(bytes, len, &image), -ENOEXEC);
	memset(bytes + count_at, 0, sizeof(header.e_shnum)); /* then the first section tells */
	memset(&section, 0, sizeof(section));
	section.sh_size = 10000000;
	memcpy(bytes + header.e_shoff, &section, sizeof(section));
	assert_int_equal(image_open_memory(bytes, len, &image), -ENOEXEC);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(truncated_files_do_no_harm),
		cmocka_unit_test(flipped_bits_do_no_harm),
		cmocka_unit_test(absurd_sections_are_refused),
	};

	return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
