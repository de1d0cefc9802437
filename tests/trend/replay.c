/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Replays series of one site through trend/ and tells its verdicts. Standard input, in the byte
 * order of the machine, for each series:
 *   u32 seconds from poll to poll, u32 number of polls; then for each poll
 *   u64 opened, u64 closed, u32 number of changes, and for each {u32 birth poll, u32 survivors}.
 * Standard output, a line for each series: the verdicts after marks[] polls, the highest ones until
 * then, and the first poll with at least growing and with leaking (0: none).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "trend/trend.h"

#define START_NS  (1000 * NSEC_PER_SEC)
#define MAX_POLLS 10000
#define MAX_STEP  3600

static const uint32_t marks[] = { 10, 20, 50, 100, 200 };

struct series_header {
	uint32_t step_s, nr_polls;
};

struct change {
	uint32_t birth, survivors;
};

/* One series on its way through the detector. */
struct replay {
	struct trend *trend;
	uint64_t step_ns;
	uint32_t nr_polls;
	uint32_t survivors[MAX_POLLS]; /* by the poll before which they were born */
	uint32_t cohorts[LB_MAX_EPOCHS];
	struct site_count site;
	enum verdict now, ever;
	uint32_t first[VERDICT_LEAKING + 1]; /* poll with at least that verdict */
	enum verdict after[ARRAY_SIZE(marks)], ever_after[ARRAY_SIZE(marks)];
};

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "replay: %s\n", what);
	exit(1);
}

static void read_exactly(void *data, size_t len)
{
	must(fread(data, len, 1, stdin) == 1, "the input ends within a series");
}

/* Sums up the survivors of each epoch; those of one poll were born half a step before it. */
static void fold(struct replay *replay, const struct epochs *epochs, uint32_t poll)
{
	uint32_t at;

	memset(replay->cohorts, 0, sizeof(replay->cohorts));
	for (at = 0; at <= poll; at++) {
		uint64_t birth_ns = START_NS + at * replay->step_ns + replay->step_ns / 2;
		uint64_t epoch = birth_ns >= epochs->start_ns
					 ? (birth_ns - epochs->start_ns) / epochs->length_ns
					 : LB_MAX_EPOCHS;

		if (epoch < epochs->nr)
			replay->cohorts[epoch] += replay->survivors[at];
	}
}

static enum verdict worst(const struct trend *trend)
{
	size_t counts[VERDICT_LEAKING + 1];
	enum verdict verdict = VERDICT_LEAKING;

	trend_count(trend, counts);
	while (verdict > VERDICT_STABLE && !counts[verdict])
		verdict--;
	return verdict;
}

static void push(struct replay *replay, uint64_t time_ns, uint32_t poll)
{
	struct epochs epochs = trend_epochs(replay->trend, time_ns);
	struct snapshot snapshot = {
		.time_ns = time_ns, .sites = &replay->site, .nr_sites = 1, .epochs = epochs
	};

	replay->site.cohorts = NULL;
	if (epochs.nr > 0) {
		fold(replay, &epochs, poll);
		replay->site.cohorts = replay->cohorts;
	}
	must(trend_push(replay->trend, &snapshot) == 0, "out of memory");
	replay->now = worst(replay->trend);
}

static void read_poll(struct replay *replay)
{
	uint64_t counts[2];
	uint32_t nr_changes;

	read_exactly(counts, sizeof(counts));
	replay->site.opened_count = counts[0];
	replay->site.closed_count = counts[1];
	replay->site.live_count = counts[0] - counts[1];
	replay->site.live_bytes = replay->site.live_count;
	read_exactly(&nr_changes, sizeof(nr_changes));
	while (nr_changes-- > 0) {
		struct change change;

		read_exactly(&change, sizeof(change));
		must(change.birth < replay->nr_polls, "a birth after the end");
		replay->survivors[change.birth] = change.survivors;
	}
}

static void note(struct replay *replay, uint32_t nr_polls)
{
	size_t i;

	replay->ever = MAX(replay->ever, replay->now);
	for (i = VERDICT_GROWING; i <= VERDICT_LEAKING; i++) {
		if (replay->now >= (enum verdict)i && !replay->first[i])
			replay->first[i] = nr_polls;
	}
	for (i = 0; i < ARRAY_SIZE(marks); i++) {
		if (marks[i] != nr_polls)
			continue;
		replay->after[i] = replay->now;
		replay->ever_after[i] = replay->ever;
	}
}

static void tell(const struct replay *replay)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(marks); i++)
		printf("%d ", (int)replay->after[i]);
	for (i = 0; i < ARRAY_SIZE(marks); i++)
		printf("%d ", (int)replay->ever_after[i]);
	printf("%u %u\n", replay->first[VERDICT_GROWING], replay->first[VERDICT_LEAKING]);
}

/* The watch begins one step before the first poll, with nothing. */
static void run(const struct series_header *header)
{
	struct trend_options options = {
		.min_objects = 5,
		.interval_ns = header->step_s * NSEC_PER_SEC,
		.horizon_ns = UINT64_MAX, /* as long as the series */
	};
	struct replay *replay = calloc(1, sizeof(*replay));
	uint32_t poll;

	must(replay, "out of memory");
	replay->trend = trend_new(&options);
	must(replay->trend, "out of memory");
	replay->step_ns = options.interval_ns;
	replay->nr_polls = header->nr_polls;
	replay->site.key = (struct lb_site_key){ .tgid = 1, .kind = LB_KIND_HEAP, .stack = 1 };
	push(replay, START_NS, 0);
	for (poll = 0; poll < header->nr_polls; poll++) {
		read_poll(replay);
		push(replay, START_NS + (poll + 1) * replay->step_ns, poll);
		note(replay, poll + 1);
	}
	tell(replay);
	trend_free(replay->trend);
	free(replay);
}

int main(void)
{
	struct series_header header;

	while (fread(&header, sizeof(header), 1, stdin) == 1) {
		must(header.nr_polls <= MAX_POLLS && header.step_s > 0 && header.step_s <= MAX_STEP,
		     "no series");
		run(&header);
	}
	return 0;
}
