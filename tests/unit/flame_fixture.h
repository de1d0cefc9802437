/* SPDX-License-Identifier: GPL-2.0-only */
/* A few stacks for the tests of flame graphs. */
#ifndef FLAME_FIXTURE_H
#define FLAME_FIXTURE_H

#include "base/base.h"
#include "report/report.h"

static struct frame frames_a[] = {
	{ .function = "leak", .file = "/src/app.c", .line = 17 },
	{ .function = "work", .file = "/src/app.c", .line = 30 },
	{ .function = "main", .file = "/src/app.c", .line = 90 },
};
static struct frame frames_b[] = {
	{ .function = "leak", .file = "/src/app.c", .line = 21 },
	{ .function = "work", .file = "/src/app.c", .line = 30 },
	{ .function = "main", .file = "/src/app.c", .line = 95 },
};
static struct frame frames_c[] = {
	{ .function = "cache", .file = "/src/cache.c", .line = 5 },
	{ .function = "main", .file = "/src/app.c", .line = 99 },
};
static struct frame frames_d[] = {
	{ .module = "/usr/bin/app", .offset = 0x1234 },
	{ .module = "/usr/bin/app", .offset = 0x99 },
};

static const struct stack stack_a = { .nr_frames = 3, .frames = frames_a };
static const struct stack stack_b = { .nr_frames = 3, .frames = frames_b };
static const struct stack stack_c = { .nr_frames = 2, .frames = frames_c };
static const struct stack stack_d = {
	.nr_frames = 2,
	.frames = frames_d,
	.flags = LB_STACK_TRUNCATED,
};

static inline struct flame_stack bytes_at(const struct stack *stack, uint64_t bytes,
					  enum verdict verdict)
{
	return (struct flame_stack){
		.stack = stack,
		.process = "app (PID 7)",
		.after = bytes,
		.count = 1,
		.verdict = verdict,
	};
}

static inline struct flame_input input_of(const struct flame_stack *stacks, size_t nr)
{
	return (struct flame_input){
		.title = "title",
		.subtitle = "subtitle",
		.note = "",
		.stacks = stacks,
		.nr_stacks = nr,
	};
}

#endif
