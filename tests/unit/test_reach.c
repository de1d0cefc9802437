/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/aio_abi.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "reach/reach.h"

/* The address sanitizer maps more than a scan takes on: its builds have no children to scan. */
#if defined(__SANITIZE_ADDRESS__)
#define IS_VAST 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_VAST 1
#endif
#endif
#ifndef IS_VAST
#define IS_VAST 0
#endif

#define AREA_BYTES (1UL << 20)
#define PIECE      4096 /* one block at the start of each */

/* A child whose blocks lie in @area; what it does not point to it has never had the address of. */
struct child {
	pid_t pid;
	char *area;
	struct block blocks[32];
	size_t nr_blocks;
};

static char *block_of(char *area, size_t nr)
{
	return area + (nr + 1) * PIECE;
}

/* Memory where nothing has been before: the kernel would give a hole that the dynamic linker or an
 * earlier test has left, and what once pointed there may still lie about in the stack. */
static char *new_area(void)
{
	static char *next = (char *)0x100000000000;
	char *area = mmap(next, AREA_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	assert_ptr_equal(area, next);
	next += 2 * AREA_BYTES;
	return area;
}

static void child_begin(struct child *child, void (*run)(char *area))
{
	int ready[2];
	char byte;

	if (IS_VAST)
		skip();
	assert_int_equal(pipe(ready), 0);
	child->area = new_area();
	child->pid = fork();
	assert_true(child->pid >= 0);
	if (child->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run(child->area);
		if (write(ready[1], "r", 1) == 1)
			pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	child->nr_blocks = ARRAY_SIZE(child->blocks);
	for (size_t i = 0; i < child->nr_blocks; i++)
		child->blocks[i] = (struct block){
			.address = (uint64_t)(uintptr_t)block_of(child->area, i),
			.bytes = 100,
		};
}

/* The area stays: the next child gets another one, to which nothing from before points. */
static void child_end(struct child *child)
{
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
}

static int scan(struct child *child, struct reach_facts *ret_facts, struct error *error)
{
	struct reach *reach = NULL;
	int code = reach_open(child->pid, child->blocks, child->nr_blocks, &reach, error);

	*ret_facts = (struct reach_facts){ 0 };
	while (code == 0) {
		code = reach_step(reach, NSEC_PER_SEC / 100, error);
		usleep(1000);
	}
	if (reach)
		*ret_facts = reach_facts(reach);
	reach_free(reach);
	return code;
}

static void assert_scan(struct child *child, const char *wanted, struct reach_facts *ret_facts)
{
	struct error error = { 0 };
	char reached[ARRAY_SIZE(child->blocks) * 4] = "";

	if (scan(child, ret_facts, &error) != 1)
		fail_msg("the scan failed: %s", error.text);
	for (size_t i = 0; i < child->nr_blocks; i++)
		if (child->blocks[i].reached)
			snprintf(reached + strlen(reached), sizeof(reached) - strlen(reached),
				 "%zu ", i);
	assert_string_equal(reached, wanted);
	assert_int_equal(ret_facts->nr_rounds, 3);
	assert_true(ret_facts->read_bytes > 0);
	assert_int_equal(ret_facts->nr_threads, 1);
}

static void store(void *place, char *pointer)
{
	*(char *volatile *)place = pointer;
}

/* Pointers in private, shared, read-only and executable memory and in a block. */
static void point_from_mappings(char *area)
{
	char *shared = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *fixed = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *code = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED || fixed == MAP_FAILED || code == MAP_FAILED)
		_exit(1);
	store(area + 8, block_of(area, 1));
	store(shared, block_of(area, 3) + 99);
	store(fixed + 16, block_of(area, 5));
	memcpy(code + 3, &(char *){ block_of(area, 7) }, sizeof(char *));
	store(block_of(area, 7) + 8, block_of(area, 9));
	if (mprotect(fixed, PIECE, PROT_READ) || mprotect(code, PIECE, PROT_READ | PROT_EXEC))
		_exit(1);
}

static void memory_of_all_kinds_is_read(void **state)
{
	struct reach_facts facts;
	struct child child;

	(void)state;
	child_begin(&child, point_from_mappings);
	assert_scan(&child, "1 3 5 7 9 ", &facts);
	assert_false(facts.kernel_holds);
	assert_int_equal(facts.swapped_bytes, 0);
	child_end(&child);
}

/* Clears what calls before have left below. */
static void __attribute__((noinline)) clear_stack(void)
{
	volatile char bytes[16384];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = 0;
}

static void __attribute__((noinline)) point_from_epoll(char *area)
{
	struct epoll_event event = { .events = EPOLLIN };
	int poller = epoll_create1(0);

	for (size_t i = 2; i < 5; i++) {
		event.data.ptr = block_of(area, i);
		if (epoll_ctl(poller, EPOLL_CTL_ADD, eventfd(0, 0), &event) != 0)
			_exit(1);
	}
	event.data.ptr = NULL;
	__asm__ volatile("" : : "r"(&event) : "memory");
}

static void run_epoll(char *area)
{
	point_from_epoll(area);
	clear_stack();
}

static void pointers_kept_by_epoll_are_found(void **state)
{
	struct reach_facts facts;
	struct child child;

	(void)state;
	child_begin(&child, run_epoll);
	assert_scan(&child, "2 3 4 ", &facts);
	assert_false(facts.kernel_holds);
	child_end(&child);
}

static void __attribute__((noinline)) point_from_timer(char *area)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	timer_t timer;

	event.sigev_value.sival_ptr = block_of(area, 6);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
		_exit(1);
	event.sigev_value.sival_ptr = NULL;
	__asm__ volatile("" : : "r"(&event) : "memory");
}

