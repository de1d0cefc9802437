/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Addresses of Go code -> stacks and frames as Go's own dumps show them. What was named once is
 * kept. Private to the module.
 */
#ifndef GOLANG_GOSYM_H
#define GOLANG_GOSYM_H

#include "base/base.h"
#include "golang/memory.h"
#include "model.h"
#include "pclntab/pclntab.h"

struct known_stack;

/* Functions that keep their first argument, which is what they wait for, in the place that their
 * caller's frame has for it, because they need it again later on. */
#define GOSYM_NR_WAITERS 4

struct gosym {
	struct pclntab table;
	struct memory *memory;
	struct strings *strings;
	const char *module;    /* path of the binary, as the target sees it */
	uint64_t bias;         /* run-time address - address in the file */
	uint64_t inline_trees; /* moduledata.gofunc; 0: not known */
	bool has_one_list;     /* of type arguments in all names: before Go 1.27 */
	uint8_t wrapper_id;    /* abi.FuncIDWrapper of this release; 0: not known */
	uint64_t goexit;       /* entry of runtime.goexit */
	uint64_t async_preempt;
	uint64_t sigpanic;
	uint64_t waiters[GOSYM_NR_WAITERS]; /* their entries; 0: not in this program */

	/* --- what has been named, by id; private to gosym.c --- */
	struct known_stack **buckets;
	size_t nr_buckets, nr_stacks;
};

/* Looks up the functions that stand out in stacks. -ENOENT: not even runtime.goexit is there. */
int gosym_find_marks(struct gosym *symbols);
void gosym_done(struct gosym *symbols);
/* Forgets all stacks and places: what was returned before is not valid any more. */
void gosym_forget(struct gosym *symbols);

/* Is @pc where the callee @inner returns to, and not where it was interrupted by a signal? */
bool gosym_is_return(const struct gosym *symbols, const struct go_function *function, uint64_t pc,
		     const struct go_function *inner);

/* What a stack may be, besides LB_STACK_*: a single frame, with the function that begins there, or
 * with the go statement that returns there. */
#define GOSYM_START   0x10000
#define GOSYM_CREATOR 0x20000

/* The stack with these program counters; NULL: out of memory, or too many different ones. */
const struct stack *gosym_stack(struct gosym *symbols, const uint64_t *pcs, size_t nr_pcs,
				uint32_t flags);

/* The function that begins at @pc, or the go statement that returns to @pc. NULL: none. */
const struct frame *gosym_start(struct gosym *symbols, uint64_t pc);
const struct frame *gosym_creator(struct gosym *symbols, uint64_t pc);

#endif
