/* SPDX-License-Identifier: GPL-2.0-only */
/* The heaps of timers in memory made by hand, well and badly, as each release has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory_limit.h"
#include "timer_world.h"

static struct timer_list read_timers(struct world *world)
{
	struct allowance allowance = memory_limit();
	uint64_t start_ns = clock_monotonic_ns();
	struct error error = { 0 };
	struct timer_list list;

	if (golang_timers(&world->golang, &list, &error))
		fail_msg("%s", error.text);
	memory_unlimit(&allowance);
	assert_true(clock_monotonic_ns() - start_ns < 10 * NSEC_PER_SEC);
	return list;
}

static void assert_refused(struct world *world, int code, const char *sentence)
{
	struct timer_list list = { .nr_timers = 77 };
	struct error error = { 0 };

	assert_int_equal(golang_timers(&world->golang, &list, &error), code);
	assert_int_equal(list.nr_timers, 77); /* untouched */
	if (!strstr(error.text, sentence))
		fail_msg("%s", error.text);
}

static void assert_in_hours(int64_t ns, int64_t hours)
{
	int64_t wanted_ns = hours * (int64_t)HOUR_NS;

	assert_true(ns <= wanted_ns && ns > wanted_ns - 60 * (int64_t)NSEC_PER_SEC);
}

/* --- what is right --- */

static void fill(struct world *world)
{
	const struct timer_layout *layout = world->layout;
	uint8_t *timer;

	for (uint64_t i = 1; i <= 20; i++)
		add_timer(world, 0, in_hours(i), VALUE_AFTER);
	for (uint64_t i = 1; i <= 10; i++)
		add_timer(world, 2, in_hours(i), VALUE_SEND);
	for (uint64_t i = 1; i <= 3; i++)
		fake_u64(add_timer(world, 2, in_hours(30), VALUE_SEND), layout->period,
			 i * HOUR_NS);
	add_timer(world, 2, in_hours(31), VALUE_END);
	set_status(world, add_timer(world, 2, in_hours(31), VALUE_SEND), TIMER_STOPPED);
	timer = add_timer(world, 2, in_hours(31), VALUE_SEND); /* comes just now */
	set_status(world, timer, TIMER_GONE);
	fake_u64(timer, layout->owner, 0);
	timer = add_timer(world, 2, in_hours(31), VALUE_AFTER); /* will come earlier */
	if (layout->next_when) {
		fake_u32(timer, layout->status, 7);
		fake_u64(timer, layout->next_when, in_hours(0));
	} else {
		timer[layout->status] = 1 | 2;
		fake_u64(timer, layout->when, in_hours(0));
	}
}

static void assert_filled(const struct timer_list *list)
{
	const struct timer_group *groups = list->groups;

	assert_int_equal(list->nr_heaps, NR_PROCESSORS);
	assert_int_equal(list->nr_timers, 35);
	assert_int_equal(list->nr_stopped, 1);
	assert_int_equal(list->nr_unreadable + list->nr_odd_heaps, 0);
	assert_int_equal(list->nr_groups, 4);
	assert_int_equal(groups[0].kind, TIMER_AFTER_FUNC);
	assert_int_equal(groups[0].count, 21);
	assert_string_equal(groups[0].function->function, "main.work");
	assert_int_equal(groups[0].function->line, 10);
	assert_in_hours(groups[0].soonest_ns, 0);
	assert_in_hours(groups[0].latest_ns, 20);
	assert_int_equal(groups[1].kind, TIMER_CHANNEL);
	assert_int_equal(groups[1].count, 10);
	assert_null(groups[1].function);
	assert_int_equal(groups[1].longest_period_ns, 0);
	assert_in_hours(groups[1].soonest_ns, 1);
	assert_in_hours(groups[1].latest_ns, 10);
	assert_int_equal(groups[2].kind, TIMER_TICKER);
	assert_int_equal(groups[2].count, 3);
	assert_int_equal(groups[2].shortest_period_ns, HOUR_NS);
	assert_int_equal(groups[2].longest_period_ns, 3 * HOUR_NS);
	assert_int_equal(groups[3].kind, TIMER_RUNTIME);
	assert_int_equal(groups[3].count, 1);
	assert_string_equal(groups[3].function->function, "runtime.goexit");
}

static void each_release_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < timer_nr_layouts; i++) {
		const struct timer_layout *layout = &timer_layouts[i];

		for (unsigned int minor = layout->first; minor <= layout->last; minor++) {
			struct world *world = world_new(minor, layout);
			struct timer_list list;

			fill(world);
			list = read_timers(world);
			assert_filled(&list);
			timer_list_done(&list);
			world->golang.minor = 0; /* not told by the binary */
			list = read_timers(world);
			assert_filled(&list);
			timer_list_done(&list);
			world_free(world);
		}
	}
}

