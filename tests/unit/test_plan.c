/* SPDX-License-Identifier: GPL-2.0-only */
/* The plan for a process: this one, with an allocator of its own, and made-up mappings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe/probe.h"

#define HEAP (1U << LB_KIND_HEAP)
#define MMAP (1U << LB_KIND_MMAP)

/* An allocator with a prefix, as programs link jemalloc in. Never called. */
void *je_malloc(size_t size);
void je_free(void *block);

static char arena[64];
static volatile size_t used;

void *je_malloc(size_t size)
{
	used += size;
	return arena;
}

void je_free(void *block)
{
	if (block == arena)
		*(char *)block = 0;
}

static struct plan plan_self(struct plan_cache *cache, unsigned int kinds)
{
	struct error error = { 0 };
	struct plan plan;
	struct maps maps;

	assert_int_equal(maps_read(getpid(), &maps), 0);
	assert_int_equal(plan_build(cache, getpid(), &maps, kinds, &plan, &error), 0);
	maps_done(&maps);
	return plan;
}

static bool has_allocator(const struct plan *plan, const char *name)
{
	for (size_t i = 0; i < plan->nr_allocators; i++)
		if (strcmp(plan->allocators[i], name) == 0)
			return true;
	return false;
}

static bool has_blind_spot(const struct plan *plan, const char *part)
{
	for (size_t i = 0; i < plan->nr_blind_spots; i++)
		if (strstr(plan->blind_spots[i], part))
			return true;
	return false;
}

/* The file whose path ends with @end; an empty one when there is none. */
static struct object_plan object_of(const struct plan *plan, const char *end)
{
	for (size_t i = 0; i < plan->nr_objects; i++) {
		const char *path = plan->objects[i].path;

		if (strlen(path) >= strlen(end) && !strcmp(path + strlen(path) - strlen(end), end))
			return plan->objects[i];
	}
	return (struct object_plan){ 0 };
}

/* The probe of the call @name; an empty one when there is none. */
static struct site_probe probe_of(const struct object_plan *object, const char *name)
{
	for (size_t i = 0; i < object->nr_probes; i++)
		if (strcmp(object->probes[i].call->name, name) == 0)
			return object->probes[i];
	return (struct site_probe){ 0 };
}

/* Where this process has the byte at @offset of @object. */
static const void *address_of(const struct maps *maps, const struct object_plan *object,
			      uint64_t offset)
{
	for (size_t i = 0; i < maps->nr_mappings; i++) {
		const struct mapping *mapping = &maps->mappings[i];

		if (mapping->inode == object->inode && mapping->perms[2] == 'x' &&
		    offset >= mapping->file_offset &&
		    offset - mapping->file_offset < mapping->end - mapping->start)
			return (const void *)(uintptr_t)(mapping->start + offset -
							 mapping->file_offset);
	}
	return NULL;
}

/* clang's address sanitizer puts a malloc of its own into the executable. */
#if defined(__clang__) && defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OWN_ALLOCATOR "custom"
#define OWN_MALLOC    "malloc"
#endif
#endif
#ifndef OWN_ALLOCATOR
#define OWN_ALLOCATOR "jemalloc"
#define OWN_MALLOC    "je_malloc"
#endif

static void test_own_process(void **state)
{
	struct plan_cache *cache = plan_cache_new();
	struct plan plan = plan_self(cache, HEAP | MMAP);
	struct object_plan libc = object_of(&plan, "/libc.so.6");
	struct object_plan self = object_of(&plan, program_invocation_short_name);

	(void)state;
	assert_true(has_allocator(&plan, OWN_ALLOCATOR));
	assert_non_null(self.path);
	assert_string_equal(self.allocator, OWN_ALLOCATOR);
	assert_string_equal(probe_of(&self, "malloc").symbol, OWN_MALLOC);
	assert_non_null(probe_of(&self, "free").symbol);
	if (!libc.path) /* another C library */
		skip();
	assert_string_equal(libc.allocator, "glibc");
	assert_non_null(probe_of(&libc, "malloc").symbol);
	assert_non_null(probe_of(&libc, "free").symbol);
	assert_int_equal(probe_of(&libc, "mmap").cookie & 0xff, LB_CALL_MMAP);
	assert_in_range(LB_COOKIE_BEFORE(probe_of(&libc, "munmap").cookie), 4096, 16 << 20);
	assert_in_range(LB_COOKIE_BEHIND(probe_of(&libc, "munmap").cookie), 4096, 16 << 20);
	assert_null(object_of(&plan, "/ld-linux-x86-64.so.2").path);
	plan_done(&plan);
	plan_cache_free(cache);
}

/* The bytes of every chosen instruction are those that the process runs. */
static void test_bytes_in_memory(void **state)
{
	struct plan_cache *cache = plan_cache_new();
	struct plan plan = plan_self(cache, HEAP | MMAP);
	struct maps maps;

	(void)state;
	assert_int_equal(maps_read(getpid(), &maps), 0);
	for (size_t i = 0; i < plan.nr_objects; i++) {
		for (size_t j = 0; j < plan.objects[i].nr_probes; j++) {
			const struct placement *placement = &plan.objects[i].probes[j].placement;
			const void *address =
				address_of(&maps, &plan.objects[i], placement->offset);

			assert_non_null(address);
			assert_true(placement->instruction_len > 0);
			assert_memory_equal(address, placement->instruction,
					    placement->instruction_len);
		}
	}
	maps_done(&maps);
	plan_done(&plan);
	plan_cache_free(cache);
}

