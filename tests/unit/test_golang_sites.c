/* SPDX-License-Identifier: GPL-2.0-only */
/* Goroutines as sites of snapshots: births, ends, moves, generations, what is certain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golang/sites.h"

#define PID       7
#define FIRST_NS  1000
#define EPOCH_NS  100
#define NR_EPOCHS 4

static const struct epochs epochs = { FIRST_NS, EPOCH_NS, NR_EPOCHS };
static struct frame inner = { .function = "main.wait", .address = 0x1000, .line = 10 };
static struct frame other = { .function = "main.other", .address = 0x2000, .line = 20 };
static const struct frame start = { .function = "main.work", .address = 0x900, .line = 5 };
static const struct frame creator = { .function = "main.spawn", .address = 0x800, .line = 3 };
static const struct stack waiting = { .id = 11, .nr_frames = 1, .frames = &inner };
static const struct stack elsewhere = { .id = 22, .nr_frames = 1, .frames = &other };

/* Goroutine number @id, parked at @stack. */
static struct goroutine parked(uint64_t id, const struct stack *stack, uint64_t born_ns)
{
	return (struct goroutine){
		.id = id,
		.address = id * 0x100,
		.state = GOROUTINE_WAITING,
		.reason = "chan receive",
		.first_seen_ns = born_ns,
		.stack = stack,
		.start = &start,
		.creator = &creator,
	};
}

static void take_list(struct goroutine_watch *watch, const struct goroutine *goroutines, size_t nr,
		      uint64_t now_ns)
{
	struct goroutine_list list = { .time_ns = now_ns,
				       .goroutines = goroutines,
				       .nr_goroutines = nr };

	assert_int_equal(goroutine_watch_take(watch, &list, &epochs), 0);
}

static struct snapshot snapshot_of(const struct goroutine_watch *watch)
{
	struct snapshot snapshot = { .time_ns = 1 };

	assert_int_equal(goroutine_watch_add(watch, &snapshot), 0);
	return snapshot;
}

static void done(struct snapshot *snapshot)
{
	free(snapshot->sites);
}

/* The site whose innermost frame is @function. */
static const struct site_count *site_at(const struct goroutine_watch *watch,
					const struct snapshot *snapshot, const char *function)
{
	for (size_t i = 0; i < snapshot->nr_sites; i++) {
		const struct stack *stack =
			goroutine_watch_stack(watch, snapshot->sites[i].key.stack);

		if (stack && stack->nr_frames && !strcmp(stack->frames[0].function, function))
			return &snapshot->sites[i];
	}
	fail_msg("no site at %s", function);
	abort(); /* is not reached: cmocka has left the test */
}

static void check_counts(const struct site_count *site, uint64_t opened, uint64_t closed)
{
	assert_int_equal(site->opened_count, opened);
	assert_int_equal(site->closed_count, closed);
	assert_int_equal(site->live_count, opened - closed);
}

static void births_and_ends(void **state)
{
	struct goroutine_watch *watch = goroutine_watch_new(PID);
	struct goroutine list[] = { parked(2, &waiting, 500), parked(3, &waiting, 1050),
				    parked(4, &waiting, 1150), parked(5, &waiting, 1150) };
	const struct site_count *site;
	const struct stack *stack;
	struct snapshot snapshot;

	(void)state;
	take_list(watch, list, 4, 2000);
	list[1] = list[2];
	list[2] = list[3];
	take_list(watch, list, 3, 2100);
	snapshot = snapshot_of(watch);
	assert_int_equal(snapshot.nr_sites, 1);
	site = site_at(watch, &snapshot, "main.wait");
	check_counts(site, 4, 1);
	assert_int_equal(site->key.tgid, PID);
	assert_int_equal(site->key.kind, LB_KIND_GOROUTINE);
	assert_int_equal(site->oldest_ns, 500);
	assert_string_equal(site->state, "chan receive");
	assert_null(site->proof);
	assert_int_equal(site->cohorts[0], 0); /* number 3 has ended, 2 is from before */
	assert_int_equal(site->cohorts[1], 2);
	assert_int_equal(snapshot.opened[LB_KIND_GOROUTINE], 4);
	assert_int_equal(snapshot.stats.count[LB_KIND_GOROUTINE][LB_COUNT_CLOSES], 1);
	stack = goroutine_watch_stack(watch, site->key.stack);
	assert_int_equal(stack->nr_frames, 2);
	assert_string_equal(stack->frames[1].function, "created by main.spawn");
	assert_int_equal(stack->frames[1].line, 3);
	done(&snapshot);
	goroutine_watch_free(watch);
}

