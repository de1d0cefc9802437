/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "proc/idmap.h"
#include "proc/proc.h"

/* Two functions of a library; the address behind the call in fixture_caller() is the label. */
static const char source[] =
	"__attribute__((noinline)) void fixture_callee(void) { __asm__ volatile(\"nop\"); }\n"
	"void fixture_caller(void)\n"
	"{\n"
	"	fixture_callee();\n"
	"	__asm__ volatile(\".globl fixture_return\\n.type fixture_return,%function\\n\"\n"
	"			 \"fixture_return: nop\");\n"
	"}\n";

static int begin(void **state)
{
	fixture_begin(state);
	fixture_write(*state, "called.c", source, sizeof(source) - 1);
	fixture_run(*state, "cc -g -O1 -shared -fPIC -o called.so called.c");
	return 0;
}

static struct symbolizer *new_symbolizer(void)
{
	struct symbolizer *symbolizer = symbolizer_new();

	assert_non_null(symbolizer);
	return symbolizer;
}

static const struct stack *name_stack(struct symbolizer *symbolizer, pid_t pid, uint64_t id,
				      const uint64_t *pcs, size_t nr_pcs)
{
	const struct stack *stack = NULL;

	assert_int_equal(
		symbolizer_stack(symbolizer, pid, id, pcs, nr_pcs, LB_STACK_TRUNCATED, &stack), 0);
	assert_non_null(stack);
	return stack;
}

/* --- the process itself --- */

/* A return address in the C library's own qsort (sanitizers put one of theirs before it). */
static uint64_t address_in_libc(void)
{
	void *handle = dlopen("libc.so.6", RTLD_NOW);
	uint64_t address;

	assert_non_null(handle);
	address = (uint64_t)dlsym(handle, "qsort") + 1;
	dlclose(handle);
	return address;
}

static __attribute__((noinline)) uint64_t return_address(void)
{
	__asm__ volatile("");
	return (uint64_t)__builtin_return_address(0);
}

static void own_stack_has_functions_lines_and_modules(void **state)
{
	struct symbolizer *symbolizer = new_symbolizer();
	uint64_t pcs[2];
	const struct stack *stack;
	char self[4096] = "";

	(void)state;
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	pcs[0] = return_address();
	pcs[1] = address_in_libc();
	assert_int_equal(symbolizer_refresh(symbolizer, getpid()), 0);
	stack = name_stack(symbolizer, getpid(), 7, pcs, 2);
	assert_int_equal(stack->id, 7);
	assert_int_equal(stack->flags, LB_STACK_TRUNCATED);
	assert_int_equal(stack->nr_frames, 2);
	assert_string_equal(stack->frames[0].function, __func__);
	assert_string_equal(stack->frames[0].module, self);
	assert_int_equal(stack->frames[0].address, pcs[0]);
	assert_string_equal(stack->frames[1].function, "qsort");
	assert_non_null(strstr(stack->frames[1].module, "libc"));
	symbolizer_free(symbolizer);
}

/* A frame says which mapping it lies in, also after the mappings have been read again. */
static void frames_know_their_mapping(void **state)
{
	struct symbolizer *symbolizer = new_symbolizer();
	const uint64_t pcs[] = { return_address(), address_in_libc(), 1 };
	const struct code_mapping *libc;
	const struct stack *stack;
	struct maps maps = { 0 };

	(void)state;
	assert_int_equal(maps_read(getpid(), &maps), 0);
	assert_int_equal(symbolizer_refresh(symbolizer, getpid()), 0);
	stack = name_stack(symbolizer, getpid(), 7, pcs, ARRAY_SIZE(pcs));
	assert_int_equal(symbolizer_refresh(symbolizer, getpid()), 0);
	for (size_t i = 0; i < 2; i++) {
		const struct mapping *wanted = maps_find(&maps, pcs[i]);
		const struct code_mapping *found = stack->frames[i].mapping;

		assert_non_null(wanted);
		assert_non_null(found);
		assert_int_equal(found->start, wanted->start);
		assert_int_equal(found->end, wanted->end);
		assert_int_equal(found->file_offset, wanted->file_offset);
	}
	assert_null(stack->frames[2].mapping);
	libc = stack->frames[1].mapping;
	assert_non_null(libc->build_id);
	assert_int_equal(strlen(libc->build_id), 40);
	assert_int_equal(strspn(libc->build_id, "0123456789abcdef"), 40);
	maps_done(&maps);
	symbolizer_free(symbolizer);
}

