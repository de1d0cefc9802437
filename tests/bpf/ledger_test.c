/* SPDX-License-Identifier: GPL-2.0-only */
/* The ledger in the real kernel, without probes: every operation and every limit. */
#include "ledger_fixture.h"

static void open_then_close(void **state)
{
	struct ledger_test *skeleton = *state;
	struct lb_stats stats;

	open_thing(skeleton, LB_KIND_HEAP, 0x1000, 64, 7);
	open_thing(skeleton, LB_KIND_HEAP, 0x2000, 32, 7);
	close_thing(skeleton, LB_KIND_HEAP, 0x1000);
	close_thing(skeleton, LB_KIND_HEAP, 0x9999);

	assert_int_equal(site_of(skeleton, LB_KIND_HEAP, 7).opened, 2);
	assert_int_equal(site_of(skeleton, LB_KIND_HEAP, 7).opened_weight, 96);
	assert_int_equal(site_of(skeleton, LB_KIND_HEAP, 7).closed, 1);
	assert_int_equal(site_of(skeleton, LB_KIND_HEAP, 7).closed_weight, 64);
	stats = stats_of(skeleton);
	assert_int_equal(stats.count[LB_KIND_HEAP][LB_COUNT_CLOSES], 2);
	assert_int_equal(stats.count[LB_KIND_HEAP][LB_COUNT_UNMATCHED], 1);
}

static void kinds_do_not_mix(void **state)
{
	struct ledger_test *skeleton = *state;

	open_thing(skeleton, LB_KIND_HEAP, 0x1000, 64, 7);
	close_thing(skeleton, LB_KIND_MMAP, 0x1000);
	assert_int_equal(site_of(skeleton, LB_KIND_HEAP, 7).closed, 0);
	assert_int_equal(site_of(skeleton, LB_KIND_MMAP, 7).opened, 0);
}

/* Goroutine @id begins to wait for @reason at stack 7, and goes on after so many microseconds. */
static void wait_once(struct ledger_test *skeleton, __u64 id, __u64 reason, useconds_t us)
{
	struct request request = { .operation = OP_OPEN,
				   .kind = LB_KIND_GOPARK,
				   .id = id,
				   .stack = 7,
				   .nr_frames = 3,
				   .wait_reason = reason };

	assert_int_equal(run(skeleton->progs.run_request, &request, sizeof(request)), 0);
	usleep(us);
	close_thing(skeleton, LB_KIND_GOPARK, id);
}

/* The sum of waits, the longest of those that are over, and what the first one waited for. */
static void waits_are_measured(void **state)
{
	struct ledger_test *skeleton = *state;
	struct lb_site first, site;

	wait_once(skeleton, 0x1000, 14, 20000);
	first = site_of(skeleton, LB_KIND_GOPARK, 7);
	assert_true(first.longest_ns >= 20000000 && first.longest_ns == first.closed_weight);
	wait_once(skeleton, 0x2000, 15, 1000);
	wait_once(skeleton, 0x1000, 15, 60000);
	wait_once(skeleton, 0x1000, 15, 1000);
	site = site_of(skeleton, LB_KIND_GOPARK, 7);
	assert_true(site.longest_ns >= 60000000);
	assert_true(site.closed_weight >= first.closed_weight + site.longest_ns + 2000000);
	assert_int_equal(site.wait_reason, 14);
	assert_int_equal(site.closed, 4);
	open_thing(skeleton, LB_KIND_HEAP, 0x1000, 64, 7);
	close_thing(skeleton, LB_KIND_HEAP, 0x1000);
	site = site_of(skeleton, LB_KIND_HEAP, 7);
	assert_true(site.opened_weight == 64 && site.closed_weight == 64);
	assert_int_equal(site.untracked_weight, 0);
}

/* An id that is opened twice was closed unseen: nothing may stay outstanding of the first. */
static void reopened_id_is_closed_first(void **state)
{
	struct ledger_test *skeleton = *state;
	struct lb_stats stats;

	open_thing(skeleton, LB_KIND_HEAP, 0x1000, 64, 7);
	open_thing(skeleton, LB_KIND_HEAP, 0x1000, 10, 8);
	assert_int_equal(site_of(skeleton, LB_KIND_HEAP, 7).closed, 1);
	assert_int_equal(site_of(skeleton, LB_KIND_HEAP, 7).closed_weight, 64);
	assert_int_equal(site_of(skeleton, LB_KIND_HEAP, 8).closed, 0);
	stats = stats_of(skeleton);
	assert_int_equal(stats.count[LB_KIND_HEAP][LB_COUNT_REPLACED], 1);
	assert_int_equal(stats.count[LB_KIND_HEAP][LB_COUNT_CLOSES], 1);
}

