/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whole processes read from outside: a C program (a child of this one) that pretends to be a Go
 * program, well and badly.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_go.h"
#include "golang/process.h"
#include "memory_limit.h"
#include "proc/proc.h"

#define BAD_ADDRESS 0x10

/* In the data of this executable, where a Go program has it; filled by the child only. */
static struct fake_go fake = { .table = { 1 } };

/* --- what a child does to its own memory --- */

static void nothing(void)
{
}

static void cyclic_list(void)
{
	for (size_t i = 0; i < FAKE_NR_G; i++)
		fake.list[i] = fake_address(&fake.gs[0]);
}

static void long_cyclic_list(void)
{
	static uint64_t list[1 << 20];

	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		list[i] = fake_address(&fake.gs[0]);
	fake.variables.allgs =
		(struct fake_slice){ fake_address(list), ARRAY_SIZE(list), ARRAY_SIZE(list) + 1 };
}

static void length_of_all_memory(void)
{
	fake.variables.allgs.len = fake.variables.allgs.capacity = UINT64_MAX / 8;
}

static void length_beyond_the_list(void)
{
	fake.variables.allgs.len = 1 << 24;
	fake.variables.allgs.capacity = (1 << 24) + 1;
}

static void list_of_nowhere(void)
{
	for (size_t i = 0; i < FAKE_NR_G; i++)
		fake.list[i] = BAD_ADDRESS;
}

static void list_of_extremes(void)
{
	fake.list[3] = 8;
	fake.list[4] = UINT64_MAX - 7;
}

static void list_of_overlaps(void)
{
	for (size_t i = 3; i < 8; i++)
		fake.list[i] = fake.list[0] + i;
	fake.variables.allgs.len = 8;
}

static void short_table(void)
{
	fake.moduledata[14] = 8;
}

static void table_cut_in_index(void)
{
	fake.moduledata[14] = 12;
}

static void table_cut_in_last_function(void)
{
	fake.moduledata[14] = 5 * 8 + 3 * 64 + 2;
}

static void table_length_of_all_memory(void)
{
	fake.moduledata[14] = UINT64_MAX;
}

static void table_without_end(void)
{
	fake.moduledata[14] = 256UL << 20;
}

static void functions_without_number(void)
{
	fake_u64(fake.table, 8, UINT64_MAX);
}

static void no_goexit(void)
{
	fake.table[FAKE_NAMES_AT + 36] = 'x';
}

static void no_moduledata(void)
{
	fake.moduledata[0] = 0;
}

static void go_116_table(void)
{
	fake.table[0] = 0xfa;
}

static void go_117(void)
{
	memcpy(fake.build_info + 32, "\x06go1.17", 7);
}

static void go_199(void)
{
	memcpy(fake.build_info + 32, "\x06go1.99", 7);
}

static void other_layout(void)
{
	for (size_t i = 0; i < FAKE_NR_G; i++)
		fake_u64(fake.gs[i].bytes, 304, fake_address(fake.text) + 3);
}

static void variables_without_end(void)
{
	fake.moduledata[27] = fake.moduledata[26] + (1UL << 40);
}

static void endless_stack(void)
{
	for (size_t i = 0; i < FAKE_STACK_BYTES / 8; i++)
		fake.stacks[0][i] = fake_address(fake.text) + FAKE_PARK + 5;
	fake_u64(fake.gs[0].bytes, 56, fake_address(fake.stacks[0]));
}

static void stack_upside_down(void)
{
	fake_u64(fake.gs[0].bytes, 0, UINT64_MAX);
}

static void stack_pointer_elsewhere(void)
{
	fake_u64(fake.gs[0].bytes, 56, BAD_ADDRESS);
}

static void sudog_and_labels_of_nowhere(void)
{
	fake_u64(fake.gs[0].bytes, 320, BAD_ADDRESS);
	fake_u64(fake.gs[0].bytes, 352, BAD_ADDRESS);
}

static void reused_g(void)
{
	fake_u64(fake.gs[0].bytes, 160, 1000);
}

static void moved_stack(void)
{
	fake_u64(fake.gs[1].bytes, 64, fake_address(fake.text) + FAKE_INNER + 9);
	fake_u64(fake.gs[1].bytes, 56, fake_address(fake.stacks[1]) + FAKE_STACK_BYTES - 56);
}

static void ended(void)
{
	fake.gs[2].bytes[152] = 6;
}

/* --- a child --- */

struct child {
	pid_t pid;
	int to_child, from_child;
	struct target target;
};

typedef void (*change_fn)(void);

/* Obeys: each pointer that comes is a function to call. Ends with its parent. */
static void child_main(int in, int out)
{
	change_fn change;

	fake = (struct fake_go){ 0 };
	fake_go(&fake);
	for (;;) {
		if (write(out, "", 1) != 1 || read(in, &change, sizeof(change)) != sizeof(change))
			_exit(0);
		change();
	}
}

static void child_wait(struct child *child)
{
	char byte;

	assert_int_equal(read(child->from_child, &byte, 1), 1);
}