/* The C library's frames do not tell a group, the two innermost of the program do. */
static void groups_by_own_frames(void **state)
{
	struct symbolizer *symbolizer = new_symbolizer();
	uint64_t own = return_address(), libc = address_in_libc();
	const uint64_t stacks[][3] = {
		{ own, own + 1, own + 2 }, { libc, own, own + 1 }, { own, libc, own + 3 },
		{ libc, libc, own },       { libc, libc, libc },
	};
	uint64_t groups[ARRAY_SIZE(stacks)];

	(void)state;
	assert_int_equal(symbolizer_add_group(symbolizer, getpid(), 1, stacks[0], 3), -ESRCH);
	assert_int_equal(symbolizer_refresh(symbolizer, getpid()), 0);
	assert_int_equal(symbolizer_group(symbolizer, getpid(), 0, &groups[0]), -ENOENT);
	for (size_t i = 0; i < ARRAY_SIZE(stacks); i++) {
		assert_int_equal(symbolizer_add_group(symbolizer, getpid(), i, stacks[i], 3), 0);
		assert_int_equal(symbolizer_group(symbolizer, getpid(), i, &groups[i]), 0);
	}
	assert_int_equal(groups[0], groups[1]);
	assert_int_not_equal(groups[0], groups[2]);
	assert_int_not_equal(groups[2], groups[3]);
	assert_int_not_equal(groups[3], 0);
	assert_int_equal(groups[4], 0);
	symbolizer_free(symbolizer);
}

/* The line is that of the call, though the return address belongs to the next one. */
static void line_is_that_of_the_call(void **state)
{
	struct symbolizer *symbolizer = new_symbolizer();
	char path[256];
	void *handle = dlopen(fixture_path(*state, "called.so", path, sizeof(path)), RTLD_NOW);
	const struct stack *stack;
	uint64_t pc;

	assert_non_null(handle);
	pc = (uint64_t)dlsym(handle, "fixture_return");
	stack = name_stack(symbolizer, getpid(), 1, &pc, 1);
	assert_int_equal(stack->nr_frames, 1);
	assert_string_equal(stack->frames[0].function, "fixture_caller");
	assert_int_equal(stack->frames[0].line, 4);
	assert_string_equal(strrchr(stack->frames[0].file, '/'), "/called.c");
	dlclose(handle);
	symbolizer_free(symbolizer);
}

static void offset_is_that_of_the_file(void **state)
{
	struct symbolizer *symbolizer = new_symbolizer();
	struct symbol symbol;
	struct image *image;
	const struct stack *stack;
	uint64_t pc = address_in_libc();

	(void)state;
	stack = name_stack(symbolizer, getpid(), 1, &pc, 1);
	assert_int_equal(image_open(stack->frames[0].module, &image), 0);
	assert_int_equal(image_find_function(image, "qsort", &symbol), 0);
	assert_int_equal(stack->frames[0].offset, symbol.vaddr + 1);
	image_free(image);
	symbolizer_free(symbolizer);
}

static void same_stack_is_named_once(void **state)
{
	struct symbolizer *symbolizer = new_symbolizer();
	uint64_t pc = return_address(), other = pc + 1;
	const struct stack *first = name_stack(symbolizer, getpid(), 1, &pc, 1);

	(void)state;
	assert_ptr_equal(name_stack(symbolizer, getpid(), 1, &pc, 1), first);
	symbolizer_trim(symbolizer);
	symbolizer_trim(symbolizer);
	assert_string_equal(first->frames[0].function, __func__);
	assert_ptr_not_equal(name_stack(symbolizer, getpid(), 2, &other, 1), first);
	assert_int_equal(name_stack(symbolizer, getpid(), 3, NULL, 0)->nr_frames, 0);
	symbolizer_free(symbolizer);
}

static void unknown_addresses_stay_numbers(void **state)
{
	static const uint64_t pcs[] = { 0, 1, 16, UINT64_MAX, 1ULL << 47 };
	struct symbolizer *symbolizer = new_symbolizer();
	const struct stack *stack = name_stack(symbolizer, getpid(), 1, pcs, ARRAY_SIZE(pcs));

	(void)state;
	assert_int_equal(stack->nr_frames, ARRAY_SIZE(pcs));
	for (size_t i = 0; i < ARRAY_SIZE(pcs); i++) {
		assert_null(stack->frames[i].function);
		assert_null(stack->frames[i].file);
		assert_null(stack->frames[i].module);
		assert_int_equal(stack->frames[i].address, pcs[i]);
	}
	symbolizer_free(symbolizer);
}

