/* SPDX-License-Identifier: GPL-2.0-only */
/* Names of code that JIT compilers make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "proc/symbolizer.h"

static struct symbolizer *new_symbolizer(void)
{
	struct symbolizer *symbolizer = symbolizer_new();

	assert_non_null(symbolizer);
	return symbolizer;
}

static const struct frame *name_one(struct symbolizer *symbolizer, pid_t pid, uint64_t id,
				    uint64_t pc)
{
	const struct stack *stack = NULL;

	assert_int_equal(symbolizer_stack(symbolizer, pid, id, &pc, 1, 0, &stack), 0);
	assert_int_equal(stack->nr_frames, 1);
	return &stack->frames[0];
}

static void write_perf_map(const char *mode, const char *text)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	file = fopen(path, mode);
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static const char *jit_name(struct symbolizer *symbolizer, uint64_t id, uint64_t call)
{
	const struct frame *frame = name_one(symbolizer, getpid(), id, call + 1);

	assert_string_equal(frame->module, "[jit]");
	return frame->function;
}

static void jit_code_has_the_names_of_its_map(void **state)
{
	struct symbolizer *symbolizer = new_symbolizer();
	char *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct buf text __cleanup_buf = { 0 };
	uint64_t at = (uint64_t)code;
	char path[64];

	(void)state;
	assert_ptr_not_equal(code, MAP_FAILED);
	buf_printf(&text, "%lx 10 first function\nnonsense\n0x%lx 0x10 second\n%lx 0 empty\n%lx 10",
		   at, at + 16, at + 32, at + 48);
	write_perf_map("we", text.data);
	assert_int_equal(symbolizer_refresh(symbolizer, getpid()), 0);
	assert_string_equal(jit_name(symbolizer, 1, at), "first function");
	assert_string_equal(jit_name(symbolizer, 2, at + 31), "second");
	assert_null(jit_name(symbolizer, 3, at + 32));
	assert_null(jit_name(symbolizer, 4, at + 48));
	/* The rest of the last line, and code made anew over old one. */
	buf_reset(&text);
	buf_printf(&text, " third\n%lx 8 again\n", at + 64);
	write_perf_map("ae", text.data);
	assert_string_equal(jit_name(symbolizer, 5, at + 49), "third");
	assert_string_equal(jit_name(symbolizer, 6, at + 64), "again");
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	unlink(path);
	munmap(code, 4096);
	symbolizer_free(symbolizer);
}

static void pipe_in_place_of_the_map_does_not_hold_up(void **state)
{
	struct symbolizer *symbolizer = new_symbolizer();
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	fixture_run(*state, "mkfifo %s", path);
	assert_int_equal(symbolizer_refresh(symbolizer, getpid()), 0);
	assert_null(name_one(symbolizer, getpid(), 1, 16)->function);
	unlink(path);
	symbolizer_free(symbolizer);
}

/* In a process of its own: makes a PID namespace with a process in it that has code with a name, and
 * tells its PID as seen from outside. */
static void run_namespace(int report, int ready, uint64_t code)
{
	const char text[] = "/tmp/perf-1.map";
	pid_t pid;
	FILE *file;

	if (unshare(CLONE_NEWPID))
		_exit(1);
	pid = fork();
	if (pid) {
		if (write(report, &pid, sizeof(pid)) == sizeof(pid))
			waitpid(pid, NULL, 0);
		_exit(0);
	}
	file = fopen(text, "we");
	if (!file)
		_exit(1);
	fprintf(file, "%lx 1000 inside_%d\n", code, getpid());
	fclose(file);
	if (write(ready, "!", 1) == 1)
		pause();
	_exit(0);
}

static void map_is_that_of_the_pid_namespace(void **state)
{
	struct symbolizer *symbolizer = new_symbolizer();
	void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t helper, inner = 0;
	int report[2], ready[2];
	char byte;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(pipe(report), 0);
	assert_int_equal(pipe(ready), 0);
	helper = fork();
	if (!helper)
		run_namespace(report[1], ready[1], (uint64_t)code);
	close(report[1]);
	close(ready[1]);
	assert_int_equal(read(report[0], &inner, sizeof(inner)), sizeof(inner));
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(symbolizer_refresh(symbolizer, inner), 0);
	assert_string_equal(name_one(symbolizer, inner, 1, (uint64_t)code + 9)->function,
			    "inside_1");
	kill(inner, SIGKILL);
	waitpid(helper, NULL, 0);
	unlink("/tmp/perf-1.map");
	close(report[0]);
	close(ready[0]);
	munmap(code, 4096);
	symbolizer_free(symbolizer);
}

/* Code is thrown away and made anew at the same place: what was written last is right. */
static void later_lines_win(void **state)
{
	static const char text[] = "1000 100 old\n1010 20 inner\n1000 100 new\nfff 2 edge\n";
	struct perf_map *map = perf_map_new(getpid());

	(void)state;
	assert_int_equal(perf_map_parse(map, text, sizeof(text) - 1), sizeof(text) - 1);
	assert_string_equal(perf_map_find(map, 0x1001), "new");
	assert_string_equal(perf_map_find(map, 0x1010), "new");
	assert_string_equal(perf_map_find(map, 0x1000), "edge");
	assert_null(perf_map_find(map, 0x1100));
	assert_null(perf_map_find(map, 0xffe));
	perf_map_free(map);
}

static void odd_lines_are_skipped(void **state)
{
	static const char text[] = "\n1000\n1000 10\n1000 10 \nxyz 10 a\n1000 0 b\n"
				   "ffffffffffffffff 10 c\n1000 10 d e  f\n2000 10 unfinished";
	struct perf_map *map = perf_map_new(getpid());
	const size_t used = sizeof(text) - sizeof("2000 10 unfinished");

	(void)state;
	assert_int_equal(perf_map_parse(map, text, sizeof(text) - 1), used);
	assert_string_equal(perf_map_find(map, 0x1000), "d e  f");
	assert_null(perf_map_find(map, 0x2000));
	assert_null(perf_map_find(map, UINT64_MAX));
	perf_map_free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jit_code_has_the_names_of_its_map),
		cmocka_unit_test(pipe_in_place_of_the_map_does_not_hold_up),
		cmocka_unit_test(map_is_that_of_the_pid_namespace),
		cmocka_unit_test(later_lines_win),
		cmocka_unit_test(odd_lines_are_skipped),
	};

	return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
