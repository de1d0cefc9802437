/* SPDX-License-Identifier: GPL-2.0-only */
/* Rings of goroutines that wait for mutexes: a made-up Go program in the memory of the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_go.h"
#include "golang/process.h"
#include "golang/sites.h"

#define NOW_NS      (100 * NSEC_PER_SEC)
#define LONG_AGO_NS (50 * NSEC_PER_SEC)
#define JUST_NOW_NS (99 * NSEC_PER_SEC)
#define STACK_WORDS 8
#define READER_SEM  12   /* sync.RWMutex.readerSem */
#define FIRST_LINE  0x00 /* offsets in the function: of code of its first line */
#define SECOND_LINE 0x10 /* and of the line where it waits */
#define CALL_BYTES  5

enum { LOCK = FAKE_INNER, UNLOCK = FAKE_PARK };

/* What two goroutines lock; the RWMutex stands first. */
struct store {
	uint64_t rwmutex[3], mutex, other_mutex;
	uint64_t rest[64];
};

static struct world {
	struct fake_go go;
	uint8_t code[FAKE_END]; /* where the table says that functions are */
	struct store store, far_away;
	uint64_t stacks[2][STACK_WORDS];
	struct golang golang;
	struct tracked tracked[2];
	struct goroutine goroutines[2];
	struct frame frames[2][2];
	struct stack shown[2];
} world;

/* Functions: main.refill, with two lines, and two of package sync. */
static void make_table(struct world *w)
{
	static const char names[] =
		"main.refill\0sync.(*RWMutex).Lock\0sync.(*RWMutex).Unlock\0runtime.goexit";
	uint8_t *table = w->go.table;

	fake_table(table);
	memcpy(table + FAKE_NAMES_AT, names, sizeof(names));
	fake_function(table, 0, FAKE_MAIN, 0, 7, 10);
	fake_function(table, 1, LOCK, 12, 4, 10);
	fake_function(table, 2, UNLOCK, 33, 1, 10);
	fake_function(table, 3, FAKE_GOEXIT, 56, 1, 10);
	assert_int_equal(pclntab_parse(table, FAKE_TABLE_BYTES, fake_address(w->code),
				       &w->golang.symbols.table),
			 0);
}

static void call(struct world *w, uint32_t at, uint32_t function)
{
	w->code[at] = 0xe8;
	fake_u32(w->code, at + 1, function - (at + CALL_BYTES));
}

/* Number @index waits for @waits_on, inside @method, and has the @word in its stack. */
static void wait_for(struct world *w, size_t index, const void *waits_on, const char *method,
		     const void *word)
{
	struct goroutine *goroutine = &w->goroutines[index];

	w->stacks[index][3] = fake_address(word);
	w->frames[index][0] = (struct frame){ .function = method, .address = 0x10 };
	w->frames[index][1] = (struct frame){ .function = "main.refill",
					      .address = fake_address(w->code) + SECOND_LINE + 4,
					      .line = 11 };
	w->shown[index] =
		(struct stack){ .id = index + 1, .nr_frames = 2, .frames = w->frames[index] };
	*goroutine = (struct goroutine){
		.id = index + 10,
		.address = 0x1000 * (index + 1),
		.state = GOROUTINE_WAITING,
		.reason = "sync.Mutex.Lock",
		.waits_on = fake_address(waits_on),
		.since_ns = LONG_AGO_NS,
		.first_seen_ns = LONG_AGO_NS,
		.stack = &w->shown[index],
	};
	w->tracked[index] = (struct tracked){
		.address = goroutine->address,
		.sp = fake_address(w->stacks[index]),
		.stack_high = fake_address(w->stacks[index] + STACK_WORDS),
	};
}

/* Two of which the first waits for the mutex and has the object's address, and the second wants to
 * read under the RWMutex of it and holds the mutex. */
static struct world *begin(void)
{
	struct world *w = &world;