static void vdso_is_read_from_memory(void **state)
{
	struct symbolizer *symbolizer = new_symbolizer();
	uint64_t start = getauxval(AT_SYSINFO_EHDR);
	uint64_t pcs[4096];
	const struct stack *stack;
	size_t nr_named = 0;

	(void)state;
	if (!start)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(pcs); i++)
		pcs[i] = start + i + 1;
	stack = name_stack(symbolizer, getpid(), 1, pcs, ARRAY_SIZE(pcs));
	for (size_t i = 0; i < stack->nr_frames; i++) {
		assert_string_equal(stack->frames[i].module, "[vdso]");
		nr_named += stack->frames[i].function &&
			    strstr(stack->frames[i].function, "clock_gettime") != NULL;
	}
	assert_true(nr_named > 0);
	symbolizer_free(symbolizer);
}

/* --- libraries that come and go --- */

static void library_loaded_later_is_seen(void **state)
{
	struct symbolizer *symbolizer = new_symbolizer();
	char path[256];
	const struct stack *stack;
	uint64_t pc;
	void *handle;

	fixture_run(*state, "cp called.so later.so");
	assert_int_equal(symbolizer_refresh(symbolizer, getpid()), 0);
	handle = dlopen(fixture_path(*state, "later.so", path, sizeof(path)), RTLD_NOW);
	assert_non_null(handle);
	pc = (uint64_t)dlsym(handle, "fixture_return");
	assert_int_equal(symbolizer_refresh(symbolizer, getpid()), 0);
	dlclose(handle);
	/* Gone again, and a new reading shows that; its name is still known. */
	assert_int_equal(symbolizer_refresh(symbolizer, getpid()), 0);
	stack = name_stack(symbolizer, getpid(), 1, &pc, 1);
	assert_string_equal(stack->frames[0].function, "fixture_caller");
	assert_string_equal(stack->frames[0].module, path);
	symbolizer_free(symbolizer);
}

/* Maps the page of the library's code that holds fixture_return, at @page or anywhere. */
static uint64_t map_code(const char *path, void *page)
{
	struct symbol symbol;
	struct image *image;
	uint64_t offset;
	void *address;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(image_open(path, &image), 0);
	assert_int_equal(image_find_function(image, "fixture_return", &symbol), 0);
	assert_int_equal(image_vaddr_to_offset(image, symbol.vaddr, &offset), 0);
	image_free(image);
	address = mmap(page, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | (page ? MAP_FIXED : 0), fd,
		       (off_t)(offset & ~4095ULL));
	assert_ptr_not_equal(address, MAP_FAILED);
	close(fd);
	return (uint64_t)address + (offset & 4095);
}

static const char *function_at(struct symbolizer *symbolizer, uint64_t id, uint64_t pc)
{
	return name_stack(symbolizer, getpid(), id, &pc, 1)->frames[0].function;
}

/* Another file at the same address: its names count from then on. */
static void replaced_mapping_is_seen(void **state)
{
	struct symbolizer *symbolizer = new_symbolizer();
	char path[256];
	uint64_t pc, other;

	fixture_run(*state, "cp called.so first.so && "
			    "sed s/fixture_caller/replaced_calls/ called.c > second.c && "
			    "cc -g -O1 -shared -fPIC -o second.so second.c");
	pc = map_code(fixture_path(*state, "first.so", path, sizeof(path)), NULL);
	assert_int_equal(symbolizer_refresh(symbolizer, getpid()), 0);
	assert_string_equal(function_at(symbolizer, 1, pc), "fixture_caller");
	other = map_code(fixture_path(*state, "second.so", path, sizeof(path)),
			 (void *)(pc & ~4095ULL));
	assert_int_equal(other, pc);
	assert_int_equal(symbolizer_refresh(symbolizer, getpid()), 0);
	assert_string_equal(function_at(symbolizer, 2, pc), "replaced_calls");
	/* What was named before stays as it was. */
	assert_string_equal(function_at(symbolizer, 1, pc), "fixture_caller");
	munmap((void *)(pc & ~4095ULL), 4096);
	symbolizer_free(symbolizer);
}

/* --- another process --- */

struct child {
	pid_t pid;
	uint64_t pc;
};

