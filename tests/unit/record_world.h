/* SPDX-License-Identifier: GPL-2.0-only */
/* A watch of made-up sites, to be recorded by the tests of record/. */
#ifndef RECORD_WORLD_H
#define RECORD_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "record/record.h"

#define MAX_TEST_SITES 64
#define START_NS       1000000000ULL
#define POLL_NS        500000000ULL

/* Sites that live through a watch. */
struct world {
	struct site_count sites[MAX_TEST_SITES];
	uint32_t cohorts[MAX_TEST_SITES][LB_MAX_EPOCHS];
	size_t nr_sites;
	struct snapshot snapshot;
	struct target targets[2];
	uint32_t random;
	uint64_t base; /* where the program is mapped */
	struct code_mapping mapping;
};

static char allocator[] = "libc.so.6", exe[] = "/bin/server", version[] = "go1.23";
static char *allocators[] = { allocator };

static inline uint32_t draw(struct world *world, uint32_t below)
{
	world->random = world->random * 1664525 + 1013904223;
	return (world->random >> 8) % below;
}

static inline void world_begin(struct world *world, uint32_t seed)
{
	*world = (struct world){
		.random = seed,
		.base = 0x550000000000ULL + 0x1000ULL * seed,
		.targets = { { .pid = 7, .start_ticks = 99, .comm = "server", .exe = exe },
			     { .pid = 9, .comm = "go", .runtime = RUNTIME_GO } },
	};
	world->targets[0].allocators = allocators;
	world->targets[0].nr_allocators = 1;
	world->targets[1].go_version = version;
	world->mapping = (struct code_mapping){
		.start = world->base,
		.end = world->base + 0x10000,
		.build_id = "c0ffee",
	};
}

static inline struct record_header header_of(void)
{
	return (struct record_header){
		.program = "leakbpf test",
		.host = "here",
		.boot_id = "0-1-2",
		.attach_mode = "session",
		.start_ns = START_NS,
		.start_wall_ns = 5,
		.interval_ns = POLL_NS,
		.min_objects = 5,
		.horizon_ns = 8,
		.min_bytes_per_day = 9,
	};
}

static inline int compare_sites(const void *a, const void *b)
{
	return site_key_compare(&((const struct site_count *)a)->key,
				&((const struct site_count *)b)->key);
}

static inline void add_site(struct world *world)
{
	struct site_count site = {
		.key = { .tgid = 7 + 2 * draw(world, 2),
			 .kind = draw(world, LB_KIND_MAX),
			 .stack = ((uint64_t)draw(world, 1U << 24) << 40) + draw(world, 1U << 24) +
				  1 },
		.group = draw(world, 5),
	};

	for (size_t i = 0; i < world->nr_sites; i++)
		if (site_key_compare(&world->sites[i].key, &site.key) == 0)
			return;
	world->sites[world->nr_sites++] = site;
	qsort(world->sites, world->nr_sites, sizeof(site), compare_sites);
}

static inline void remove_site(struct world *world, size_t at)
{
	memmove(&world->sites[at], &world->sites[at + 1],
		(--world->nr_sites - at) * sizeof(world->sites[0]));
}

static inline void change_site(struct world *world, struct site_count *site)
{
	uint32_t opened = draw(world, 1000), closed = draw(world, opened + 1);

	site->opened_count += opened;
	site->opened_bytes += opened * 33ULL;
	site->closed_count += closed;
	site->closed_bytes += closed * 33ULL;
	site->live_count = site->opened_count - site->closed_count;
	site->live_bytes = site->opened_bytes - site->closed_bytes;
	site->estimated = draw(world, 10) == 0;
	site->ended = draw(world, 10) == 0;
	if (site->estimated)
		site->live_bytes += draw(world, 100);
	site->longest_ns += draw(world, 2) ? opened : 0;
	if (site->key.kind == LB_KIND_GOROUTINE)
		site->state = draw(world, 2) ? "chan receive" : "select";
	site->proof = draw(world, 20) == 0 ? "nobody can close it" : NULL;
}

