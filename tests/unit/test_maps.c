/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fixture.h"
#include "proc/proc.h"

static struct maps parse(const char *text)
{
	struct maps maps = { 0 };

	assert_int_equal(maps_parse(text, strlen(text), &maps), 0);
	return maps;
}

static void all_fields_are_read(void **state)
{
	struct maps maps = parse("55d0c0a00000-55d0c0a28000 r-xp 00002000 fd:01 1835059"
				 "                    /usr/bin/some thing\n"
				 "7ffd8b4f1000-7ffd8b512000 rw-p 00000000 00:00 0 \n"
				 "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0"
				 "                  [vsyscall]");
	const struct mapping *first = &maps.mappings[0];

	(void)state;
	assert_int_equal(maps.nr_mappings, 3);
	assert_int_equal(first->start, 0x55d0c0a00000);
	assert_int_equal(first->end, 0x55d0c0a28000);
	assert_string_equal(first->perms, "r-xp");
	assert_int_equal(first->file_offset, 0x2000);
	assert_int_equal(first->dev, makedev(0xfd, 1));
	assert_int_equal(first->inode, 1835059);
	assert_string_equal(first->path, "/usr/bin/some thing");
	assert_false(first->deleted);
	assert_string_equal(maps.mappings[1].path, "");
	assert_string_equal(maps.mappings[2].path, "[vsyscall]");
	assert_int_equal(maps.mappings[2].end, 0xffffffffff601000);
	maps_done(&maps);
}

static void odd_paths_are_understood(void **state)
{
	struct maps maps = parse("1000-2000 r--p 0 00:01 1 /a\\012b (deleted)\n"
				 "2000-3000 r--p 0 00:01 2 /a (deleted) (deleted)\n"
				 "3000-4000 r--p 0 00:01 3 /trailing \n"
				 "4000-5000 r--p 0 00:01 4 /back\\slash\\01\n"
				 "5000-6000 rw-s 0 00:01 5 /memfd:x (deleted)\n"
				 "6000-7000 r--p 0 00:01 6  (deleted)\n");

	(void)state;
	assert_string_equal(maps.mappings[0].path, "/a\nb");
	assert_true(maps.mappings[0].deleted);
	assert_string_equal(maps.mappings[1].path, "/a (deleted)");
	assert_string_equal(maps.mappings[2].path, "/trailing ");
	assert_false(maps.mappings[2].deleted);
	assert_string_equal(maps.mappings[3].path, "/back\\slash\\01");
	assert_string_equal(maps.mappings[4].path, "/memfd:x");
	assert_true(maps.mappings[4].deleted);
	assert_string_equal(maps.mappings[5].path, "(deleted)");
	maps_done(&maps);
}

static void damaged_lines_are_refused(void **state)
{
	static const char *const lines[] = {
		"x",
		"1000-2000",
		"1000-2000 r--p",
		"1000-2000 r-",
		"1000-2000 rQ-p 0 00:01 1 /a",
		"1000-2000 r--p 0 00:01 ",
		"1000-2000 r--p 0 00.01 1 /a",
		"2000-1000 r--p 0 00:01 1 /a",
		"1000-1000 r--p 0 00:01 1 /a",
		"10000000000000000-20000000000000000 r--p 0 00:01 1 /a",
		"1000-2000 r--p 0 00:01 18446744073709551616 /a",
		"1000-2000 r--p 0 100000000:01 1 /a",
		"\n",
	};
	struct maps maps = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_int_equal(maps_parse(lines[i], strlen(lines[i]), &maps), -EINVAL);
	assert_int_equal(maps_parse("1000-2000 r--p 0 00:01 1 /a\0b", 29, &maps), -EINVAL);
	assert_int_equal(maps.nr_mappings, 0);
	assert_int_equal(maps_parse("", 0, &maps), 0);
	assert_int_equal(maps.nr_mappings, 0);
	maps_done(&maps);
}

/* The kernel prints a mapping again when it has grown between two reads. */
static void later_lines_replace_earlier_ones(void **state)
{
	struct maps maps = parse("1000-3000 r--p 0 00:01 1 /a\n"
				 "3000-5000 r--p 0 00:01 2 /b\n"
				 "3000-6000 r--p 0 00:01 2 /c\n"
				 "5000-7000 r--p 0 00:01 3 /d\n");

	(void)state;
	assert_int_equal(maps.nr_mappings, 3);
	assert_string_equal(maps.mappings[1].path, "/c");
	assert_int_equal(maps.mappings[1].end, 0x5000);
	assert_string_equal(maps.mappings[2].path, "/d");
	maps_done(&maps);
}