/* A child that loads a library, tells an address in it, and waits to be killed. */
static struct child start_child(const char *path)
{
	struct child child;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	child.pid = fork();
	if (!child.pid) {
		void *handle = dlopen(path, RTLD_NOW);
		uint64_t pc = handle ? (uint64_t)dlsym(handle, "fixture_return") : 0;

		if (write(fds[1], &pc, sizeof(pc)) == sizeof(pc))
			pause();
		_exit(1);
	}
	assert_int_equal(read(fds[0], &child.pc, sizeof(child.pc)), sizeof(child.pc));
	assert_int_not_equal(child.pc, 0);
	close(fds[0]);
	close(fds[1]);
	return child;
}

static void stop_child(const struct child *child)
{
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
}

static void ended_process_still_has_names(void **state)
{
	struct symbolizer *symbolizer = new_symbolizer();
	char path[256];
	const struct stack *stack;
	struct child child;

	fixture_run(*state, "cp called.so child.so");
	child = start_child(fixture_path(*state, "child.so", path, sizeof(path)));
	assert_int_equal(symbolizer_refresh(symbolizer, child.pid), 0);
	stop_child(&child);
	fixture_run(*state, "rm child.so");
	assert_int_equal(symbolizer_refresh(symbolizer, child.pid), -ESRCH);
	stack = name_stack(symbolizer, child.pid, 1, &child.pc, 1);
	assert_string_equal(stack->frames[0].function, "fixture_caller");
	assert_int_equal(stack->frames[0].line, 4);
	assert_string_equal(stack->frames[0].module, path);
	symbolizer_forget(symbolizer, child.pid);
	stack = name_stack(symbolizer, child.pid, 1, &child.pc, 1);
	assert_null(stack->frames[0].function);
	symbolizer_free(symbolizer);
}

static void deleted_library_still_has_names(void **state)
{
	struct symbolizer *symbolizer = new_symbolizer();
	const struct stack *stack;
	struct child child;
	char path[256];

	if (geteuid() != 0)
		skip(); /* map_files needs a capability */
	fixture_run(*state, "cp called.so deleted.so");
	child = start_child(fixture_path(*state, "deleted.so", path, sizeof(path)));
	fixture_run(*state, "rm deleted.so");
	assert_int_equal(symbolizer_refresh(symbolizer, child.pid), 0);
	stack = name_stack(symbolizer, child.pid, 1, &child.pc, 1);
	assert_string_equal(stack->frames[0].function, "fixture_caller");
	assert_string_equal(stack->frames[0].module, path);
	stop_child(&child);
	symbolizer_free(symbolizer);
}

static void unknown_process_is_told(void **state)
{
	struct symbolizer *symbolizer = new_symbolizer();

	(void)state;
	assert_int_equal(symbolizer_refresh(symbolizer, 0x3fffffff), -ESRCH);
	symbolizer_forget(symbolizer, 0x3fffffff);
	symbolizer_free(symbolizer);
}

/* --- the table under all this --- */

static size_t nr_released;

static void count_release(void *value)
{
	assert_non_null(value);
	nr_released++;
}

static void id_map_keeps_what_is_added(void **state)
{
	struct idmap map = { 0 };
	static char values[10000];

	(void)state;
	nr_released = 0;
	assert_null(idmap_find(&map, 0));
	for (size_t i = 0; i < sizeof(values); i++)
		assert_int_equal(idmap_add(&map, i << 40 | i % 3, &values[i]), 0);
	for (size_t i = 0; i < sizeof(values); i++)
		assert_ptr_equal(idmap_find(&map, i << 40 | i % 3), &values[i]);
	assert_null(idmap_find(&map, 3));
	assert_null(idmap_find(&map, UINT64_MAX));
	idmap_done(&map, count_release);
	assert_int_equal(nr_released, sizeof(values));
	assert_null(idmap_find(&map, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_stack_has_functions_lines_and_modules),
		cmocka_unit_test(frames_know_their_mapping),
		cmocka_unit_test(groups_by_own_frames),
		cmocka_unit_test(line_is_that_of_the_call),
		cmocka_unit_test(offset_is_that_of_the_file),
		cmocka_unit_test(same_stack_is_named_once),
		cmocka_unit_test(unknown_addresses_stay_numbers),
		cmocka_unit_test(vdso_is_read_from_memory),
		cmocka_unit_test(library_loaded_later_is_seen),
		cmocka_unit_test(replaced_mapping_is_seen),
		cmocka_unit_test(ended_process_still_has_names),
		cmocka_unit_test(deleted_library_still_has_names),
		cmocka_unit_test(unknown_process_is_told),
		cmocka_unit_test(id_map_keeps_what_is_added),
	};

	return cmocka_run_group_tests(tests, begin, fixture_end);
}
