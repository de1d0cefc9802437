/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sites that open blocks steadily and never close one. What differs is where the pointers go: some
 * sites lose them, the others keep them in all places a program may.
 *
 *	reach                  driven by a test: go, reveal, rest, quiet
 *	reach --asynchronous   the same, with asynchronous I/O set up
 *	reach --once N         N steps, then ends (for LeakSanitizer)
 */
#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "workload.h"

#define MAX_STEPS  4000
#define NR_LINKS   4   /* blocks of a chain or ring that is lost at once */
#define NR_SHELVES 64  /* slots on a thread's stack and in its thread-local memory */
#define NR_POLLED  256 /* descriptors whose block only the kernel knows */
#define PAUSE_NS   5000000
#define HIDING     0x5555555555555555ULL

struct link {
	struct link *next;
	char payload[56];
};

static atomic_bool running, stopped, resting;
static pthread_t thread;
static size_t nr_steps;
static int poller = -1;
static void *cache[MAX_STEPS];
static char *insides[MAX_STEPS];
static uintptr_t hidden[MAX_STEPS];
static uintptr_t tagged[MAX_STEPS];
static struct link *chain;
static void **shared; /* a mapping */
static __thread void *shelf[NR_SHELVES];

/* Overwrites what calls before have left on the stack. */
SITE static void clear_stack(void)
{
	volatile char bytes[8192];
	size_t i;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = 0;
}

static void *block(size_t bytes)
{
	void *made = malloc(bytes);

	if (!made)
		workload_die("malloc");
	memset(made, 0, bytes);
	return made;
}

/* --- pointers that are lost --- */

SITE static void lost_single(void)
{
	keep(block(48));
}

SITE static void lost_chain(void)
{
	struct link *head = NULL;
	int i;

	for (i = 0; i < NR_LINKS; i++) {
		struct link *link = block(sizeof(*link));

		link->next = head;
		head = link;
	}
	keep(head);
}

SITE static void lost_ring(void)
{
	struct link *first = block(sizeof(*first)), *head = first;
	int i;

	for (i = 1; i < NR_LINKS; i++) {
		struct link *link = block(sizeof(*link));

		link->next = head;
		head = link;
	}
	first->next = head;
	keep(head);
}

/* Not lost, but no tool can know. */
SITE static void lost_to_tools(void)
{
	hidden[nr_steps] = (uintptr_t)block(72) ^ HIDING;
}

/* --- pointers that are kept --- */

SITE static void kept_in_data(void)
{
	cache[nr_steps] = block(64 + nr_steps % 300);
}

SITE static void kept_inside(void)
{
	insides[nr_steps] = (char *)block(128) + 33;
}

SITE static void kept_tagged(void)
{
	tagged[nr_steps] = (uintptr_t)block(80) | 0xfffa000000000002ULL;
}

SITE static void kept_in_chain(void)
{
	struct link *link = block(sizeof(*link));

	link->next = chain;
	chain = link;
}

SITE static void kept_in_mapping(void)
{
	shared[nr_steps] = block(56);
}

SITE static void kept_on_stack(void *volatile *slots)
{
	if (nr_steps % 8 == 0 && nr_steps / 8 < NR_SHELVES)
		slots[nr_steps / 8] = block(100);
}

SITE static void kept_in_thread(void)
{
	if (nr_steps % 8 == 0 && nr_steps / 8 < NR_SHELVES)
		shelf[nr_steps / 8] = block(90);
}

SITE static void kept_by_kernel(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd;

	if (nr_steps % 4 != 0 || nr_steps / 4 >= NR_POLLED)
		return;
	fd = eventfd(0, EFD_CLOEXEC);
	event.data.ptr = block(104);
	if (fd < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) != 0)
		workload_die("epoll");
}

SITE static void step(void *volatile *slots)
{
	lost_single();
	lost_chain();
	lost_ring();
	lost_to_tools();
	kept_in_data();
	kept_inside();
	kept_tagged();
	kept_in_chain();
	kept_in_mapping();
	kept_on_stack(slots);
	kept_in_thread();
	kept_by_kernel();
	/* Without a reader, the compiler would drop what is written to them. */
	keep(cache);
	keep(insides);
	keep(hidden);
	keep(tagged);
	keep(shelf);
	nr_steps++;
}

static void prepare(void)
{
	poller = epoll_create1(EPOLL_CLOEXEC);
	shared = mmap(NULL, MAX_STEPS * sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (poller < 0 || shared == MAP_FAILED)
		workload_die("prepare");
}

/* Steps until it is told to stop, then waits: its stack and its memory stay. */
static void *thread_main(void *argument)
{
	struct timespec pause = { 0, PAUSE_NS };
	void *volatile slots[NR_SHELVES] = { 0 };

	while (atomic_load(&running) && !atomic_load(&stopped) && nr_steps < MAX_STEPS) {
		step(slots);
		clear_stack();
		nanosleep(&pause, NULL);
	}
	atomic_store(&resting, true);
	while (atomic_load(&running))
		nanosleep(&pause, NULL);
	keep((void *)slots[0]);
	return argument;
}

static void phase_go(long number)
{
	(void)number;
	atomic_store(&running, true);
	if (pthread_create(&thread, NULL, thread_main, NULL) != 0)
		workload_die("pthread_create");
}

static void phase_quiet(long number)
{
	(void)number;
	atomic_store(&running, false);
	pthread_join(thread, NULL);
	workload_say("STEPS %zu", nr_steps);
}

/* Stops the steps; what the thread has on its stack stays there. */
static void phase_rest(long number)
{
	struct timespec pause = { 0, PAUSE_NS };

	(void)number;
	atomic_store(&stopped, true);
	while (!atomic_load(&resting))
		nanosleep(&pause, NULL);
}

/* Stops the steps and turns the hidden pointers into plain ones. */
static void phase_reveal(long number)
{
	size_t i;

	(void)number;
	atomic_store(&stopped, true);
	for (i = 0; i < MAX_STEPS; i++)
		if (hidden[i])
			hidden[i] ^= HIDING;
	keep(hidden);
}

static const struct workload_phase phases[] = {
	{ "go", phase_go },
	{ "reveal", phase_reveal },
	{ "rest", phase_rest },
	{ "quiet", phase_quiet },
};

/* All steps at once; the leak checker of the C library's exit does the rest. */
static int run_once(size_t nr)
{
	void *volatile slots[NR_SHELVES] = { 0 };

	while (nr_steps < nr && nr_steps < MAX_STEPS) {
		step(slots);
		clear_stack();
	}
	keep((void *)slots[0]);
	return 0;
}

int main(int argc, char **argv)
{
	aio_context_t context = 0;

	prepare();
	if (argc > 1 && strcmp(argv[1], "--asynchronous") == 0 &&
	    syscall(SYS_io_setup, 16, &context) != 0)
		workload_die("io_setup");
	if (argc > 2 && strcmp(argv[1], "--once") == 0)
		return run_once(strtoul(argv[2], NULL, 10));
	return WORKLOAD_SERVE(phases);
}