static void addresses_are_found(void **state)
{
	struct maps maps = parse("1000-2000 r--p 0 00:01 1 /a\n"
				 "2000-3000 r--p 0 00:01 2 /b\n"
				 "5000-6000 r--p 0 00:01 3 /c\n");

	(void)state;
	assert_null(maps_find(&maps, 0xfff));
	assert_string_equal(maps_find(&maps, 0x1000)->path, "/a");
	assert_string_equal(maps_find(&maps, 0x1fff)->path, "/a");
	assert_string_equal(maps_find(&maps, 0x2000)->path, "/b");
	assert_null(maps_find(&maps, 0x3000));
	assert_string_equal(maps_find(&maps, 0x5fff)->path, "/c");
	assert_null(maps_find(&maps, 0x6000));
	assert_null(maps_find(&maps, UINT64_MAX));
	maps_done(&maps);
}

/* Maps the file called @name (made here) and returns what /proc/self/maps says of it. */
static const struct mapping *map_file(const struct fixture *fixture, const char *name,
				      struct maps *ret_maps)
{
	char path[512];
	void *address;
	int fd = open(fixture_path(fixture, name, path, sizeof(path)), O_RDWR | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	address = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(address, MAP_FAILED);
	close(fd);
	assert_int_equal(maps_read(getpid(), ret_maps), 0);
	return maps_find(ret_maps, (uint64_t)address);
}

static void assert_opens(const struct mapping *mapping)
{
	char path[8192] = "";
	struct stat st;

	assert_non_null(mapping);
	assert_int_equal(mapping_open_path(getpid(), mapping, path, sizeof(path)), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_ino, mapping->inode);
}

static void own_mappings_are_read_and_opened(void **state)
{
	static const char *const names[] = { "plain", "with space", "new\nline", "x (deleted)",
					     "back\\slash" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct maps maps = { 0 };
		const struct mapping *mapping = map_file(*state, names[i], &maps);

		assert_opens(mapping);
		if (i < 3)
			assert_string_equal(strrchr(mapping->path, '/') + 1, names[i]);
		maps_done(&maps);
	}
}

/* Without map_files (that needs a capability) the way by name must do. */
static void names_are_checked_by_inode(void **state)
{
	struct maps maps = { 0 };
	struct mapping mapping = *map_file(*state, "by name", &maps);
	char path[8192] = "untouched";

	mapping.start++; /* there is no such entry in map_files */
	assert_opens(&mapping);
	mapping.inode++;
	assert_int_equal(mapping_open_path(getpid(), &mapping, path, sizeof(path)), -ENOENT);
	assert_string_equal(path, "untouched");
	mapping.inode--;
	assert_int_equal(mapping_open_path(getpid(), &mapping, path, 10), -ENAMETOOLONG);
	maps_done(&maps);
}

static void deleted_files_are_opened(void **state)
{
	struct maps maps = { 0 };
	char path[256];

	maps_done(&maps);
	map_file(*state, "gone", &maps);
	maps_done(&maps);
	assert_int_equal(unlink(fixture_path(*state, "gone", path, sizeof(path))), 0);
	assert_int_equal(maps_read(getpid(), &maps), 0);
	for (size_t i = 0; i < maps.nr_mappings; i++) {
		if (strcmp(maps.mappings[i].path, path) != 0)
			continue;
		assert_true(maps.mappings[i].deleted);
		if (geteuid() == 0)
			assert_opens(&maps.mappings[i]);
		maps_done(&maps);
		return;
	}
	fail_msg("the deleted file is not in the mappings");
}

static void executable_and_anonymous_memory(void **state)
{
	struct maps maps = { 0 };
	const struct mapping *code;
	char path[8192];

	(void)state;
	assert_int_equal(maps_read(getpid(), &maps), 0);
	code = maps_find(&maps, (uint64_t)executable_and_anonymous_memory);
	assert_opens(code);
	assert_int_equal(code->perms[2], 'x');
	code = maps_find(&maps, getauxval(AT_RANDOM)); /* on the stack */
	assert_string_equal(code->path, "[stack]");
	assert_int_equal(mapping_open_path(getpid(), code, path, sizeof(path)), -ENOENT);
	maps_done(&maps);
}

static void no_such_process(void **state)
{
	struct maps maps = { 0 };

	(void)state;
	assert_int_equal(maps_read(0x3fffffff, &maps), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_fields_are_read),
		cmocka_unit_test(odd_paths_are_understood),
		cmocka_unit_test(damaged_lines_are_refused),
		cmocka_unit_test(later_lines_replace_earlier_ones),
		cmocka_unit_test(addresses_are_found),
		cmocka_unit_test(own_mappings_are_read_and_opened),
		cmocka_unit_test(names_are_checked_by_inode),
		cmocka_unit_test(deleted_files_are_opened),
		cmocka_unit_test(executable_and_anonymous_memory),
		cmocka_unit_test(no_such_process),
	};

	return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