/* Without epochs there are no cohorts, which is not the same as empty ones. */
static void no_epochs(void **state)
{
	struct goroutine_watch *watch = goroutine_watch_new(PID);
	struct goroutine one = parked(5, &waiting, 1000);
	struct goroutine_list list = { .time_ns = 1000, .goroutines = &one, .nr_goroutines = 1 };
	struct epochs none = { .nr = 0 };
	struct snapshot snapshot;

	(void)state;
	assert_int_equal(goroutine_watch_take(watch, &list, &none), 0);
	snapshot = snapshot_of(watch);
	assert_null(snapshot.sites[0].cohorts);
	done(&snapshot);
	goroutine_watch_free(watch);
}

/* The same g, used again, is another goroutine. */
static void reused_structure(void **state)
{
	struct goroutine_watch *watch = goroutine_watch_new(PID);
	struct goroutine one = parked(5, &waiting, 1000);
	struct snapshot snapshot;

	(void)state;
	take_list(watch, &one, 1, 1000);
	one.id = 6;
	one.first_seen_ns = 1300;
	take_list(watch, &one, 1, 1300);
	snapshot = snapshot_of(watch);
	check_counts(site_at(watch, &snapshot, "main.wait"), 2, 1);
	assert_int_equal(snapshot.sites[0].cohorts[0], 0);
	assert_int_equal(snapshot.sites[0].cohorts[3], 1);
	done(&snapshot);
	goroutine_watch_free(watch);
}

/* A worker that changes its place opens and closes, and stays of its own generation. */
static void moves(void **state)
{
	struct goroutine_watch *watch = goroutine_watch_new(PID);
	struct goroutine worker = parked(5, &waiting, 1000);
	const struct site_count *site;
	struct snapshot snapshot;

	(void)state;
	for (int i = 0; i < 6; i++) {
		worker.stack = i % 2 ? &elsewhere : &waiting;
		take_list(watch, &worker, 1, 1000 + 50 * (uint64_t)i);
	}
	snapshot = snapshot_of(watch);
	assert_int_equal(snapshot.nr_sites, 2);
	assert_true(site_key_compare(&snapshot.sites[0].key, &snapshot.sites[1].key) < 0);
	check_counts(site_at(watch, &snapshot, "main.wait"), 3, 3);
	site = site_at(watch, &snapshot, "main.other");
	check_counts(site, 3, 2);
	assert_int_equal(site->cohorts[0], 1);
	assert_int_equal(site->cohorts[2], 0);
	done(&snapshot);
	goroutine_watch_free(watch);
}

/* One that changed while it was read has not moved; what runs is one site, wherever it is. */
static void unread_and_running(void **state)
{
	struct goroutine_watch *watch = goroutine_watch_new(PID);
	struct goroutine one = parked(5, &waiting, 1000);
	struct snapshot snapshot;

	(void)state;
	take_list(watch, &one, 1, 1000);
	one.stack = NULL;
	take_list(watch, &one, 1, 1100);
	snapshot = snapshot_of(watch);
	check_counts(site_at(watch, &snapshot, "main.wait"), 1, 0);
	done(&snapshot);
	for (int i = 0; i < 4; i++) {
		one.state = i % 2 ? GOROUTINE_RUNNING : GOROUTINE_RUNNABLE;
		one.stack = i % 2 ? NULL : i ? &waiting : &elsewhere;
		take_list(watch, &one, 1, 1200);
	}
	snapshot = snapshot_of(watch);
	assert_int_equal(snapshot.nr_sites, 2);
	check_counts(site_at(watch, &snapshot, "main.wait"), 1, 1);
	check_counts(site_at(watch, &snapshot, "main.work"), 1, 0);
	assert_string_equal(site_at(watch, &snapshot, "main.work")->state, "running");
	done(&snapshot);
	goroutine_watch_free(watch);
}