/* What does not fit is counted as lost, and the site says that it was not followed. */
static void full_live_map_is_counted(void **state)
{
	struct ledger_test *skeleton = *state;
	struct lb_site site;
	__u64 lost;

	for (__u64 i = 1; i <= MAX_LIVE + 50; i++)
		open_thing(skeleton, LB_KIND_HEAP, i * 16, 8, 7);
	site = site_of(skeleton, LB_KIND_HEAP, 7);
	lost = stats_of(skeleton).loss[LB_KIND_HEAP][LB_LOSS_LIVE_FULL];
	assert_int_equal(lost, 50);
	assert_int_equal(site.opened, MAX_LIVE + 50);
	assert_int_equal(site.untracked, 50);
	for (__u64 i = 1; i <= MAX_LIVE + 50; i++)
		close_thing(skeleton, LB_KIND_HEAP, i * 16);
	site = site_of(skeleton, LB_KIND_HEAP, 7);
	assert_int_equal(site.closed, site.opened - site.untracked);
	assert_int_equal(site.closed_weight, site.opened_weight - site.untracked_weight);
	assert_int_equal(stats_of(skeleton).count[LB_KIND_HEAP][LB_COUNT_UNMATCHED], 50);
}

static void full_sites_are_counted(void **state)
{
	struct ledger_test *skeleton = *state;
	__u64 opened = 0;

	for (__u64 i = 1; i <= MAX_SITES + 10; i++)
		open_thing(skeleton, LB_KIND_HEAP, i * 16, 8, 100 + i);
	for (__u64 i = 1; i <= MAX_SITES + 10; i++)
		opened += site_of(skeleton, LB_KIND_HEAP, 100 + i).opened;
	assert_int_equal(opened, MAX_SITES);
	assert_int_equal(stats_of(skeleton).loss[LB_KIND_HEAP][LB_LOSS_SITES_FULL], 10);
}

/* Frames are stored once per stack, in order; a full frames array is told, and loses no event. */
static void frames_are_stored(void **state)
{
	struct ledger_test *skeleton = *state;
	struct lb_stack stack;
	__u64 id = 500, frame;

	open_thing(skeleton, LB_KIND_HEAP, 16, 8, id);
	open_thing(skeleton, LB_KIND_HEAP, 32, 8, id);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skeleton->maps.stacks), &id, &stack), 0);
	assert_int_equal(stack.nr_frames, 3);
	for (__u32 i = 0; i < 3; i++) {
		__u32 index = stack.offset + i;

		assert_int_equal(
			bpf_map_lookup_elem(bpf_map__fd(skeleton->maps.frames), &index, &frame), 0);
		assert_int_equal(frame, 500 + i);
	}
	assert_int_equal(skeleton->bss->control.nr_frames, 3);
	skeleton->bss->control.nr_frames = MAX_SITES * 3 - 1;
	open_thing(skeleton, LB_KIND_HEAP, 48, 8, 600);
	assert_int_equal(stats_of(skeleton).defect[LB_DEFECT_STACK_UNSTORED], 1);
	assert_int_equal(site_of(skeleton, LB_KIND_HEAP, 600).opened, 1);
}

/* Thinning stops following half of the blocks; the rest is still matched. */
static void thinning_keeps_the_law(void **state)
{
	struct ledger_test *skeleton = *state;
	struct lb_walk_request request = { .shift = 1 };
	struct lb_site site;
	struct lb_stats stats;

	for (__u64 i = 1; i <= 200; i++)
		open_thing(skeleton, LB_KIND_HEAP, i * 16, 8, 7);
	run(skeleton->progs.ledger_thin, &request, sizeof(request));
	assert_in_range(request.done, 60, 140);
	site = site_of(skeleton, LB_KIND_HEAP, 7);
	assert_int_equal(site.untracked, request.done);
	for (__u64 i = 201; i <= 400; i++)
		open_thing(skeleton, LB_KIND_HEAP, i * 16, 8, 7);
	for (__u64 i = 1; i <= 400; i++)
		close_thing(skeleton, LB_KIND_HEAP, i * 16);
	site = site_of(skeleton, LB_KIND_HEAP, 7);
	stats = stats_of(skeleton);
	assert_int_equal(site.opened, 400);
	assert_int_equal(site.closed, site.opened - site.untracked);
	assert_int_equal(stats.count[LB_KIND_HEAP][LB_COUNT_SAMPLED_OUT], site.untracked);
	assert_int_equal(stats.count[LB_KIND_HEAP][LB_COUNT_CLOSES],
			 site.closed + stats.count[LB_KIND_HEAP][LB_COUNT_UNMATCHED]);
}

