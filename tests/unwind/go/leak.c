/* SPDX-License-Identifier: GPL-2.0-only */
/* Compiled without frame pointers, as most C code is: see the flags in main.go. */
#include "leak.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "_cgo_export.h"

struct order {
	int level;
	size_t size;
};

static void *volatile sink;

/* What makes each function keep registers and stack of its own. */
#define KEEP(value) __asm__ volatile("" : : "r"(value) : "memory", "rbx", "rbp", "r12")

__attribute__((noinline)) static void c_inner(size_t size)
{
	char pad[72];

	memset(pad, (int)size, sizeof(pad));
	KEEP(pad);
	sink = malloc(size);
	KEEP(size);
}

__attribute__((noinline)) static void c_middle(size_t size)
{
	KEEP(size);
	c_inner(size);
	KEEP(size);
}

void c_leak(size_t size)
{
	KEEP(size);
	c_middle(size);
	KEEP(size);
}

void c_call_back(int level, size_t size)
{
	KEEP(size);
	goBack(level, size);
	KEEP(level);
	c_middle(size);
	KEEP(size);
}

static void *c_run(void *argument)
{
	struct order *order = argument;

	c_call_back(order->level, order->size);
	return NULL;
}

void c_thread(int level, size_t size)
{
	struct order order = { level, size };
	pthread_t thread;

	if (!pthread_create(&thread, NULL, c_run, &order))
		pthread_join(thread, NULL);
}

void c_churn(int rounds)
{
	void *blocks[16];
	int i;

	while (rounds-- > 0) {
		for (i = 0; i < 16; i++)
			blocks[i] = malloc((size_t)(16 << i % 8));
		KEEP(blocks);
		for (i = 0; i < 16; i++)
			free(blocks[i]);
	}
}
