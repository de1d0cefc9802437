/* SPDX-License-Identifier: GPL-2.0-only */
/* The function table, the stacks that are walked by it, and the names that they get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_go.h"
#include "golang/gosym.h"
#include "golang/unwind.h"
#include "pclntab/pclntab.h"

#define TEXT 0x400000

static uint8_t table_bytes[FAKE_TABLE_BYTES];

static struct pclntab parsed(void)
{
	struct pclntab table;

	fake_table(table_bytes);
	assert_int_equal(pclntab_parse(table_bytes, sizeof(table_bytes), TEXT, &table), 0);
	return table;
}

static struct go_function function_at(const struct pclntab *table, uint64_t pc)
{
	struct go_function function;

	assert_int_equal(pclntab_function_at(table, pc, &function), 0);
	return function;
}

static void functions_are_found(void **state)
{
	struct pclntab table = parsed();
	struct go_function function;

	(void)state;
	assert_int_equal(table.version, PCLNTAB_GO_120);
	assert_int_equal(table.nr_functions, 4);
	assert_string_equal(function_at(&table, TEXT + FAKE_MAIN).name, "main.work");
	assert_string_equal(function_at(&table, TEXT + FAKE_INNER - 1).name, "main.work");
	assert_string_equal(function_at(&table, TEXT + FAKE_INNER).name, "main.inner");
	assert_string_equal(function_at(&table, TEXT + FAKE_END - 1).name, "runtime.goexit");
	assert_int_equal(pclntab_function_at(&table, TEXT + FAKE_END, &function), -ENOENT);
	assert_int_equal(pclntab_function_at(&table, TEXT - 1, &function), -ENOENT);
	assert_int_equal(pclntab_function_at(&table, UINT64_MAX, &function), -ENOENT);
	assert_int_equal(pclntab_function_named(&table, "runtime.gopark", &function), 0);
	assert_int_equal(function.entry, TEXT + FAKE_PARK);
	assert_int_equal(pclntab_function_named(&table, "runtime.gopar", &function), -ENOENT);
	assert_int_equal(pclntab_function_named(&table, "runtime.goparkk", &function), -ENOENT);
}

static void values_are_decoded(void **state)
{
	struct pclntab table = parsed();
	struct go_function work = function_at(&table, TEXT);
	const char *file;
	uint32_t bytes;
	int line;

	(void)state;
	assert_int_equal(pclntab_frame_bytes(&table, &work, TEXT, &bytes), 0);
	assert_int_equal(bytes, 24);
	assert_int_equal(pclntab_line(&table, &work, TEXT + 15, &file, &line), 0);
	assert_string_equal(file, "/src/fake.go");
	assert_int_equal(line, 10);
	assert_int_equal(pclntab_line(&table, &work, TEXT + 16, &file, &line), 0);
	assert_int_equal(line, 11);
	assert_int_equal(pclntab_line(&table, &work, TEXT + 64, &file, &line), -ENOENT);
	/* a list that ends too early */
	table_bytes[FAKE_VALUES_AT + 12] = 0;
	assert_int_equal(pclntab_line(&table, &work, TEXT + 16, &file, &line), -ENOENT);
	/* a length that never ends */
	memset(table_bytes + FAKE_VALUES_AT + 8, 0xff, 16);
	assert_int_equal(pclntab_frame_bytes(&table, &work, TEXT, &bytes), -ENOENT);
}

static void headers_are_told_apart(void **state)
{
	static const struct {
		uint32_t magic;
		int version;
	} cases[] = {
		{ 0xfffffffa, PCLNTAB_GO_116 },
		{ 0xfffffff0, PCLNTAB_GO_118 },
		{ 0xfffffff1, PCLNTAB_GO_120 },
		{ 0xfffffffb, -1 },
		{ 0xfffffff2, -1 },
	};
	enum pclntab_version version;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t header[8] = { [6] = 1, [7] = 8 };

		fake_u32(header, 0, cases[i].magic);
		assert_int_equal(pclntab_is_header(header, &version), cases[i].version >= 0);
		if (cases[i].version >= 0)
			assert_int_equal(version, cases[i].version);
		header[7] = 4; /* 32 bits */
		assert_false(pclntab_is_header(header, &version));
	}
}

/* Cut anywhere, it is refused or read without leaving it (the sanitizers watch that). */
static void truncated_tables_are_bounded(void **state)
{
	struct go_function function;
	struct pclntab table;
	const char *file;
	uint32_t bytes;
	int line;

	(void)state;
	fake_table(table_bytes);
	for (size_t len = 0; len < sizeof(table_bytes); len++) {
		uint8_t *copy = malloc(len + 1);

		assert_non_null(copy);
		memcpy(copy, table_bytes, len);
		if (!pclntab_parse(copy, len, TEXT, &table)) {
			assert_true(len >= FAKE_FUNCTIONS_AT + 4 * 8 + 4);
			for (uint64_t pc = TEXT; pc < TEXT + FAKE_END; pc += 16) {
				if (pclntab_function_at(&table, pc, &function))
					continue;
				pclntab_frame_bytes(&table, &function, pc, &bytes);
				pclntab_line(&table, &function, pc, &file, &line);
			}
			pclntab_function_named(&table, "runtime.goexit", &function);
		}
		free(copy);
	}
	table = parsed();
	fake_u64(table_bytes, 8, UINT64_MAX / 8); /* so many functions */
	assert_int_equal(pclntab_parse(table_bytes, sizeof(table_bytes), TEXT, &table), -ENOEXEC);
	fake_table(table_bytes);
	fake_u64(table_bytes, 64, sizeof(table_bytes) + 1); /* functions begin behind the end */
	assert_int_equal(pclntab_parse(table_bytes, sizeof(table_bytes), TEXT, &table), -ENOEXEC);
}