static void survivors_by_epoch(void **state)
{
	struct ledger_test *skeleton = *state;
	struct lb_walk_request request = { .epoch_ns = 1 };
	struct lb_live_key key = { .tgid = (__u32)getpid(), .kind = LB_KIND_HEAP, .id = 16 };
	struct lb_survivors found;
	struct lb_live entry;

	open_thing(skeleton, LB_KIND_HEAP, 16, 8, 7);
	open_thing(skeleton, LB_KIND_HEAP, 32, 8, 7);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skeleton->maps.live), &key, &entry), 0);
	request.epochs_ns = entry.birth_ns - 3;
	request.epoch_ns = 2;
	run(skeleton->progs.ledger_survivors, &request, sizeof(request));
	assert_int_equal(
		bpf_map_lookup_elem(bpf_map__fd(skeleton->maps.survivors), &entry.site, &found), 0);
	assert_int_equal(found.oldest_ns, entry.birth_ns);
	assert_int_equal(found.count[0], 0);
	assert_int_equal(found.count[1], 1); /* the second block was born later */
}

static void closing_a_process_keeps_the_law(void **state)
{
	struct ledger_test *skeleton = *state;
	struct lb_walk_request other = { .tgid = 1, .before_ns = ~0ULL };
	struct lb_walk_request mine = { .tgid = (__u32)getpid(), .before_ns = ~0ULL };
	struct lb_walk_request early = { .tgid = (__u32)getpid(), .before_ns = 1 };

	open_thing(skeleton, LB_KIND_HEAP, 16, 8, 7);
	open_thing(skeleton, LB_KIND_MMAP, PAGE, PAGE, 7);
	run(skeleton->progs.ledger_close_process, &other, sizeof(other));
	run(skeleton->progs.ledger_close_process, &early, sizeof(early));
	assert_int_equal(other.done + early.done, 0);
	run(skeleton->progs.ledger_close_process, &mine, sizeof(mine));
	assert_int_equal(mine.done, 2);
	assert_int_equal(site_of(skeleton, LB_KIND_HEAP, 7).closed, 1);
	assert_int_equal(site_of(skeleton, LB_KIND_MMAP, 7).closed_weight, PAGE);
	assert_int_equal(stats_of(skeleton).count[LB_KIND_HEAP][LB_COUNT_CLOSES], 1);
}

/* --- ranges: one of 8 pages at page 100, cut in every way --- */

struct cut_case {
	__u64 first_page, nr_pages; /* of the cut */
	__u64 closed, closed_pages;
	__u64 partial;
};

static const struct cut_case cut_cases[] = {
	{ 100, 8, 1, 8, 0 }, /* all of it */
	{ 90, 30, 1, 8, 0 }, /* more than all */
	{ 100, 1, 0, 1, 1 }, /* the first page */
	{ 107, 1, 0, 1, 1 }, /* the last page */
	{ 103, 2, 0, 2, 1 }, /* the middle */
	{ 98, 4, 0, 2, 1 },  /* over the beginning */
	{ 105, 9, 0, 3, 1 }, /* over the end */
	{ 108, 4, 0, 0, 0 }, /* behind it */
	{ 96, 4, 0, 0, 0 },  /* before it */
};

static void check_cut(void **state, const struct cut_case *cut)
{
	struct ledger_test *skeleton = *state;
	struct lb_site site;
	struct lb_stats stats;

	open_thing(skeleton, LB_KIND_MMAP, 100 * PAGE, 8 * PAGE, 7);
	close_range_of(skeleton, cut->first_page * PAGE, cut->nr_pages * PAGE);
	site = site_of(skeleton, LB_KIND_MMAP, 7);
	stats = stats_of(skeleton);
	assert_int_equal(site.closed, cut->closed);
	assert_int_equal(site.closed_weight, cut->closed_pages * PAGE);
	assert_int_equal(stats.count[LB_KIND_MMAP][LB_COUNT_PARTIAL], cut->partial);
	assert_int_equal(stats.count[LB_KIND_MMAP][LB_COUNT_UNMATCHED],
			 !cut->closed && !cut->partial);
	close_range_of(skeleton, 0, 1000 * PAGE); /* the rest */
	site = site_of(skeleton, LB_KIND_MMAP, 7);
	assert_int_equal(site.closed, 1);
	assert_int_equal(site.closed_weight, 8 * PAGE);
	stats = stats_of(skeleton);
	assert_int_equal(stats.count[LB_KIND_MMAP][LB_COUNT_CLOSES],
			 site.closed + stats.count[LB_KIND_MMAP][LB_COUNT_UNMATCHED] +
				 stats.count[LB_KIND_MMAP][LB_COUNT_PARTIAL]);
}

