/* SPDX-License-Identifier: GPL-2.0-only */
/* The program counters of a stopped goroutine; private to the module. */
#ifndef GOLANG_UNWIND_H
#define GOLANG_UNWIND_H

#include "golang/gosym.h"

/* The innermost part of a stack as it was read. */
struct stack_bytes {
	uint64_t address;
	const uint8_t *bytes;
	size_t len;
};

enum unwind_end {
	UNWIND_COMPLETE, /* down to runtime.goexit */
	UNWIND_TOO_DEEP, /* LB_MAX_FRAMES are taken */
	UNWIND_CUT,      /* more bytes of the stack are needed */
	UNWIND_BROKEN,   /* makes no sense: it changed meanwhile, or foreign code */
};

struct unwound {
	uint64_t pcs[LB_MAX_FRAMES];
	size_t nr_pcs;
	uint64_t
		waits_on; /* what a frame of package sync or of the semaphores waits for; 0: none */
};

/* Walks by the frame sizes of the function table, from @pc and the stack pointer at
 * @stack->address. @link_register: the architecture has one (arm64). What was found up to the end
 * of the walk is in @unwound, however it ends. */
enum unwind_end unwind_go(const struct gosym *symbols, const struct stack_bytes *stack, uint64_t pc,
			  bool link_register, struct unwound *unwound);

#endif