/* --- stacks --- */

struct fixture {
	struct memory memory;
	struct gosym symbols;
	struct fake_go go;
};

static struct fixture *fixture_new(void)
{
	struct fixture *fixture = aligned_alloc(64, (sizeof(*fixture) + 63) / 64 * 64);

	assert_non_null(fixture);
	memset(fixture, 0, sizeof(*fixture));
	fake_go(&fixture->go);
	fixture->memory.pid = getpid();
	fixture->symbols.memory = &fixture->memory;
	fixture->symbols.strings = strings_new();
	assert_non_null(fixture->symbols.strings);
	assert_int_equal(pclntab_parse(fixture->go.table, FAKE_TABLE_BYTES,
				       fake_address(fixture->go.text), &fixture->symbols.table),
			 0);
	assert_int_equal(gosym_find_marks(&fixture->symbols), 0);
	return fixture;
}

static void fixture_free(struct fixture *fixture)
{
	gosym_done(&fixture->symbols);
	free(fixture);
}

/* What the compiler makes has an id that each release numbers anew. */
static void wrappers_are_known_by_another_function(void **state)
{
	static const char name[] = "runtime.systemstack";
	struct fixture *fixture = fixture_new();
	uint8_t *record = fixture->go.table + FAKE_FUNCTIONS_AT + 5 * 8 + 2 * 64;

	(void)state;
	assert_int_equal(fixture->symbols.wrapper_id, 0); /* there is no such function */
	memcpy(fixture->go.table + FAKE_NAMES_AT + 100, name, sizeof(name));
	fake_u32(record, 4, 100);
	record[40] = 21; /* _func.funcID */
	assert_int_equal(gosym_find_marks(&fixture->symbols), 0);
	assert_int_equal(fixture->symbols.wrapper_id, 23);
	fixture_free(fixture);
}

static enum unwind_end unwind(struct fixture *fixture, size_t len, struct unwound *unwound)
{
	struct stack_bytes stack = {
		.address = fake_address(fixture->go.stacks[0]) + FAKE_STACK_BYTES - 64,
		.bytes = (const uint8_t *)fixture->go.stacks[0] + FAKE_STACK_BYTES - 64,
		.len = len,
	};

	return unwind_go(&fixture->symbols, &stack, fake_address(fixture->go.text) + FAKE_PARK + 5,
			 false, unwound);
}

static void stacks_are_walked_and_named(void **state)
{
	struct fixture *fixture = fixture_new();
	const struct stack *stack;
	struct unwound unwound;

	(void)state;
	assert_int_equal(unwind(fixture, 64, &unwound), UNWIND_COMPLETE);
	assert_int_equal(unwound.nr_pcs, 4);
	stack = gosym_stack(&fixture->symbols, unwound.pcs, unwound.nr_pcs, 0);
	assert_non_null(stack);
	assert_int_equal(stack->nr_frames, 2); /* not what is the runtime's */
	assert_string_equal(stack->frames[0].function, "main.inner");
	assert_int_equal(stack->frames[0].line, 10);
	assert_string_equal(stack->frames[1].function, "main.work");
	assert_int_equal(stack->frames[1].line, 11); /* that of the call, before 0x11 */
	assert_string_equal(stack->frames[1].file, "/src/fake.go");
	assert_ptr_equal(gosym_stack(&fixture->symbols, unwound.pcs, unwound.nr_pcs, 0), stack);
	assert_ptr_not_equal(gosym_stack(&fixture->symbols, unwound.pcs, 3, 0), stack);
	fixture_free(fixture);
}

static void cut_and_broken_stacks_end(void **state)
{
	struct fixture *fixture = fixture_new();
	uint64_t *stack = fixture->go.stacks[0] + (FAKE_STACK_BYTES - 64) / 8;
	struct unwound unwound;

	(void)state;
	for (size_t len = 0; len < 56; len++)
		assert_int_equal(unwind(fixture, len, &unwound), UNWIND_CUT);
	stack[2] = 0x1234;
	assert_int_equal(unwind(fixture, 64, &unwound), UNWIND_BROKEN);
	assert_int_equal(unwound.nr_pcs, 2);
	fixture_free(fixture);
}

