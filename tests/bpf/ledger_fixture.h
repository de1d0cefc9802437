/* SPDX-License-Identifier: GPL-2.0-only */
/* A loaded ledger for tests, without probes, and its operations. */
#ifndef LEDGER_FIXTURE_H
#define LEDGER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model.h"

#include "ledger_test.skel.h"

#define MAX_LIVE   256
#define MAX_RANGES 16
#define MAX_SITES  64
#define PAGE       4096ULL

enum operation { OP_OPEN, OP_CLOSE, OP_CLOSE_RANGE, OP_CAPTURE, OP_CUT_RANGES };

/* struct request of ledger_test.bpf.c */
struct request {
	__u32 operation;
	__u32 kind;
	__u64 id;
	__u64 weight;
	__u64 stack;
	__u64 nr_frames;
	__u64 pc, sp, bp;
	__u64 wait_reason;
	__u64 ret_stack;
	__u64 ret_nr_frames;
	__u64 ret_flags;
};

static int run(const struct bpf_program *program, void *context, size_t size)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = context, .ctx_size_in = (__u32)size);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(program), &options), 0);
	return (int)options.retval;
}

static int open_thing(struct ledger_test *skeleton, __u32 kind, __u64 id, __u64 weight, __u64 stack)
{
	struct request request = { .operation = OP_OPEN,
				   .kind = kind,
				   .id = id,
				   .weight = weight,
				   .stack = stack,
				   .nr_frames = 3 };

	return run(skeleton->progs.run_request, &request, sizeof(request));
}

static void close_thing(struct ledger_test *skeleton, __u32 kind, __u64 id)
{
	struct request request = { .operation = OP_CLOSE, .kind = kind, .id = id };

	assert_int_equal(run(skeleton->progs.run_request, &request, sizeof(request)), 0);
}

static void close_range_of(struct ledger_test *skeleton, __u64 start, __u64 bytes)
{
	struct request request = { .operation = OP_CLOSE_RANGE, .id = start, .weight = bytes };

	assert_int_equal(run(skeleton->progs.run_request, &request, sizeof(request)), 0);
}

/* The site of a stack; all zero when there is none. */
static struct lb_site site_of(struct ledger_test *skeleton, __u32 kind, __u64 stack)
{
	struct lb_site_key key = { .tgid = (__u32)getpid(), .kind = kind, .stack = stack };
	struct lb_site site = { 0 };
	__u32 slot;

	if (bpf_map_lookup_elem(bpf_map__fd(skeleton->maps.site_index), &key, &slot))
		return site;
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skeleton->maps.sites), &slot, &site), 0);
	return site;
}

static struct lb_stats stats_of(struct ledger_test *skeleton)
{
	struct lb_stats cpus[256] = { 0 }, sum = { 0 };
	__u32 zero = 0;

	assert_in_range(libbpf_num_possible_cpus(), 1, 256);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skeleton->maps.stats), &zero, cpus), 0);
	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
		for (size_t i = 0; i < sizeof(sum) / 8; i++)
			((__u64 *)&sum)[i] += ((__u64 *)&cpus[cpu])[i];
	return sum;
}

static int setup(void **state)
{
	struct ledger_test *skeleton = ledger_test__open();
	struct bpf_program *program;

	if (!skeleton)
		return -1;
	bpf_object__for_each_program(program, skeleton->obj) bpf_program__set_autoload(
		program, !strcmp(bpf_program__section_name(program), "syscall"));
	bpf_map__set_max_entries(skeleton->maps.live, MAX_LIVE);
	bpf_map__set_max_entries(skeleton->maps.ranges, MAX_RANGES);
	bpf_map__set_max_entries(skeleton->maps.sites, MAX_SITES);
	bpf_map__set_max_entries(skeleton->maps.frames, MAX_SITES * 3);
	skeleton->rodata->config.max_sites = MAX_SITES;
	skeleton->rodata->config.max_frames = MAX_SITES * 3;
	skeleton->rodata->config.page_bytes = PAGE;
	if (ledger_test__load(skeleton))
		return -1;
	*state = skeleton;
	return 0;
}

static int teardown(void **state)
{
	ledger_test__destroy(*state);
	return 0;
}

#endif