static void test_kinds(void **state)
{
	struct plan_cache *cache = plan_cache_new();
	struct plan plan = plan_self(cache, HEAP);

	(void)state;
	for (size_t i = 0; i < plan.nr_objects; i++)
		for (size_t j = 0; j < plan.objects[i].nr_probes; j++)
			assert_int_equal(plan.objects[i].probes[j].call->kind, LB_KIND_HEAP);
	plan_done(&plan);
	/* Mappings only: allocators are probed to know which mappings are theirs. */
	plan = plan_self(cache, MMAP);
	struct object_plan self = object_of(&plan, program_invocation_short_name);

	assert_non_null(self.path);
	assert_int_equal(probe_of(&self, "malloc").cookie & 0xff, LB_CALL_SHELTER);
	assert_null(probe_of(&self, "free").symbol);
	plan_done(&plan);
	plan_cache_free(cache);
}

/* From the cache comes the same plan. */
static void test_cache(void **state)
{
	struct plan_cache *cache = plan_cache_new();
	struct plan first = plan_self(cache, HEAP | MMAP);
	struct plan second = plan_self(cache, HEAP | MMAP);

	(void)state;
	assert_int_equal(first.nr_objects, second.nr_objects);
	for (size_t i = 0; i < first.nr_objects; i++) {
		const struct object_plan *a = &first.objects[i], *b = &second.objects[i];

		assert_string_equal(a->path, b->path);
		assert_int_equal(a->nr_probes, b->nr_probes);
		for (size_t j = 0; j < a->nr_probes; j++) {
			assert_string_equal(a->probes[j].symbol, b->probes[j].symbol);
			assert_int_equal(a->probes[j].cookie, b->probes[j].cookie);
		}
	}
	plan_done(&first);
	plan_done(&second);
	plan_cache_free(cache);
}

/* A plan for this process from mappings given as text. */
static struct plan plan_text(const char *text)
{
	struct plan_cache *cache = plan_cache_new();
	struct error error = { 0 };
	struct plan plan;
	struct maps maps;

	assert_int_equal(maps_parse(text, strlen(text), &maps), 0);
	assert_int_equal(plan_build(cache, getpid(), &maps, HEAP, &plan, &error), 0);
	maps_done(&maps);
	plan_cache_free(cache);
	return plan;
}

static void test_nothing_found(void **state)
{
	struct plan plan = plan_text("");

	(void)state;
	assert_int_equal(plan.nr_objects, 0);
	assert_int_equal(plan.nr_blind_spots, 1);
	assert_true(has_blind_spot(&plan, "no allocator found in"));
	assert_true(has_blind_spot(&plan, program_invocation_short_name));
	plan_done(&plan);
}

static void test_missing_file(void **state)
{
	struct plan plan =
		plan_text("1000-2000 r-xp 00000000 fe:01 4242424242 /nowhere/libgone.so\n"
			  "2000-3000 r--p 00001000 fe:01 4242424243 /nowhere/libdata.so\n");

	(void)state;
	assert_int_equal(plan.nr_blind_spots, 1);
	assert_true(has_blind_spot(&plan, "/nowhere/libgone.so can not be read"));
	plan_done(&plan);
}

/* Maps a file of these bytes executable and plans for this process. */
static struct plan plan_with_file(const void *bytes, size_t len)
{
	char path[] = "/tmp/test_plan.XXXXXX";
	int fd __cleanup_fd = mkstemp(path);
	struct plan_cache *cache = plan_cache_new();
	struct plan plan;
	void *map;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	map = mmap(NULL, len, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	unlink(path);
	if (map == MAP_FAILED)
		skip(); /* /tmp is mounted noexec */
	plan = plan_self(cache, HEAP);
	munmap(map, len);
	plan_cache_free(cache);
	return plan;
}

static void test_damaged_file(void **state)
{
	char bytes[100] = "\177ELF\2\1\1";
	struct plan plan = plan_with_file(bytes, sizeof(bytes));

	(void)state;
	assert_true(has_blind_spot(&plan, "damaged"));
	plan_done(&plan);
	/* Code of a compiler that keeps it in a file is no object at all. */
	memset(bytes, 0x90, sizeof(bytes));
	plan = plan_with_file(bytes, sizeof(bytes));
	assert_false(has_blind_spot(&plan, "test_plan."));
	plan_done(&plan);
}

static void test_process_has_ended(void **state)
{
	static const char text[] = "1000-2000 r-xp 00000000 fe:01 4242424242 /nowhere/libgone.so\n";
	struct plan_cache *cache = plan_cache_new();
	struct error error = { 0 };
	struct plan plan;
	struct maps maps;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(maps_parse(text, strlen(text), &maps), 0);
	assert_int_equal(plan_build(cache, pid, &maps, HEAP, &plan, &error), -ESRCH);
	assert_non_null(strstr(error.text, "has just ended"));
	maps_done(&maps);
	plan_cache_free(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_process),   cmocka_unit_test(test_bytes_in_memory),
		cmocka_unit_test(test_kinds),         cmocka_unit_test(test_cache),
		cmocka_unit_test(test_nothing_found), cmocka_unit_test(test_missing_file),
		cmocka_unit_test(test_damaged_file),  cmocka_unit_test(test_process_has_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