/* More than are read at once, of more kinds. */
static void large_heaps_are_read(void **state)
{
	static const struct {
		const char *name;
		enum timer_kind kind;
	} cases[] = {
		{ "runtime.goroutineReady", TIMER_SLEEP },
		{ "runtime.netpollDeadline", TIMER_DEADLINE },
		{ "runtime.netpollReadDeadline", TIMER_DEADLINE },
		{ "runtime.netpollWriteDeadline", TIMER_DEADLINE },
		{ "runtime.netpollOther", TIMER_RUNTIME },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(i % 2 ? 22 : 23, &timer_layouts[i % 2 ? 0 : 1]);
		struct timer_list list;

		rename_function(world, 3, 140, cases[i].name);
		for (uint64_t j = 0; j < 40000; j++)
			add_timer(world, 1, in_hours(1) + j, j % 10 == 9 ? VALUE_END : VALUE_AFTER);
		list = read_timers(world);
		assert_int_equal(list.nr_timers, 40000);
		assert_int_equal(list.nr_groups, 2);
		assert_int_equal(list.groups[0].count, 36000);
		assert_int_equal(list.groups[1].count, 4000);
		assert_int_equal(list.groups[1].kind, cases[i].kind);
		assert_true(!list.groups[1].function == (cases[i].kind == TIMER_SLEEP));
		assert_true(list.calls < 200);
		timer_list_done(&list);
		world_free(world);
	}
}

static void no_timers_are_none(void **state)
{
	struct world *world = world_new(23, &timer_layouts[1]);
	struct timer_list list = read_timers(world);

	(void)state;
	assert_int_equal(list.nr_timers + list.nr_groups + list.nr_unreadable, 0);
	assert_int_equal(list.nr_heaps, NR_PROCESSORS);
	timer_list_done(&list);
	world_free(world);
}

/* Idle p's point to each other; a copy of the array of all stands behind the last one. */
static void processors_are_no_timers(void **state)
{
	(void)state;
	for (unsigned int minor = 22; minor <= 27; minor++) {
		struct world *world = world_new(minor, &timer_layouts[minor > 22]);
		struct timer_list list;

		world->ps[0][1] = world->processors[NR_PROCESSORS - 1];
		memcpy(world->heaps[0],
		       (uint64_t[]){ fake_address(world->processors), NR_PROCESSORS,
				     NR_PROCESSORS },
		       24);
		list = read_timers(world);
		assert_int_equal(list.nr_timers + list.nr_groups + list.nr_unreadable, 0);
		timer_list_done(&list);
		world_free(world);
	}
}

/* It is looked for in the first p, but not found behind its end, in the next one. */
static void each_processor_has_its_own_heap(void **state)
{
	(void)state;
	for (size_t i = 0; i < timer_nr_layouts; i++) {
		struct world *world = world_new(timer_layouts[i].first, &timer_layouts[i]);
		struct timer_list list;

		memset(world->heaps[0], 0xff, sizeof(world->heaps[0])); /* behind the last p */
		add_timer(world, 1, in_hours(1), VALUE_AFTER);
		add_timer(world, 2, in_hours(1), VALUE_AFTER);
		list = read_timers(world);
		assert_int_equal(list.nr_timers, 2);
		assert_int_equal(list.nr_heaps, NR_PROCESSORS);
		timer_list_done(&list);
		world_free(world);
	}
}

/* What calls nothing that is known is counted all the same. */
static void unknown_functions_are_told(void **state)
{
	struct world *world = world_new(23, &timer_layouts[1]);
	struct timer_list list;

	(void)state;
	add_timer(world, 0, in_hours(1), VALUE_NOWHERE);
	fake_u64(add_timer(world, 0, in_hours(1), VALUE_AFTER), world->layout->function, 0x10);
	fake_u64(add_timer(world, 0, in_hours(1), VALUE_AFTER), world->layout->argument, 0x10);
	fake_u64(add_timer(world, 0, in_hours(1), VALUE_AFTER), world->layout->argument,
		 fake_address(&world->values[VALUE_NOWHERE]));
	list = read_timers(world);
	assert_int_equal(list.nr_groups, 2);
	assert_int_equal(list.groups[0].kind, TIMER_AFTER_FUNC);
	assert_int_equal(list.groups[0].count, 2);
	assert_null(list.groups[0].function);
	assert_int_equal(list.groups[1].kind, TIMER_UNKNOWN);
	assert_int_equal(list.groups[1].count, 2);
	timer_list_done(&list);
	world_free(world);
}