static void child_do(struct child *child, change_fn change)
{
	assert_int_equal(write(child->to_child, &change, sizeof(change)), sizeof(change));
	child_wait(child);
}

static struct child child_start(change_fn change)
{
	struct error error = { 0 };
	struct child child = { 0 };
	int in[2], out[2];

	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	child.pid = fork();
	assert_true(child.pid >= 0);
	if (!child.pid) {
		close(in[1]);
		close(out[0]);
		child_main(in[0], out[1]);
	}
	close(in[0]);
	close(out[1]);
	child.to_child = in[1];
	child.from_child = out[0];
	child_wait(&child);
	child_do(&child, change);
	assert_int_equal(target_open(child.pid, &child.target, &error), 0);
	return child;
}

static void child_end(struct child *child)
{
	close(child->to_child);
	close(child->from_child);
	assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
	target_done(&child->target);
}

static struct golang *opened(const struct child *child)
{
	struct error error = { 0 };
	struct golang *golang = NULL;

	if (golang_open(&child->target, &golang, &error))
		fail_msg("%s", error.text);
	return golang;
}

static struct goroutine_list scanned(struct golang *golang)
{
	struct goroutine_list list = { 0 };
	struct error error = { 0 };

	if (golang_scan(golang, &list, &error))
		fail_msg("%s", error.text);
	return list;
}

/* --- tests --- */

static void fake_program_is_read(void **state)
{
	struct child child = child_start(nothing);
	struct golang *golang = opened(&child);
	struct goroutine_list list = scanned(golang);

	(void)state;
	assert_string_equal(golang_version(golang), "go1.23.9");
	assert_int_equal(list.nr_goroutines, FAKE_NR_G);
	assert_int_equal(list.nr_stackless + list.nr_unreadable + list.nr_dead, 0);
	for (size_t i = 0; i < FAKE_NR_G; i++) {
		const struct goroutine *goroutine = &list.goroutines[i];

		assert_int_equal(goroutine->id, 100 + i);
		assert_int_equal(goroutine->address, fake_address(&fake.gs[i]));
		assert_int_equal(goroutine->state, GOROUTINE_WAITING);
		assert_string_equal(goroutine->reason, "waiting for nothing");
		assert_string_equal(goroutine->start->function, "main.work");
		assert_int_equal(goroutine->creator->line, 11);
		assert_int_equal(goroutine->stack->nr_frames, 2);
		assert_string_equal(goroutine->stack->frames[0].function, "main.inner");
		assert_int_equal(goroutine->stack->flags, 0);
	}
	golang_free(golang);
	child_end(&child);
}

static void scans_follow_changes(void **state)
{
	struct child child = child_start(nothing);
	struct golang *golang = opened(&child);
	struct goroutine_list list = scanned(golang);
	struct goroutine before[FAKE_NR_G];

	(void)state;
	memcpy(before, list.goroutines, sizeof(before));
	child_do(&child, reused_g);
	child_do(&child, moved_stack);
	child_do(&child, ended);
	list = scanned(golang);
	assert_int_equal(list.nr_goroutines, FAKE_NR_G - 1);
	assert_int_equal(list.nr_dead, 1);
	/* another goroutine in the same place */
	assert_int_equal(list.goroutines[0].id, 1000);
	assert_true(list.goroutines[0].first_seen_ns > before[0].first_seen_ns);
	/* the same, elsewhere */
	assert_int_equal(list.goroutines[1].first_seen_ns, before[1].first_seen_ns);
	assert_true(list.goroutines[1].since_ns > before[1].since_ns);
	assert_ptr_not_equal(list.goroutines[1].stack, before[1].stack);
	/* as before */
	assert_int_equal(list.goroutines[2].id, before[3].id);
	assert_int_equal(list.goroutines[2].since_ns, before[3].since_ns);
	assert_ptr_equal(list.goroutines[2].stack, before[3].stack);
	golang_free(golang);
	child_end(&child);
}

/* Names are forgotten when there are too many of them; what is there gets its own again. */
static void names_come_back(void **state)
{
	struct child child = child_start(nothing);
	struct golang *golang = opened(&child);
	struct goroutine before = scanned(golang).goroutines[0], after;

	(void)state;
	golang->symbols.nr_stacks = 1 << 20;
	golang->nr_labels = 1 << 20;
	after = scanned(golang).goroutines[0];
	assert_in_range(golang->symbols.nr_stacks, 1, 10);
	assert_int_equal(golang->nr_labels, 0);
	assert_int_equal(after.id, before.id);
	assert_int_equal(after.since_ns, before.since_ns);
	assert_string_equal(after.start->function, "main.work");
	assert_string_equal(after.creator->function, "main.work");
	assert_int_equal(after.stack->nr_frames, 2);
	assert_string_equal(after.stack->frames[1].function, "main.work");
	golang_free(golang);
	child_end(&child);
}

