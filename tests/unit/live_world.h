/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A poll for tests of the live screen. Its strings and stacks are freed when it is done with, so that
 * whoever keeps a pointer into it is found out.
 */
#ifndef LIVE_WORLD_H
#define LIVE_WORLD_H

#include <stdlib.h>
#include <string.h>

#include "report/report.h"

#define HOSTILE   "ev\033[31mil\nna\tme\x9b\xff\xc3 \xe2\x80\xae\xc2\x9b end"
#define WIDE_NAME "\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97::make"
#define LONG_NAME                                                                                  \
	"std::map<std::string, std::vector<std::pair<unsigned long, std::shared_ptr<Session>>>>"   \
	"::emplace_hint<std::string const&, std::vector<unsigned long>>(std::string const&)"
#define MAX_SITES  40
#define MAX_FRAMES 6

/* What a site is made of. */
struct live_plan {
	enum lb_kind kind;
	enum verdict verdict;
	uint64_t count, bytes;
	double oldest_s;
	const char *functions[MAX_FRAMES]; /* innermost first */
};

static const struct live_plan live_plans[] = {
	{ LB_KIND_HEAP, VERDICT_LEAKING, 12345, 12641280, 60, { "make_buffer", "serve", "main" } },
	{ LB_KIND_GOROUTINE, VERDICT_LEAKING, 240, 240, 3700, { "main.worker", "main.main" } },
	{ LB_KIND_HEAP, VERDICT_GROWING, 99999999, 812, 10, { LONG_NAME, "serve", "main" } },
	{ LB_KIND_MMAP, VERDICT_SUSPECT, 6, 24576, -1, { HOSTILE, WIDE_NAME, "main" } },
	{ LB_KIND_HEAP, VERDICT_STABLE, 1, 1ULL << 50, 7199, { "cache_fill", "serve", "main" } },
	{ LB_KIND_TIMER, VERDICT_STABLE, 3, 3, 0.5, { NULL } },
	{ LB_KIND_HEAP, VERDICT_STABLE, 0, 0, -1, { "drained", "main" } },
};

struct live_world {
	struct finding findings[MAX_SITES];
	struct stack stacks[MAX_SITES];
	struct frame frames[MAX_SITES][MAX_FRAMES];
	struct target targets[2];
	struct snapshot snapshot;
	struct report report;
	char texts[65536]; /* all names: they go with the world */
	size_t texts_len;
};

static inline const char *world_text(struct live_world *world, const char *text)
{
	size_t at = world->texts_len, size = strlen(text) + 1;

	if (size > sizeof(world->texts) - at)
		abort();
	memcpy(world->texts + at, text, size);
	world->texts_len += size;
	return world->texts + at;
}

static inline void world_stack(struct live_world *world, size_t at, const struct live_plan *plan)
{
	struct stack *stack = &world->stacks[at];
	size_t i;

	*stack = (struct stack){ .id = at, .frames = world->frames[at] };
	for (i = 0; i < MAX_FRAMES && plan->functions[i]; i++)
		stack->frames[stack->nr_frames++] = (struct frame){
			.function = world_text(world, plan->functions[i]),
			.file = world_text(world, "/build/app/src/server.c"),
			.module = world_text(world, "/srv/app/server"),
			.address = 0x555500001000 + i,
			.line = (int)(17 + i),
			.inlined = i == 1,
		};
	if (stack->nr_frames > 0)
		world->findings[at].stack = stack;
}

static inline void world_add(struct live_world *world, const struct live_plan *plan, uint64_t more)
{
	size_t at = world->report.nr_findings++, i;
	struct finding *finding = &world->findings[at];
	uint64_t count = plan->count + (plan->count ? more : 0);

	*finding = (struct finding){
		.site = { .key = { 4242, plan->kind, at + 1 },
			  .opened_count = 2 * count,
			  .opened_bytes = 2 * plan->bytes,
			  .closed_count = count,
			  .closed_bytes = plan->bytes,
			  .live_count = count,
			  .live_bytes = plan->bytes,
			  .state = plan->kind == LB_KIND_GOROUTINE ? world_text(world, "select")
								   : NULL },
		.nr_stacks = 1,
		.verdict = plan->verdict,
		.confidence = 0.97,
		.growth_count_per_s = (double)plan->verdict * 12.5,
		.growth_bytes_per_s = (double)plan->verdict * 4321,
		.first_alert_s = plan->verdict ? 30 : -1,
		.oldest_s = plan->oldest_s,
		.residue = { .nr_judged = 12,
			     .nr_stuck = 12,
			     .kept_min = 48,
			     .kept_max = 52,
			     .undrained_s = 240 },
		.nr_history = 12,
	};
	for (i = 0; i < finding->nr_history; i++)
		finding->history[i] = plan->verdict ? (i + 1) * 1000 : 5000;
	world_stack(world, at, plan);
	world->report.verdicts[plan->verdict]++;
}

/* A report with the sites of all plans and @nr_more stable ones; each holds @more objects more. */
static inline struct live_world *world_new(uint64_t more, size_t nr_more)
{
	struct live_world *world = calloc(1, sizeof(*world));
	size_t i;

	if (!world)
		abort();
	world->targets[0] = (struct target){ .pid = 4242, .comm = "na\033me" };
	world->snapshot.stats.loss[LB_KIND_HEAP][LB_LOSS_LIVE_FULL] = 12;
	world->report = (struct report){
		.duration_s = 200.25,
		.nr_polls = 41,
		.judged = true,
		.polls_needed = 10,
		.targets = world->targets,
		.nr_targets = 1,
		.findings = world->findings,
		.snapshot = &world->snapshot,
	};
	for (i = 0; i < sizeof(live_plans) / sizeof(live_plans[0]); i++)
		world_add(world, &live_plans[i], more);
	for (i = 0; i < nr_more; i++) {
		struct live_plan plan = { LB_KIND_HEAP, VERDICT_STABLE, 2, 64, 5, { "filler" } };

		world_add(world, &plan, more);
	}
	world->report.nr_sites = world->report.nr_findings + 1000;
	return world;
}

static inline void world_free(struct live_world *world)
{
	memset(world, 0xa5, sizeof(*world));
	free(world);
}

#endif