/* --- what is not --- */

static void absurd_length(struct world *world)
{
	heap_slice(world, 1)[1] = heap_slice(world, 1)[2] = UINT64_MAX / 16;
}

static void longer_than_its_capacity(struct world *world)
{
	heap_slice(world, 1)[2] = 1;
}

static void slice_of_nowhere(struct world *world)
{
	heap_slice(world, 1)[0] = 0x10000;
}

static void order_of_a_hash(struct world *world)
{
	size_t step = world->layout->element / 8;
	uint64_t nr = heap_slice(world, 1)[1];

	for (uint64_t i = 0; i < nr; i++) {
		uint64_t when_ns = in_hours(1 + (nr - i) * 7 % 100);

		if (step > 1)
			world->heaps[1][i * step + 1] = when_ns;
		fake_u64((void *)(uintptr_t)world->heaps[1][i * step], world->layout->when,
			 when_ns);
	}
}

static void one_timer_only(struct world *world)
{
	size_t step = world->layout->element / 8;

	for (uint64_t i = 1; i < heap_slice(world, 1)[1]; i++)
		world->heaps[1][i * step] = world->heaps[1][0];
}

static void heap_of_itself(struct world *world)
{
	size_t step = world->layout->element / 8;

	for (uint64_t i = 1; i < heap_slice(world, 1)[1]; i++)
		world->heaps[1][i * step] = fake_address(world->heaps[1]);
}

static void timers_of_nowhere(struct world *world)
{
	static const uint64_t nowhere[] = { 0, 8, 0x10003, UINT64_MAX - 7, 1ULL << 46 };
	size_t step = world->layout->element / 8;

	for (size_t i = 0; i < ARRAY_SIZE(nowhere); i++)
		world->heaps[1][(1 + i) * step] = nowhere[i];
}

static void timers_of_another(struct world *world)
{
	for (size_t i = 20; i < 40; i++)
		fake_u64(world->timers[i], world->layout->owner, fake_address(world->ps[2]));
}

static void odd_states(struct world *world)
{
	for (size_t i = 20; i < 40; i++)
		set_status(world, (uint8_t *)world->timers[i], i % 2 ? TIMER_ODD : TIMER_GONE);
}

static void odd_times(struct world *world)
{
	for (size_t i = 20; i < 30; i++)
		fake_u64(world->timers[i], world->layout->period, UINT64_MAX);
	for (size_t i = 30; i < 40; i++)
		fake_u64(world->timers[i], world->layout->function, 0);
}

/* Two heaps of 100 timers each, one of which goes bad. */
static void bad_heaps_are_bounded(void **state)
{
	static const struct {
		void (*change)(struct world *world);
		size_t nr_timers, nr_odd_heaps, nr_unreadable;
	} cases[] = {
		{ absurd_length, 100, 1, 0 },     { longer_than_its_capacity, 100, 1, 0 },
		{ slice_of_nowhere, 100, 1, 0 },  { order_of_a_hash, 100, 1, 0 },
		{ one_timer_only, 101, 0, 99 },   { heap_of_itself, 101, 0, 99 },
		{ timers_of_nowhere, 195, 0, 5 }, { timers_of_another, 180, 0, 20 },
		{ odd_states, 180, 0, 20 },       { odd_times, 180, 0, 20 },
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(i % 2 ? 22 : 23, &timer_layouts[i % 2 ? 0 : 1]);
		struct timer_list list;

		for (uint64_t j = 0; j < 200; j++)
			add_timer(world, j < 100, in_hours(j % 100 + 1), VALUE_AFTER);
		cases[i / 2].change(world);
		list = read_timers(world);
		if (list.nr_timers != cases[i / 2].nr_timers ||
		    list.nr_odd_heaps != cases[i / 2].nr_odd_heaps ||
		    list.nr_unreadable != cases[i / 2].nr_unreadable)
			fail_msg("case %zu: %zu timers, %zu unreadable, %zu odd heaps", i,
				 list.nr_timers, list.nr_unreadable, list.nr_odd_heaps);
		assert_int_equal(list.nr_heaps + list.nr_odd_heaps, NR_PROCESSORS);
		timer_list_done(&list);
		world_free(world);
	}
}