static void run_timer(char *area)
{
	point_from_timer(area);
	clear_stack();
}

static void pointers_kept_by_timers_are_found(void **state)
{
	struct reach_facts facts;
	struct child child;

	(void)state;
	child_begin(&child, run_timer);
	assert_scan(&child, access("/proc/self/timers", R_OK) == 0 ? "6 " : "", &facts);
	child_end(&child);
}

static void run_asynchronous(char *area)
{
	aio_context_t context = 0;

	(void)area;
	if (syscall(SYS_io_setup, 16, &context) != 0)
		_exit(1);
}

static void pointers_that_can_not_be_told_are_noticed(void **state)
{
	struct reach_facts facts;
	struct child child;

	(void)state;
	child_begin(&child, run_asynchronous);
	assert_scan(&child, "", &facts);
	assert_true(facts.kernel_holds);
	child_end(&child);
}

static void run_nothing(char *area)
{
	(void)area;
}

static void who_has_ended_is_not_scanned(void **state)
{
	struct reach_facts facts;
	struct error error = { 0 };
	struct reach *reach = NULL;
	struct child child;
	int code;

	(void)state;
	child_begin(&child, run_nothing);
	assert_int_equal(reach_open(child.pid, child.blocks, child.nr_blocks, &reach, &error), 0);
	child_end(&child);
	do {
		code = reach_step(reach, NSEC_PER_SEC, &error);
	} while (code == 0);
	assert_int_equal(code, -ESRCH);
	assert_true(error.text[0]);
	reach_free(reach);
	error.text[0] = '\0';
	assert_true(scan(&child, &facts, &error) < 0);
	assert_true(error.text[0]);
}

static void run_vast(char *area)
{
	(void)area;
	if (mmap(NULL, 2ULL << 40, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED)
		_exit(1);
}

static void vast_mappings_are_refused(void **state)
{
	struct reach_facts facts;
	struct error error = { 0 };
	struct child child;

	(void)state;
	child_begin(&child, run_vast);
	assert_int_equal(scan(&child, &facts, &error), -EFBIG);
	assert_non_null(strstr(error.text, "mapped"));
	child_end(&child);
}

static void run_sparse(char *area)
{
	char *sparse = mmap(NULL, 8ULL << 30, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (sparse == MAP_FAILED)
		_exit(1);
	store(sparse + (5ULL << 30), block_of(area, 8));
}

/* Only what is resident is read, and nothing is made resident by reading. */
static void sparse_memory_stays_sparse(void **state)
{
	struct reach_facts facts;
	struct child child;

	(void)state;
	child_begin(&child, run_sparse);
	assert_scan(&child, "8 ", &facts);
	assert_true(facts.read_bytes < 64 << 20);
	child_end(&child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_of_all_kinds_is_read),
		cmocka_unit_test(pointers_kept_by_epoll_are_found),
		cmocka_unit_test(pointers_kept_by_timers_are_found),
		cmocka_unit_test(pointers_that_can_not_be_told_are_noticed),
		cmocka_unit_test(who_has_ended_is_not_scanned),
		cmocka_unit_test(vast_mappings_are_refused),
		cmocka_unit_test(sparse_memory_stays_sparse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
