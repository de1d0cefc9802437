/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Threads that come and go: each leaks one block, frees others, and frees what another thread has
 * allocated. Phase: go NUMBER (waves of WAVE threads).
 */
#include <pthread.h>
#include <stdatomic.h>

#include "workload.h"

#define WAVE 8

static _Atomic(void *) handed_over;

SITE static void leak_in_short_thread(void)
{
	keep(malloc(96));
}

SITE static void hand_over(void)
{
	free(atomic_exchange(&handed_over, malloc(150)));
}

static void *thread_main(void *argument)
{
	for (unsigned int i = 0; i < 20; i++) {
		hand_over();
		free(calloc(2, 33));
	}
	leak_in_short_thread();
	return argument;
}

static void phase_go(long number)
{
	static size_t nr_threads;
	pthread_t threads[WAVE];

	for (long wave = 0; wave < number; wave++) {
		for (unsigned int i = 0; i < WAVE; i++) {
			if (pthread_create(&threads[i], NULL, thread_main, NULL) != 0)
				workload_die("pthread_create");
		}
		for (unsigned int i = 0; i < WAVE; i++)
			pthread_join(threads[i], NULL);
		nr_threads += WAVE;
	}
	free(atomic_exchange(&handed_over, NULL));
	expect("heap", "leak_in_short_thread", nr_threads, nr_threads * 96);
	expect("heap", "hand_over", 0, 0);
}

static const struct workload_phase phases[] = {
	{ "go", phase_go },
};

int main(void)
{
	return WORKLOAD_SERVE(phases);
}