static void endless_stacks_end(void **state)
{
	struct fixture *fixture = fixture_new();
	uint64_t *stack = fixture->go.stacks[0];
	struct unwound unwound;

	(void)state;
	for (size_t i = 0; i < FAKE_STACK_BYTES / 8; i++)
		stack[i] = fake_address(fixture->go.text) + FAKE_PARK + 5;
	struct stack_bytes bytes = { fake_address(stack), (const uint8_t *)stack,
				     FAKE_STACK_BYTES };
	assert_int_equal(unwind_go(&fixture->symbols, &bytes, stack[0], false, &unwound),
			 UNWIND_TOO_DEEP);
	assert_int_equal(unwound.nr_pcs, LB_MAX_FRAMES);
	fixture_free(fixture);
}

static void places_are_named(void **state)
{
	struct fixture *fixture = fixture_new();
	uint64_t text = fake_address(fixture->go.text);
	const struct frame *frame = gosym_start(&fixture->symbols, text + FAKE_MAIN);

	(void)state;
	assert_non_null(frame);
	assert_string_equal(frame->function, "main.work");
	assert_int_equal(frame->line, 10);
	frame = gosym_creator(&fixture->symbols, text + FAKE_MAIN + 0x10);
	assert_non_null(frame);
	assert_int_equal(frame->line, 10); /* of the call before */
	frame = gosym_creator(&fixture->symbols, text + FAKE_MAIN + 0x11);
	assert_int_equal(frame->line, 11);
	assert_null(gosym_start(&fixture->symbols, 0));
	assert_null(gosym_start(&fixture->symbols, text + FAKE_END));
	fixture_free(fixture);
}

/* --- names --- */

/* The name shown for a function called @name on a stack of it alone; NULL: it is not shown when
 * main.work calls it. */
static const char *shown_name(struct fixture *fixture, const char *name)
{
	uint64_t text = fake_address(fixture->go.text);
	uint64_t pcs[] = { text + FAKE_INNER + 9, text + FAKE_MAIN + 0x11 };
	const struct stack *stack;

	memset(fixture->go.table + FAKE_NAMES_AT + 100, 0, 80);
	memcpy(fixture->go.table + FAKE_NAMES_AT + 100, name, strlen(name));
	fake_u32(fixture->go.table, FAKE_FUNCTIONS_AT + 5 * 8 + 64 + 4, 100);
	pcs[0] += strlen(name) % 50; /* another stack each time, so that it is named anew */
	stack = gosym_stack(&fixture->symbols, pcs, 2, (uint32_t)(uintptr_t)name & 0xfff0);
	assert_non_null(stack);
	return stack->nr_frames == 2 ? stack->frames[0].function : NULL;
}

static void names_are_those_of_go(void **state)
{
	static const struct {
		const char *name, *shown;
	} cases[] = {
		{ "main.f", "main.f" },
		{ "main.generic[go.shape.string_0]", "main.generic[...]" },
		{ "main.(*list[go.shape.[]int]).add", "main.(*list[...]).add" },
		{ "main.(*list[go.shape.[]int]).map[go.shape.map[string][]int].func1",
		  "main.(*list[...]).map[...].func1" },
		{ "main.(*list[int]).map[a].f[b]", "main.(*list[...]).map[...]" },
		{ "main.odd[a]b[c", "main.odd[...]b[c" },
		{ "main.odd[a]]b", "main.odd[...]b" },
		{ "main.odd]a[", "main.odd]a[" },
		{ "main.odd[a[b]c", "main.odd[...]c" },
		{ "runtime.chanrecv1", NULL },
		{ "runtime.Gosched", "runtime.Gosched" },
		{ "runtime.(*Func).Entry", "runtime.(*Func).Entry" },
		{ "runtime.(*scavengerState).Run", NULL },
		{ "runtime.runCleanups", "runtime.runCleanups" },
		{ "runtime.runFinalizers", "runtime.runFinalizers" },
		{ "runtime.runFinalizersToo", NULL },
		{ "runtime.main.func1", NULL },
		{ "runtime/pprof.Do", "runtime/pprof.Do" },
		{ "_rt0_amd64", NULL },
	};
	struct fixture *fixture = fixture_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *shown = shown_name(fixture, cases[i].name);

		if (cases[i].shown)
			assert_string_equal(shown, cases[i].shown);
		else
			assert_null(shown);
	}
	fixture_free(fixture);
}

static void names_of_older_releases_have_one_list(void **state)
{
	struct fixture *fixture = fixture_new();

	(void)state;
	fixture->symbols.has_one_list = true;
	assert_string_equal(shown_name(fixture, "main.(*list[int]).map.each[string].func1"),
			    "main.(*list[...].func1");
	fixture_free(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_are_found),
		cmocka_unit_test(values_are_decoded),
		cmocka_unit_test(headers_are_told_apart),
		cmocka_unit_test(truncated_tables_are_bounded),
		cmocka_unit_test(wrappers_are_known_by_another_function),
		cmocka_unit_test(stacks_are_walked_and_named),
		cmocka_unit_test(cut_and_broken_stacks_end),
		cmocka_unit_test(endless_stacks_end),
		cmocka_unit_test(places_are_named),
		cmocka_unit_test(names_are_those_of_go),
		cmocka_unit_test(names_of_older_releases_have_one_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