	memset(w, 0, sizeof(*w));
	make_table(w);
	w->golang.memory.pid = getpid();
	w->golang.symbols.memory = &w->golang.memory;
	w->golang.symbols.strings = strings_new();
	w->golang.symbols.module = "/made-up";
	w->golang.symbols.wrapper_id = 22;
	w->golang.tracked = w->tracked;
	w->golang.nr_tracked = 2;
	wait_for(w, 0, &w->store.mutex, "sync.(*Mutex).lockSlow", &w->store);
	wait_for(w, 1, (uint8_t *)&w->store + READER_SEM, "sync.(*RWMutex).RLock", &w->store.mutex);
	return w;
}

/* How many are said to be in a ring. */
static size_t count_told(struct world *w)
{
	struct goroutine_list list = { .time_ns = NOW_NS,
				       .goroutines = w->goroutines,
				       .nr_goroutines = 2 };
	struct goroutine_watch *watch = goroutine_watch_new(getpid());
	struct epochs none = { 0 };
	size_t nr = 0;

	assert_int_equal(goroutine_watch_take(watch, &list, &none), 0);
	watch->golang = &w->golang;
	deadlocks_find(watch, &list);
	for (size_t i = 0; i < watch->nr_sites; i++)
		nr += watch->sites[i]->proof &&
		      !strncmp(watch->sites[i]->proof, "likely a deadlock: ", 19);
	watch->golang = NULL;
	goroutine_watch_free(watch);
	gosym_done(&w->golang.symbols);
	return nr;
}

/* The address of the object is that of the RWMutex, too: only what was locked tells. */
static void object_that_begins_with_it(void **state)
{
	struct world *w = begin();

	(void)state;
	assert_int_equal(count_told(w), 0);
	w = begin();
	call(w, FIRST_LINE, LOCK);
	assert_int_equal(count_told(w), 2);
	w = begin();
	call(w, FIRST_LINE, LOCK);
	call(w, FIRST_LINE + CALL_BYTES, UNLOCK);
	assert_int_equal(count_told(w), 0);
	w = begin();
	call(w, SECOND_LINE, LOCK); /* not before it waits */
	assert_int_equal(count_told(w), 0);
	w = begin();
	call(w, FIRST_LINE, LOCK);
	w->frames[0][1].address = FAKE_END + 1; /* in no function */
	assert_int_equal(count_told(w), 0);
}

/* What was locked was no sync.Mutex. */
static void another_type(void **state)
{
	struct world *w = begin();

	(void)state;
	call(w, FIRST_LINE, LOCK);
	wait_for(w, 1, &w->store, "sync.(*Mutex).lockSlow", &w->store.mutex);
	assert_int_equal(count_told(w), 0);
}

/* An address that can only be that of the mutex, or of an object that only this is part of. */
static void addresses_that_tell(void **state)
{
	struct world *w = begin();

	(void)state;
	wait_for(w, 0, &w->far_away.mutex, "sync.(*Mutex).lockSlow", &w->store);
	wait_for(w, 1, (uint8_t *)&w->store + READER_SEM, "sync.(*RWMutex).RLock", &w->far_away);
	assert_int_equal(count_told(w), 2);
	w = begin();
	wait_for(w, 0, &w->far_away.mutex, "sync.(*Mutex).lockSlow", &w->store.other_mutex);
	wait_for(w, 1, &w->store.other_mutex, "sync.(*Mutex).lockSlow", &w->far_away.mutex);
	assert_int_equal(count_told(w), 2);
}

/* Two writers, of which the second one waits for the Mutex in the RWMutex, wait for the same; so
 * does one that reads. One that waits only since now is no part of a ring. */
static void no_rings(void **state)
{
	struct world *w = begin();

	(void)state;
	wait_for(w, 0, &w->store, "sync.(*Mutex).lockSlow", &w->far_away);
	wait_for(w, 1, (uint8_t *)&w->store + READER_SEM, "sync.(*RWMutex).RLock", &w->store);
	assert_int_equal(count_told(w), 0);
	w = begin();
	call(w, FIRST_LINE, LOCK);
	w->goroutines[1].since_ns = JUST_NOW_NS;
	assert_int_equal(count_told(w), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(object_that_begins_with_it),
		cmocka_unit_test(another_type),
		cmocka_unit_test(addresses_that_tell),
		cmocka_unit_test(no_rings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
