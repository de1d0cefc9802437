/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small server that works off requests in several threads, 13 allocations each, and forgets to
 * free at three places. With -DCLEAN it is the twin that forgets nothing.
 *
 *	leaky_server [THREADS]             driven by a test: go, quiet
 *	leaky_server --forever [THREADS]   leaks slowly until it is killed
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "workload.h"

#define MAX_THREADS 16
#define CACHE_SLOTS 64

#ifdef CLEAN
#define LEAKY 0
#else
#define LEAKY 1
#endif

/* One connection's worker. */
struct worker {
	pthread_t thread;
	unsigned long nr_requests;
	unsigned long nr_leaked[3]; /* at leak_site_a, _b, _c */
	void *cache[CACHE_SLOTS];   /* bounded: grows once, is replaced from then on */
	unsigned int random;
};

static struct worker workers[MAX_THREADS];
static unsigned int nr_workers = 2;
static atomic_bool running;
static long pause_ns = 2000000;

/* The blocks that the clean twin still frees. */
static void finish(void *block)
{
	if (!LEAKY)
		free(block);
	keep(block);
}

SITE static void leak_site_a(struct worker *worker)
{
	void *session = malloc(48);

	finish(session);
	worker->nr_leaked[0]++;
}

SITE static void leak_site_b(struct worker *worker)
{
	void *headers = calloc(3, 40);

	finish(headers);
	worker->nr_leaked[1]++;
}

SITE static void leak_site_c(struct worker *worker)
{
	void *reply = malloc(100);

	reply = realloc(reply, 300);
	reply = realloc(reply, 1000);
	finish(reply);
	worker->nr_leaked[2]++;
}

static unsigned int worker_random(struct worker *worker)
{
	worker->random = worker->random * 1103515245 + 12345;
	return worker->random >> 16;
}

/* Five short strings, as a parser makes them. */
SITE static void parse_request(struct worker *worker)
{
	char *fields[5];
	size_t i;

	for (i = 0; i < 5; i++) {
		fields[i] = malloc(8 + worker_random(worker) % 120);
		if (fields[i])
			fields[i][0] = 'f';
	}
	for (i = 0; i < 5; i++)
		free(fields[i]);
}

/* A buffer that grows: five allocations. */
SITE static void build_reply(struct worker *worker)
{
	char *buffer = malloc(64);
	size_t size = 64, i;

	for (i = 0; i < 4; i++) {
		char *grown = realloc(buffer, size *= 2);

		if (!grown)
			workload_die("realloc");
		buffer = grown;
	}
	buffer[worker_random(worker) % size] = 'r';
	free(buffer);
}

/* A row that replaces another one, and two scratch blocks. */
SITE static void look_up(struct worker *worker)
{
	void **slot = &worker->cache[worker->nr_requests % CACHE_SLOTS];
	void *keys = calloc(4, 32), *rows = malloc(500);

	free(*slot);
	*slot = malloc(200);
	free(rows);
	free(keys);
}

SITE static void handle_request(struct worker *worker)
{
	parse_request(worker);
	look_up(worker);
	if (worker->nr_requests % 10 == 0)
		leak_site_a(worker);
	if (worker->nr_requests % 20 == 0)
		leak_site_b(worker);
	if (worker->nr_requests % 40 == 0)
		leak_site_c(worker);
	build_reply(worker);
	worker->nr_requests++;
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;
	struct timespec pause = { 0, pause_ns };

	while (atomic_load(&running)) {
		handle_request(worker);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static void phase_go(long number)
{
	unsigned int i;

	(void)number;
	atomic_store(&running, true);
	for (i = 0; i < nr_workers; i++) {
		workers[i].random = i + 1;
		if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) != 0)
			workload_die("pthread_create");
	}
}

/* Stops the workers, empties their caches and tells what they have leaked so far. */
static void phase_quiet(long number)
{
	size_t leaked[3] = { 0 }, requests = 0, i, j;

	(void)number;
	atomic_store(&running, false);
	for (i = 0; i < nr_workers; i++) {
		pthread_join(workers[i].thread, NULL);
		for (j = 0; j < CACHE_SLOTS; j++) {
			free(workers[i].cache[j]);
			workers[i].cache[j] = NULL;
		}
		for (j = 0; j < 3; j++)
			leaked[j] += LEAKY ? workers[i].nr_leaked[j] : 0;
		requests += workers[i].nr_requests;
	}
	expect("heap", "leak_site_a", leaked[0], leaked[0] * 48);
	expect("heap", "leak_site_b", leaked[1], leaked[1] * 3 * 40);
	expect("heap", "leak_site_c", leaked[2], leaked[2] * 1000);
	workload_say("REQUESTS %zu", requests);
}

static const struct workload_phase phases[] = {
	{ "go", phase_go },
	{ "quiet", phase_quiet },
};

int main(int argc, char **argv)
{
	bool forever = argc > 1 && strcmp(argv[1], "--forever") == 0;
	int threads_at = forever ? 2 : 1;

	if (argc > threads_at)
		nr_workers = (unsigned int)strtoul(argv[threads_at], NULL, 10);
	if (nr_workers < 1 || nr_workers > MAX_THREADS) {
		fprintf(stderr, "usage: %s [--forever] [THREADS]\n", argv[0]);
		return 2;
	}
	if (!forever)
		return WORKLOAD_SERVE(phases);
	pause_ns = 5000000;
	phase_go(0);
	workload_say("ready %d", (int)getpid());
	pthread_join(workers[0].thread, NULL);
	return 0;
}