/* What has been empty for long is forgotten; the sums stay. */
static void forgotten(void **state)
{
	struct goroutine_watch *watch = goroutine_watch_new(PID);
	struct goroutine one = parked(5, &waiting, 1000);
	struct snapshot snapshot;

	(void)state;
	take_list(watch, &one, 1, NSEC_PER_SEC);
	take_list(watch, &one, 0, 2 * NSEC_PER_SEC);
	snapshot = snapshot_of(watch);
	check_counts(site_at(watch, &snapshot, "main.wait"), 1, 1);
	done(&snapshot);
	take_list(watch, &one, 0, 3600 * NSEC_PER_SEC);
	snapshot = snapshot_of(watch);
	assert_int_equal(snapshot.nr_sites, 0);
	assert_int_equal(snapshot.opened[LB_KIND_GOROUTINE], 1);
	assert_int_equal(snapshot.closed[LB_KIND_GOROUTINE], 1);
	done(&snapshot);
	goroutine_watch_free(watch);
}

/* What the snapshot says of @nr goroutines from number @first on that wait like this. */
static const char *proof_of(enum goroutine_state how, const char *reason, uint64_t first, size_t nr)
{
	struct goroutine_watch *watch = goroutine_watch_new(PID);
	struct goroutine list[8];
	struct snapshot snapshot;
	static char proof[256];
	bool proved;

	for (size_t i = 0; i < nr; i++) {
		list[i] = parked(first + i, &waiting, 1000);
		list[i].state = how;
		list[i].reason = reason;
	}
	take_list(watch, list, nr, 1000);
	snapshot = snapshot_of(watch);
	proved = snapshot.sites[0].proof;
	snprintf(proof, sizeof(proof), "%s", proved ? snapshot.sites[0].proof : "");
	done(&snapshot);
	goroutine_watch_free(watch);
	return proved ? proof : NULL;
}

static void certain(void **state)
{
	const char *proof = proof_of(GOROUTINE_WAITING, "chan send (nil chan)", 5, 1);

	(void)state;
	assert_true(proof && strstr(proof, "nil"));
	assert_non_null(proof_of(GOROUTINE_WAITING, "chan receive (nil chan)", 5, 1));
	assert_non_null(proof_of(GOROUTINE_LEAKED, "chan receive", 5, 1));
	assert_non_null(proof_of(GOROUTINE_WAITING, "select (no cases)", 5, 2));
	assert_null(proof_of(GOROUTINE_WAITING, "select (no cases)", 5, 1));
	assert_null(proof_of(GOROUTINE_WAITING, "select (no cases)", 1, 1));
	assert_null(proof_of(GOROUTINE_WAITING, "chan receive (nil chan)", 1, 1));
	assert_null(proof_of(GOROUTINE_WAITING, "chan receive", 5, 8));
}

/* What the runtime finds out of goroutines that wait moves none of them. */
static void proved_later(void **state)
{
	struct goroutine_watch *watch = goroutine_watch_new(PID);
	struct goroutine list[] = { parked(5, &waiting, 1000), parked(6, &waiting, 1000) };
	struct snapshot snapshot;

	(void)state;
	take_list(watch, list, 2, 1000);
	list[0].state = GOROUTINE_LEAKED;
	take_list(watch, list, 2, 2000);
	snapshot = snapshot_of(watch);
	assert_int_equal(snapshot.nr_sites, 1);
	assert_int_equal(snapshot.sites[0].opened_count, 2);
	assert_int_equal(snapshot.sites[0].live_count, 2);
	assert_string_equal(snapshot.sites[0].state, "chan receive");
	assert_non_null(strstr(snapshot.sites[0].proof, "of some"));
	done(&snapshot);
	list[1].state = GOROUTINE_LEAKED;
	take_list(watch, list, 2, 3000);
	snapshot = snapshot_of(watch);
	assert_int_equal(snapshot.sites[0].opened_count, 2);
	assert_null(strstr(snapshot.sites[0].proof, "of some"));
	done(&snapshot);
	goroutine_watch_free(watch);
}