/* Ages and generations of some polls. */
static inline void age_sites(struct world *world, unsigned int poll)
{
	struct epochs *epochs = &world->snapshot.epochs;
	bool counted = poll % 3 != 1, aged = counted || poll % 2;

	epochs->start_ns = START_NS;
	epochs->length_ns = poll > 16 ? 2 * POLL_NS : POLL_NS;
	epochs->nr = counted ? 1 + poll % LB_MAX_EPOCHS : 0;
	for (size_t i = 0; i < world->nr_sites; i++) {
		struct site_count *site = &world->sites[i];

		site->oldest_ns = aged ? START_NS + site->key.stack % POLL_NS : 0;
		site->cohorts =
			counted && site->key.kind != LB_KIND_GOROUTINE ? world->cohorts[i] : NULL;
		for (unsigned int k = 0; k < LB_MAX_EPOCHS; k++)
			world->cohorts[i][k] = k < epochs->nr ? draw(world, 3) : 0;
	}
}

static inline void world_step(struct world *world, unsigned int poll)
{
	while (world->nr_sites < 20 + poll && world->nr_sites < MAX_TEST_SITES)
		add_site(world);
	if (poll > 3)
		remove_site(world, draw(world, (uint32_t)world->nr_sites));
	for (size_t i = 0; i < world->nr_sites; i++)
		if (draw(world, 3) == 0)
			change_site(world, &world->sites[i]);
	age_sites(world, poll);
	world->targets[1].exited = poll > 5;
	world->snapshot.time_ns = START_NS + poll * POLL_NS;
	world->snapshot.stats.count[LB_KIND_HEAP][LB_COUNT_HITS] += draw(world, 10000);
	world->snapshot.stats.loss[LB_KIND_MMAP][LB_LOSS_USER_READ] = poll / 4;
	world->snapshot.opened[LB_KIND_HEAP] += draw(world, 10000);
	world->snapshot.sample_shift = poll / 10;
	world->snapshot.nr_live = draw(world, 1000);
	world->snapshot.sites = world->sites;
	world->snapshot.nr_sites = world->nr_sites;
}

static inline struct record_poll poll_of(const struct world *world)
{
	return (struct record_poll){
		.snapshot = &world->snapshot,
		.targets = world->targets,
		.nr_targets = 2,
		.nr_missed_children = 3,
		.poll_ns = 1000,
	};
}

static const char *function_of(uint64_t id)
{
	static const char *const names[] = { "grow", "cache_put", "handle<int>", NULL };

	return names[id % 4];
}

/* A stack that can be told from its id. */
static inline struct stack stack_of(const struct world *world, uint64_t id, struct frame frames[2])
{
	frames[0] = (struct frame){
		.function = function_of(id),
		.file = "server.c",
		.module = "/bin/server",
		.mapping = &world->mapping,
		.address = world->base + id % 0x10000,
		.offset = id % 0x10000,
		.line = (int)(id % 100),
		.inlined = id & 1,
	};
	frames[1] = (struct frame){ .address = id };
	return (struct stack){ .id = id, .flags = id & 3, .nr_frames = 2, .frames = frames };
}

static inline void add_stacks(struct record_writer *writer, const struct world *world)
{
	for (size_t i = 0; i < world->nr_sites; i++) {
		const struct lb_site_key *key = &world->sites[i].key;
		struct frame frames[2];
		struct stack stack = stack_of(world, key->stack, frames);

		if (record_wants_stack(writer, key))
			assert_int_equal(record_add_stack(writer, key, &stack), 0);
		assert_false(record_wants_stack(writer, key));
	}
}

static inline void append(struct record_writer *writer, const struct world *world)
{
	struct record_poll poll = poll_of(world);

	add_stacks(writer, world);
	assert_int_equal(record_append(writer, &poll), 0);
}

static inline int new_file(void)
{
	int fd = memfd_create("recording", 0);

	assert_true(fd >= 0);
	return fd;
}

static inline struct record_writer *begin(int fd)
{
	struct record_header header = header_of();
	struct record_writer *writer;

	assert_int_equal(record_create(dup(fd), &header, &writer), 0);
	return writer;
}

#endif
