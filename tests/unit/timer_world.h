/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A Go process with timers as its memory looks, made by hand in our own: the function table of
 * fake_go.h, three p's, and a heap of each with timers in the layout of a release.
 */
#ifndef TIMER_WORLD_H
#define TIMER_WORLD_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_go.h"
#include "golang/process.h"

#define NR_PROCESSORS 3
#define P_WORDS       1600
#define POOL_WORD     13 /* of p.deferpool */
#define HEAP_WORD     1200
#define MAX_FAKES     50000
#define TIMER_WORDS   12
#define HOUR_NS       (3600 * NSEC_PER_SEC)

/* Functions of fake_go.h, under other names. */
enum {
	CALL_WORK = FAKE_MAIN,
	CALL_AFTER = FAKE_INNER,
	CALL_SEND = FAKE_PARK,
	CALL_END = FAKE_GOEXIT
};

/* One func value of each. */
enum { VALUE_WORK, VALUE_AFTER, VALUE_SEND, VALUE_END, VALUE_NOWHERE, NR_VALUES };

struct world {
	struct fake_go go;
	uint64_t variables[64]; /* the slice of all p is among them */
	uint64_t processors[NR_PROCESSORS];
	uint64_t ps[NR_PROCESSORS][P_WORDS];
	uint64_t heaps[NR_PROCESSORS][2 * MAX_FAKES];
	uint64_t timers[MAX_FAKES][TIMER_WORDS];
	size_t nr_timers;
	uint64_t values[NR_VALUES];
	const struct timer_layout *layout;
	struct golang golang;
};

static inline void rename_function(struct world *world, unsigned int index, uint32_t at,
				   const char *name)
{
	uint8_t *table = world->go.table;

	memcpy(table + FAKE_NAMES_AT + at, name, strlen(name) + 1);
	fake_u32(table, FAKE_FUNCTIONS_AT + 5 * 8 + index * 64 + 4, at);
}

static inline void make_processor(struct world *world, uint32_t number)
{
	uint64_t *p = world->ps[number];

	p[0] = number | 1ULL << 32; /* running */
	p[POOL_WORD] = fake_address(p + POOL_WORD + 3);
	p[POOL_WORD + 2] = 32;
	world->processors[number] = fake_address(p);
}

/* A process of Go 1.@minor without timers, whose timers have @layout. */
static inline struct world *world_new(unsigned int minor, const struct timer_layout *layout)
{
	struct world *world = aligned_alloc(64, (sizeof(*world) + 63) / 64 * 64);
	struct golang *golang;

	assert_non_null(world);
	memset(world, 0, sizeof(*world));
	fake_go(&world->go);
	rename_function(world, 1, 100, "time.goFunc");
	rename_function(world, 2, 120, "time.sendTime");
	for (uint32_t i = 0; i < NR_PROCESSORS; i++)
		make_processor(world, i);
	memcpy(world->variables + 20,
	       (uint64_t[]){ fake_address(world->processors), NR_PROCESSORS, NR_PROCESSORS }, 24);
	memcpy(world->values,
	       (uint64_t[]){ fake_address(world->go.text) + CALL_WORK,
			     fake_address(world->go.text) + CALL_AFTER,
			     fake_address(world->go.text) + CALL_SEND,
			     fake_address(world->go.text) + CALL_END, 0x1234 },
	       sizeof(world->values));
	world->layout = layout;
	golang = &world->golang;
	golang->pid = golang->memory.pid = getpid();
	golang->minor = minor;
	snprintf(golang->comm, sizeof(golang->comm), "fake");
	golang->module.version = minor && minor < 20 ? PCLNTAB_GO_118 : PCLNTAB_GO_120;
	golang->module.data[1] = (struct range){ fake_address(world->variables),
						 fake_address(world->variables + 64) };
	golang->window = malloc(WINDOW_BYTES);
	golang->symbols.strings = strings_new();
	assert_true(golang->window && golang->symbols.strings);
	golang->symbols.memory = &golang->memory;
	assert_int_equal(pclntab_parse(world->go.table, FAKE_TABLE_BYTES,
				       fake_address(world->go.text), &golang->symbols.table),
			 0);
	return world;
}

static inline void world_free(struct world *world)
{
	gosym_done(&world->golang.symbols);
	free(world->golang.window);
	free(world);
}

static inline uint64_t *heap_slice(struct world *world, size_t processor)
{
	return &world->ps[processor][HEAP_WORD];
}

static inline void set_status(struct world *world, uint8_t *timer, enum timer_state state)
{
	const struct timer_layout *layout = world->layout;

	static const uint8_t statuses[] = {
		[TIMER_WAITS] = 1, [TIMER_STOPPED] = 3, [TIMER_GONE] = 5, [TIMER_ODD] = 10
	};
	static const uint8_t bits[] = {
		[TIMER_WAITS] = 1, [TIMER_STOPPED] = 1 | 2 | 4, [TIMER_GONE] = 0, [TIMER_ODD] = 8
	};

	if (layout->next_when)
		fake_u32(timer, layout->status, statuses[state]);
	else
		timer[layout->status] = bits[state];
}

/* A timer at the end of the heap of @processor. */
static inline uint8_t *add_timer(struct world *world, size_t processor, uint64_t when_ns, int value)
{
	const struct timer_layout *layout = world->layout;
	uint8_t *timer = (uint8_t *)world->timers[world->nr_timers++];
	uint64_t *slice = heap_slice(world, processor);
	size_t step = layout->element / 8;
	uint64_t *element = world->heaps[processor] + slice[1] * step;

	fake_u64(timer, layout->owner,
		 layout->next_when ? world->processors[processor] : fake_address(slice) - 8);
	fake_u64(timer, layout->when, when_ns);
	fake_u64(timer, layout->function, fake_address(&world->values[value]));
	fake_u64(timer, layout->argument, fake_address(&world->values[VALUE_WORK]));
	set_status(world, timer, TIMER_WAITS);
	element[0] = fake_address(timer);
	if (step > 1)
		element[1] = when_ns;
	slice[0] = fake_address(world->heaps[processor]);
	slice[1]++;
	slice[2] = MAX_FAKES;
	return timer;
}

static inline uint64_t in_hours(uint64_t hours)
{
	return clock_monotonic_ns() + hours * HOUR_NS;
}

#endif