/* Many that wait for the same channel: it is named. */
static void one_channel(void **state)
{
	struct goroutine_watch *watch = goroutine_watch_new(PID);
	struct goroutine list[20];
	struct snapshot snapshot;

	(void)state;
	for (size_t i = 0; i < 20; i++) {
		list[i] = parked(5 + i, &waiting, 1000);
		list[i].waits_on = i == 3 ? 0x1234 : 0xc000123456;
	}
	take_list(watch, list, 20, 1000);
	snapshot = snapshot_of(watch);
	assert_string_equal(snapshot.sites[0].state, "chan receive (one channel 0xc000123456)");
	done(&snapshot);
	for (size_t i = 0; i < 10; i++)
		list[i].waits_on = 0x2000 + i;
	take_list(watch, list, 20, 1000);
	snapshot = snapshot_of(watch);
	assert_string_equal(snapshot.sites[0].state, "chan receive");
	done(&snapshot);
	goroutine_watch_free(watch);
}

/* Of those in C code or in a system call it is told what they keep. */
static void in_system_calls(void **state)
{
	struct goroutine_watch *watch = goroutine_watch_new(PID);
	struct goroutine goroutine = parked(5, &waiting, 1000);
	struct snapshot snapshot;

	(void)state;
	goroutine.state = GOROUTINE_SYSCALL;
	goroutine.reason = "syscall";
	take_list(watch, &goroutine, 1, 1000);
	snapshot = snapshot_of(watch);
	assert_string_equal(snapshot.sites[0].state, "syscall (one thread each)");
	assert_null(snapshot.sites[0].proof);
	done(&snapshot);
	goroutine_watch_free(watch);
}

/* Sites are merged into a sorted snapshot at their place. */
static void merged(void **state)
{
	struct goroutine_watch *watch = goroutine_watch_new(PID);
	struct goroutine list[] = { parked(5, &waiting, 1000), parked(6, &elsewhere, 1000) };
	struct snapshot snapshot = { .nr_sites = 3 };

	(void)state;
	snapshot.sites = calloc(3, sizeof(*snapshot.sites));
	snapshot.sites[0].key = (struct lb_site_key){ PID - 1, LB_KIND_HEAP, 9 };
	snapshot.sites[1].key = (struct lb_site_key){ PID, LB_KIND_HEAP, 9 };
	snapshot.sites[2].key = (struct lb_site_key){ PID + 1, LB_KIND_HEAP, 1 };
	take_list(watch, list, 2, 1000);
	assert_int_equal(goroutine_watch_add(watch, &snapshot), 0);
	assert_int_equal(snapshot.nr_sites, 5);
	for (size_t i = 1; i < 5; i++)
		assert_true(site_key_compare(&snapshot.sites[i - 1].key, &snapshot.sites[i].key) <
			    0);
	assert_int_equal(snapshot.sites[4].key.tgid, PID + 1);
	done(&snapshot);
	goroutine_watch_free(watch);
}

/* More sites than are kept apart: the rest is one, and nothing is miscounted. */
static void bounded(void **state)
{
	const size_t nr = 70000;
	struct goroutine_watch *watch = goroutine_watch_new(PID);
	struct goroutine *list = calloc(nr, sizeof(*list));
	struct stack *stacks = calloc(nr, sizeof(*stacks));
	struct snapshot snapshot;
	uint64_t live = 0;

	(void)state;
	assert_non_null(list);
	assert_non_null(stacks);
	for (size_t i = 0; i < nr; i++) {
		stacks[i] = (struct stack){ .id = i + 1, .nr_frames = 1, .frames = &inner };
		list[i] = parked(i + 5, &stacks[i], 1000);
	}
	take_list(watch, list, nr, 1000);
	snapshot = snapshot_of(watch);
	assert_true(snapshot.nr_sites < nr);
	for (size_t i = 0; i < snapshot.nr_sites; i++)
		live += snapshot.sites[i].live_count;
	assert_int_equal(live, nr);
	done(&snapshot);
	free(list);
	free(stacks);
	goroutine_watch_free(watch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(births_and_ends), cmocka_unit_test(reused_structure),
		cmocka_unit_test(moves),           cmocka_unit_test(unread_and_running),
		cmocka_unit_test(forgotten),       cmocka_unit_test(certain),
		cmocka_unit_test(proved_later),    cmocka_unit_test(one_channel),
		cmocka_unit_test(merged),          cmocka_unit_test(bounded),
		cmocka_unit_test(no_epochs),       cmocka_unit_test(in_system_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
