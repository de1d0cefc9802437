/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The behaviours that a verdict has to tell apart, in real time: zoo MODE leak|clean.
 * It works from its start on, in a thread of its own, and ends with its input.
 *
 * Leaky ones also free, at the same function; what they leak nobody points to any more. As "clean"
 * they free everything. The others never leak.
 */
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "workload.h"

#define TICK_NS      10000000L
#define TICKS        100 /* of a second */
#define WHEEL_SLOTS  4096
#define LRU_BLOCKS   800
#define RING_BLOCKS  256
#define POOL_BLOCKS  50
#define WARM_BLOCKS  500
#define FLUSH_BLOCKS 4096

struct block {
	struct block *next;
	char bytes[56];
};

static bool leaks;
static unsigned long tick;
static unsigned int seed = 1;
static struct block *wheel[WHEEL_SLOTS]; /* what is freed at each tick to come */

static unsigned int random_below(unsigned int limit)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % limit;
}

/* Frees the block when @ticks have gone by. */
static void free_later(struct block *block, unsigned long ticks)
{
	struct block **slot = &wheel[(tick + ticks) % WHEEL_SLOTS];

	block->next = *slot;
	*slot = block;
}

static void free_due(void)
{
	struct block *block = wheel[tick % WHEEL_SLOTS];

	wheel[tick % WHEEL_SLOTS] = NULL;
	while (block) {
		struct block *next = block->next;

		free(block);
		block = next;
	}
}

/* Forgets the block, or has it freed when nothing is to leak. */
static void lose(struct block *block)
{
	if (!leaks)
		free_later(block, TICKS / 2);
}

/* --- leaky --- */

/* One of ten. */
SITE static void linear(void)
{
	struct block *block = malloc(sizeof(*block));

	if (random_below(10) == 0)
		lose(block);
	else
		free_later(block, 20 + random_below(80));
}

/* Two a second, under hundreds that come and go. */
SITE static void drip(void)
{
	struct block *block = malloc(sizeof(*block));

	if (tick % (TICKS / 2) == 0)
		lose(block);
	else
		free_later(block, 200 + random_below(200));
}

/* Twenty at once, every few seconds. */
SITE static void burst(void)
{
	static unsigned long next = TICKS;
	bool bursts = tick >= next;

	for (unsigned int i = 0; i < (bursts ? 21 : 1); i++) {
		struct block *block = malloc(sizeof(*block));

		if (i > 0)
			lose(block);
		else
			free_later(block, 20 + random_below(80));
	}
	if (bursts)
		next = tick + 2 * TICKS + random_below(4 * TICKS);
}

/* Each 25th request. */
SITE static void every_nth(void)
{
	struct block *block = malloc(sizeof(*block));

	if (tick % 25 == 24)
		lose(block);
	else
		free_later(block, 10);
}

/* One of five, but only after 20 s. */
SITE static void late_onset(void)
{
	struct block *block = malloc(sizeof(*block));

	if (tick > 20 * TICKS && random_below(5) == 0)
		lose(block);
	else
		free_later(block, 20 + random_below(80));
}

/* All is freed in one go now and then, like garbage; three of a hundred are not. */
SITE static void saw_tooth(void)
{
	static struct block *batch;
	static unsigned long next = 5 * TICKS;
	struct block *block = malloc(sizeof(*block));

	if (random_below(100) < 3) {
		lose(block);
	} else {
		block->next = batch;
		batch = block;
	}
	if (tick < next)
		return;
	next = tick + 3 * TICKS + random_below(4 * TICKS);
	while (batch) {
		block = batch->next;
		free(batch);
		batch = block;
	}
}

/* --- clean --- */

/* Fills quickly, then ever more slowly. */
SITE static void warm_up(void)
{
	static void *kept[WARM_BLOCKS];
	static size_t nr;
	double wanted = WARM_BLOCKS * (1 - exp(-(double)tick / (10 * TICKS)));

	while (nr < WARM_BLOCKS && (double)nr < wanted)
		kept[nr++] = malloc(sizeof(struct block));
	keep(kept);
}