static void ranges_are_cut(void **state)
{
	for (size_t i = 0; i < sizeof(cut_cases) / sizeof(cut_cases[0]); i++) {
		check_cut(state, &cut_cases[i]);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

static void one_unmap_closes_many(void **state)
{
	struct ledger_test *skeleton = *state;

	for (__u64 i = 0; i < 10; i++)
		open_thing(skeleton, LB_KIND_MMAP, (100 + i) * PAGE, PAGE, 7);
	close_range_of(skeleton, 101 * PAGE, 8 * PAGE);
	assert_int_equal(site_of(skeleton, LB_KIND_MMAP, 7).closed, 8);
}

/* What takes the place of ranges closes them; where none was, that is not a close without a match. */
static void what_is_replaced_is_closed(void **state)
{
	struct ledger_test *skeleton = *state;
	struct request request = { .operation = OP_CUT_RANGES };
	struct lb_stats stats;

	open_thing(skeleton, LB_KIND_MMAP, 100 * PAGE, 8 * PAGE, 7);
	request.id = 50 * PAGE;
	request.weight = 50 * PAGE;
	assert_int_equal(run(skeleton->progs.run_request, &request, sizeof(request)), 0);
	request.id = 104 * PAGE;
	request.weight = 2 * PAGE;
	assert_int_equal(run(skeleton->progs.run_request, &request, sizeof(request)), 1);
	assert_int_equal(site_of(skeleton, LB_KIND_MMAP, 7).closed_weight, 2 * PAGE);
	stats = stats_of(skeleton);
	assert_int_equal(stats.count[LB_KIND_MMAP][LB_COUNT_CLOSES], 1);
	assert_int_equal(stats.count[LB_KIND_MMAP][LB_COUNT_PARTIAL], 1);
	assert_int_equal(stats.count[LB_KIND_MMAP][LB_COUNT_UNMATCHED], 0);
}

/* The rest behind a hole finds the map full: its bytes are not followed any more, its object is. */
static void rest_without_room_keeps_the_law(void **state)
{
	struct ledger_test *skeleton = *state;
	struct lb_site site;

	for (__u64 i = 0; i < MAX_RANGES; i++)
		open_thing(skeleton, LB_KIND_MMAP, (100 + 10 * i) * PAGE, 8 * PAGE, 7);
	close_range_of(skeleton, 103 * PAGE, 2 * PAGE);
	site = site_of(skeleton, LB_KIND_MMAP, 7);
	assert_int_equal(site.untracked, 0);
	assert_int_equal(site.untracked_weight, 3 * PAGE);
	assert_int_equal(stats_of(skeleton).loss[LB_KIND_MMAP][LB_LOSS_LIVE_FULL], 0);
	close_range_of(skeleton, 0, 1000 * PAGE);
	site = site_of(skeleton, LB_KIND_MMAP, 7);
	assert_int_equal(site.closed, MAX_RANGES);
	assert_int_equal(site.closed_weight + site.untracked_weight, site.opened_weight);
}

/* Sampling makes room among blocks; mappings, which are cut in parts, are all followed. */
static void mappings_are_not_sampled(void **state)
{
	struct ledger_test *skeleton = *state;

	skeleton->bss->control.sample_shift = 8;
	for (__u64 i = 0; i < MAX_RANGES; i++) {
		open_thing(skeleton, LB_KIND_MMAP, (100 + i) * PAGE, PAGE, 7);
		open_thing(skeleton, LB_KIND_HEAP, (100 + i) * PAGE, PAGE, 7);
	}
	assert_int_equal(site_of(skeleton, LB_KIND_MMAP, 7).untracked, 0);
	assert_true(site_of(skeleton, LB_KIND_HEAP, 7).untracked > 0);
	close_range_of(skeleton, 0, 1000 * PAGE);
	assert_int_equal(site_of(skeleton, LB_KIND_MMAP, 7).closed, MAX_RANGES);
}

/* --- walks over a frame-pointer chain that the test lays out --- */

#define CHAIN_FRAMES 200

/* frames[i] = { address of frames[i + 1], return address i } */
static void lay_chain(__u64 (*frames)[2], size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		frames[i][0] = (__u64)(uintptr_t)frames[i + 1];
		frames[i][1] = 0x400000 + i;
	}
	frames[nr][0] = 0;
	frames[nr][1] = 0;
}

static struct request capture(struct ledger_test *skeleton, __u64 (*frames)[2])
{
	struct request request = {
		.operation = OP_CAPTURE,
		.pc = 0x300000,
		.sp = (__u64)(uintptr_t)frames,
		.bp = (__u64)(uintptr_t)frames,
	};

	assert_int_equal(run(skeleton->progs.run_request, &request, sizeof(request)), 0);
	return request;
}

static void walks_follow_the_chain(void **state)
{
	static __u64 frames[CHAIN_FRAMES + 1][2];
	struct request short_walk, again, other, deep;

	lay_chain(frames, 20);
	short_walk = capture(*state, frames);
	again = capture(*state, frames);
	assert_int_equal(short_walk.ret_nr_frames, 21);
	assert_int_equal(short_walk.ret_flags, 0);
	assert_int_equal(short_walk.ret_stack, again.ret_stack);
	frames[19][1]++;
	other = capture(*state, frames);
	assert_int_not_equal(short_walk.ret_stack, other.ret_stack);
	lay_chain(frames, CHAIN_FRAMES);
	deep = capture(*state, frames);
	assert_int_equal(deep.ret_nr_frames, LB_MAX_FRAMES);
	assert_int_equal(deep.ret_flags, LB_STACK_TRUNCATED);
}

/* Chains that go down, are misaligned or leave the memory end the walk. */
static void walks_end_at_damage(void **state)
{
	static __u64 frames[CHAIN_FRAMES + 1][2];

	lay_chain(frames, 20);
	frames[4][0] = (__u64)(uintptr_t)frames[2];
	assert_int_equal(capture(*state, frames).ret_nr_frames, 6);
	lay_chain(frames, 20);
	frames[4][0]++;
	assert_int_equal(capture(*state, frames).ret_nr_frames, 6);
	lay_chain(frames, 20);
	frames[4][1] = 12;
	assert_int_equal(capture(*state, frames).ret_nr_frames, 5);
}

/* At the end of a mapping the window cannot be read whole: frames are read one by one. */
static void walks_reach_the_end_of_memory(void **state)
{
	char *memory =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	__u64(*frames)[2];

	assert_ptr_not_equal(memory, MAP_FAILED);
	assert_int_equal(munmap(memory + PAGE, PAGE), 0);
	frames = (__u64(*)[2])(void *)(memory + PAGE - 6 * sizeof(*frames));
	lay_chain(frames, 5);
	assert_int_equal(capture(*state, frames).ret_nr_frames, 6);
	munmap(memory, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(open_then_close, setup, teardown),
		cmocka_unit_test_setup_teardown(kinds_do_not_mix, setup, teardown),
		cmocka_unit_test_setup_teardown(waits_are_measured, setup, teardown),
		cmocka_unit_test_setup_teardown(reopened_id_is_closed_first, setup, teardown),
		cmocka_unit_test_setup_teardown(full_live_map_is_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(full_sites_are_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(frames_are_stored, setup, teardown),
		cmocka_unit_test_setup_teardown(thinning_keeps_the_law, setup, teardown),
		cmocka_unit_test_setup_teardown(survivors_by_epoch, setup, teardown),
		cmocka_unit_test_setup_teardown(closing_a_process_keeps_the_law, setup, teardown),
		cmocka_unit_test_setup_teardown(ranges_are_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(one_unmap_closes_many, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_replaced_is_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(rest_without_room_keeps_the_law, setup, teardown),
		cmocka_unit_test_setup_teardown(mappings_are_not_sampled, setup, teardown),
		cmocka_unit_test_setup_teardown(walks_follow_the_chain, setup, teardown),
		cmocka_unit_test_setup_teardown(walks_end_at_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(walks_reach_the_end_of_memory, setup, teardown),
	};

	if (geteuid()) {
		printf("skipped: loading BPF programs needs root\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