/* A heap whose end is on a page that can not be read, and one where that are timers. */
static void unreadable_pages_are_told(void **state)
{
	const size_t nr = 1000, page = 4096, bytes = nr * 16 / page * page + page;
	struct world *world = world_new(23, &timer_layouts[1]);
	uint8_t *heap =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct timer_list list;

	(void)state;
	assert_ptr_not_equal(heap, MAP_FAILED);
	for (uint64_t i = 0; i < 2 * nr; i++)
		add_timer(world, i < nr, in_hours(1) + i, VALUE_AFTER);
	memcpy(heap, world->heaps[0], nr * 16);
	heap_slice(world, 0)[0] = fake_address(heap);
	assert_int_equal(mprotect(heap + bytes - page, page, PROT_NONE), 0);
	for (size_t i = 0; i < 10; i++)
		world->heaps[1][(500 + i) * 2] = fake_address(heap + bytes - page) + i * 80;
	list = read_timers(world);
	assert_int_equal(list.nr_heaps, NR_PROCESSORS - 1);
	assert_int_equal(list.nr_odd_heaps, 1);
	assert_int_equal(list.nr_timers, nr - 10);
	assert_int_equal(list.nr_unreadable, 10);
	timer_list_done(&list);
	munmap(heap, bytes);
	world_free(world);
}

static void no_processors(struct world *world)
{
	memset(world->variables, 0, sizeof(world->variables));
}

static void one_processor_thrice(struct world *world)
{
	world->processors[1] = world->processors[2] = world->processors[0];
}

static void dead_processors(struct world *world)
{
	for (size_t i = 0; i < NR_PROCESSORS; i++)
		world->ps[i][0] = i | 4ULL << 32;
}

static void processors_without_pool(struct world *world)
{
	world->ps[0][POOL_WORD] = world->ps[1][POOL_WORD];
}

static void endless_processors(struct world *world)
{
	world->variables[21] = world->variables[22] = UINT64_MAX / 8;
}

static void endless_variables(struct world *world)
{
	world->golang.module.data[1].end = UINT64_MAX;
}

static void other_timers(struct world *world)
{
	for (size_t i = 0; i < world->nr_timers; i++) {
		uint64_t *words = world->timers[i];

		memmove(words + 2, words, (TIMER_WORDS - 2) * 8);
		words[0] = 0;
	}
}

static void other_release(struct world *world)
{
	world->golang.minor = 28;
}

static void what_is_not_known_is_refused(void **state)
{
	static void (*const changes[])(struct world *world) = {
		no_processors,      one_processor_thrice, dead_processors, processors_without_pool,
		endless_processors, endless_variables,    other_timers,    other_release,
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(changes); i++) {
		struct world *world = world_new(i % 2 ? 22 : 23, &timer_layouts[i % 2 ? 0 : 1]);

		for (uint64_t j = 0; j < 10; j++)
			add_timer(world, 1, in_hours(1), VALUE_AFTER);
		changes[i / 2](world);
		assert_refused(world, -ENOTSUP,
			       "are not where, or not what, they are in Go 1.18 to 1.27");
		world_free(world);
	}
}

/* A thread's copy from when there were less is not taken for all of them. */
static void the_largest_array_is_taken(void **state)
{
	struct world *world = world_new(26, &timer_layouts[2]);
	struct timer_list list;

	(void)state;
	memcpy(world->variables + 40, (uint64_t[]){ fake_address(world->processors), 1, 3 }, 24);
	memcpy(world->variables + 5, (uint64_t[]){ fake_address(world->processors), 2, 2 }, 24);
	add_timer(world, 2, in_hours(1), VALUE_AFTER);
	list = read_timers(world);
	assert_int_equal(list.nr_heaps, 3);
	assert_int_equal(list.nr_timers, 1);
	timer_list_done(&list);
	world_free(world);
}

static void ended_programs_are_told(void **state)
{
	struct world *world = world_new(23, &timer_layouts[1]);
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(0);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	world->golang.memory.pid = pid;
	assert_refused(world, -ESRCH, "has ended");
	world_free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_release_is_read),
		cmocka_unit_test(large_heaps_are_read),
		cmocka_unit_test(no_timers_are_none),
		cmocka_unit_test(processors_are_no_timers),
		cmocka_unit_test(each_processor_has_its_own_heap),
		cmocka_unit_test(unknown_functions_are_told),
		cmocka_unit_test(bad_heaps_are_bounded),
		cmocka_unit_test(unreadable_pages_are_told),
		cmocka_unit_test(what_is_not_known_is_refused),
		cmocka_unit_test(the_largest_array_is_taken),
		cmocka_unit_test(ended_programs_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