/* The oldest goes for each that comes, but for a part that is used all the time. */
SITE static void lru_cache(void)
{
	static void *entries[LRU_BLOCKS];
	static size_t nr, oldest;

	if (nr < LRU_BLOCKS) {
		entries[nr++] = malloc(sizeof(struct block));
		return;
	}
	oldest = oldest + 1 < LRU_BLOCKS ? oldest + 1 : LRU_BLOCKS / 5;
	free(entries[oldest]);
	entries[oldest] = malloc(sizeof(struct block));
}

/* A table that doubles while its data come in, and then stays. */
SITE static void arena(void)
{
	static void **chunks;
	static size_t nr, capacity;
	size_t wanted = (size_t)(400 * (1 - exp(-(double)tick / (8 * TICKS))));

	while (nr < wanted) {
		if (nr == capacity) {
			capacity = capacity ? 2 * capacity : 4;
			chunks = realloc(chunks, capacity * sizeof(*chunks));
		}
		chunks[nr++] = malloc(256);
	}
}

/* Connections are made when more are in use than ever, and renewed when they are old. */
SITE static void pool(void)
{
	static struct {
		void *connection;
		unsigned long born;
	} pool[POOL_BLOCKS];
	unsigned int used = 5 + random_below(10) + (random_below(300) == 0 ? 25 : 0);

	for (unsigned int i = 0; i < POOL_BLOCKS; i++) {
		if (pool[i].connection && tick - pool[i].born > 10 * TICKS + i * 7) {
			free(pool[i].connection);
			pool[i].connection = NULL;
		}
		if (pool[i].connection || i >= used)
			continue;
		pool[i].connection = malloc(2048);
		pool[i].born = tick;
	}
}

/* The last ones are kept. */
SITE static void ring(void)
{
	static void *ring[RING_BLOCKS];

	free(ring[tick % RING_BLOCKS]);
	ring[tick % RING_BLOCKS] = malloc(sizeof(struct block));
}

/* Everything is written out and freed every eight seconds. */
SITE static void flush(void)
{
	static void *pending[FLUSH_BLOCKS];
	static size_t nr;

	if (nr < FLUSH_BLOCKS)
		pending[nr++] = malloc(sizeof(struct block));
	if (tick % (8 * TICKS) != 0)
		return;
	while (nr > 0)
		free(pending[--nr]);
}

/* More requests all the time, each soon done. */
SITE static void ramp(void)
{
	unsigned long requests = 1 + tick / (20 * TICKS);

	while (requests-- > 0)
		free_later(malloc(sizeof(struct block)), 20 + random_below(60));
}

static const struct {
	const char *name;
	void (*work)(void);
} modes[] = {
	{ "linear", linear },
	{ "drip", drip },
	{ "burst", burst },
	{ "every_nth", every_nth },
	{ "late_onset", late_onset },
	{ "saw_tooth", saw_tooth },
	{ "warm_up", warm_up },
	{ "lru_cache", lru_cache },
	{ "arena", arena },
	{ "pool", pool },
	{ "ring", ring },
	{ "flush", flush },
	{ "ramp", ramp },
};

static void *work_forever(void *work)
{
	struct timespec next;

	clock_gettime(CLOCK_MONOTONIC, &next);
	for (;; tick++) {
		((void (*)(void))work)();
		free_due();
		next.tv_nsec += TICK_NS;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	char c;

	for (size_t i = 0; argc == 3 && i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(argv[1], modes[i].name) != 0)
			continue;
		leaks = strcmp(argv[2], "leak") == 0;
		if (pthread_create(&thread, NULL, work_forever, (void *)modes[i].work))
			return 1;
		printf("ready %d\n", getpid());
		fflush(stdout);
		while (read(STDIN_FILENO, &c, 1) > 0)
			;
		return 0;
	}
	fprintf(stderr, "usage: zoo MODE leak|clean\n");
	return 2;
}