/* Odd things that do not make the rest unreadable. */
static void odd_goroutines_are_bounded(void **state)
{
	static const struct {
		change_fn change;
		size_t nr_goroutines, nr_stackless, nr_unreadable;
	} cases[] = {
		{ cyclic_list, 1, 0, 0 },
		{ long_cyclic_list, 1, 0, 0 },
		{ endless_stack, FAKE_NR_G, 0, 0 },
		{ list_of_extremes, 3, 0, 2 },
		{ stack_pointer_elsewhere, FAKE_NR_G, 1, 0 },
		{ sudog_and_labels_of_nowhere, FAKE_NR_G, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct child child = child_start(cases[i].change);
		struct allowance allowance = memory_limit();
		struct golang *golang = opened(&child);
		struct goroutine_list list = scanned(golang);

		memory_unlimit(&allowance);
		assert_int_equal(list.nr_goroutines, cases[i].nr_goroutines);
		assert_int_equal(list.nr_stackless, cases[i].nr_stackless);
		assert_int_equal(list.nr_unreadable, cases[i].nr_unreadable);
		golang_free(golang);
		child_end(&child);
	}
}

static void hostile_programs_are_refused(void **state)
{
	static const struct {
		change_fn change;
		int code;
		const char *sentence;
	} cases[] = {
		{ length_of_all_memory, -ENOTSUP, "the list of goroutines of PID" },
		{ list_of_nowhere, -ENOTSUP, "the list of goroutines of PID" },
		{ variables_without_end, -ENOEXEC, "is no Go program" },
		{ short_table, -ENOTSUP, "the table of Go functions of PID" },
		{ table_cut_in_index, -ENOTSUP, "the table of Go functions of PID" },
		{ table_cut_in_last_function, -ENOTSUP, "the table of Go functions of PID" },
		{ table_length_of_all_memory, -ENOEXEC, "is no Go program" },
		{ table_without_end, -ENOEXEC, "is no Go program" },
		{ functions_without_number, -ENOTSUP, "the table of Go functions of PID" },
		{ no_goexit, -ENOTSUP, "the table of Go functions of PID" },
		{ no_moduledata, -ENOEXEC, "is no Go program" },
		{ go_116_table, -ENOTSUP, "goroutines can be read of Go 1.18 to 1.27" },
		{ go_117, -ENOTSUP, "goroutines can be read of Go 1.18 to 1.27" },
		{ go_199, -ENOTSUP, "goroutines can be read of Go 1.18 to 1.27" },
		{ other_layout, -ENOTSUP, "do not look as those of Go 1.18 to 1.27" },
		{ stack_upside_down, -ENOTSUP, "the list of goroutines of PID" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct child child = child_start(cases[i].change);
		struct golang *golang = NULL;
		struct error error = { 0 };
		uint64_t start_ns = clock_monotonic_ns();
		struct allowance allowance = memory_limit();
		int code = golang_open(&child.target, &golang, &error);

		memory_unlimit(&allowance);
		if (code != cases[i].code || !strstr(error.text, cases[i].sentence))
			fail_msg("case %zu: %d, %s", i, code, error.text);
		assert_null(golang);
		assert_null(strchr(error.text, '\n'));
		assert_true(clock_monotonic_ns() - start_ns < 10 * NSEC_PER_SEC);
		child_end(&child);
	}
}

/* What was well when it was opened goes bad. */
static void programs_that_turn_hostile_are_refused(void **state)
{
	static const change_fn changes[] = { length_of_all_memory, length_beyond_the_list,
					     list_of_nowhere, list_of_overlaps };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		struct child child = child_start(nothing);
		struct golang *golang = opened(&child);
		struct goroutine_list list = scanned(golang);
		struct error error = { 0 };
		struct allowance allowance;

		child_do(&child, changes[i]);
		allowance = memory_limit();
		assert_int_equal(golang_scan(golang, &list, &error), -ENOTSUP);
		memory_unlimit(&allowance);
		assert_non_null(strstr(error.text, "is damaged"));
		assert_int_equal(list.nr_goroutines, FAKE_NR_G); /* untouched */
		golang_free(golang);
		child_end(&child);
	}
}

static void ended_programs_are_told(void **state)
{
	struct child child = child_start(nothing);
	struct golang *golang = opened(&child);
	struct goroutine_list list;
	struct error error = { 0 };

	(void)state;
	kill(child.pid, SIGKILL);
	assert_int_equal(waitpid(child.pid, NULL, 0), child.pid);
	assert_int_equal(golang_scan(golang, &list, &error), -ESRCH);
	assert_non_null(strstr(error.text, "has ended"));
	golang_free(golang);
	close(child.to_child);
	close(child.from_child);
	target_done(&child.target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fake_program_is_read),
		cmocka_unit_test(scans_follow_changes),
		cmocka_unit_test(names_come_back),
		cmocka_unit_test(odd_goroutines_are_bounded),
		cmocka_unit_test(hostile_programs_are_refused),
		cmocka_unit_test(programs_that_turn_hostile_are_refused),
		cmocka_unit_test(ended_programs_are_told),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
