/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Goroutine stacks by the pcsp tables. Layout of frames: Go 1.23 runtime/stack.go ("Stack frame
 * layout") and runtime/traceback.go, (*unwinder).resolveInternal().
 */
#include "golang/unwind.h"

#include <string.h>

static bool stack_word(const struct stack_bytes *stack, uint64_t address, uint64_t *ret_word)
{
	uint64_t offset = address - stack->address;

	if (address < stack->address || offset > stack->len ||
	    stack->len - offset < sizeof(*ret_word))
		return false;
	memcpy(ret_word, stack->bytes + offset, sizeof(*ret_word));
	return true;
}

/* What @function waits for when it is one of those that wait for their first argument, which stands
 * at @at. Outer ones know it better: the mutex rather than the semaphore in it. */
static void note_wait(const struct gosym *symbols, const struct go_function *function,
		      const struct stack_bytes *stack, uint64_t at, struct unwound *unwound)
{
	for (size_t i = 0; i < GOSYM_NR_WAITERS; i++)
		if (function->entry == symbols->waiters[i])
			stack_word(stack, at, &unwound->waits_on);
}

/* Bytes of the frame when its callee returns to @pc, or when it was stopped there. */
static bool frame_bytes(const struct gosym *symbols, const struct go_function *function,
			uint64_t pc, const struct go_function *inner, uint32_t *ret_bytes)
{
	bool is_return = gosym_is_return(symbols, function, pc, inner);

	return !pclntab_frame_bytes(&symbols->table, function, pc - is_return, ret_bytes);
}

enum unwind_end unwind_go(const struct gosym *symbols, const struct stack_bytes *stack, uint64_t pc,
			  bool link_register, struct unwound *unwound)
{
	const uint64_t word = sizeof(uint64_t);
	struct go_function function, inner;
	uint64_t sp = stack->address;

	unwound->waits_on = 0;
	for (unwound->nr_pcs = 0; unwound->nr_pcs < LB_MAX_FRAMES; inner = function) {
		size_t i = unwound->nr_pcs;
		uint64_t end;
		uint32_t bytes;

		if (pclntab_function_at(&symbols->table, pc, &function))
			return UNWIND_BROKEN;
		unwound->pcs[unwound->nr_pcs++] = pc;
		if (function.entry == symbols->goexit)
			return UNWIND_COMPLETE;
		if (!frame_bytes(symbols, &function, pc, i ? &inner : NULL, &bytes))
			return UNWIND_BROKEN;
		end = sp + bytes + (link_register ? 0 : word);
		if (!stack_word(stack, link_register ? sp : end - word, &pc))
			return UNWIND_CUT;
		note_wait(symbols, &function, stack, end + (link_register ? word : 0), unwound);
		sp = end;
	}
	return UNWIND_TOO_DEEP;
}
