/* SPDX-License-Identifier: GPL-2.0-only */
/* Single places: where goroutines begin and where they are created; and what they are doing. */
#include <string.h>

#include "golang/golang.h"
#include "golang/gosym.h"

static const struct frame *place(struct gosym *symbols, uint64_t pc, uint32_t kind)
{
	const struct stack *stack = pc ? gosym_stack(symbols, &pc, 1, kind) : NULL;

	return stack && stack->nr_frames ? stack->frames : NULL;
}

const struct frame *gosym_start(struct gosym *symbols, uint64_t pc)
{
	return place(symbols, pc, GOSYM_START);
}

const struct frame *gosym_creator(struct gosym *symbols, uint64_t pc)
{
	return place(symbols, pc, GOSYM_CREATOR);
}

bool goroutine_is_hidden(const struct goroutine *goroutine)
{
	const struct stack *stack = goroutine->stack;

	if (!goroutine->system)
		return false;
	for (size_t i = 0; stack && i < stack->nr_frames; i++) {
		const char *function = stack->frames[i].function;

		if (function && strncmp(function, "runtime.", strlen("runtime.")) != 0 &&
		    strncmp(function, "internal/", strlen("internal/")) != 0)
			return false;
	}
	return true;
}

bool goroutine_waits(const struct goroutine *goroutine)
{
	return goroutine->state == GOROUTINE_WAITING || goroutine->state == GOROUTINE_LEAKED;
}
