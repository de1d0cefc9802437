/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where goroutines are that never wait: their stack can not be read from outside, so the threads that
 * run them are sampled. Samples of a loop differ in what it calls; what is shown is the innermost
 * function that most of them have in common, at the place where most of these are.
 */
#include <stdlib.h>
#include <string.h>

#include "golang/process.h"
#include "golang/unwind.h"

#define MAX_CHAINS 256
#define MIN_CHAINS 5

/* The stacks of samples that began with one function; goexit is left out. */
struct chains {
	struct golang *golang;
	uint64_t start; /* its entry */
	struct unwound *chains;
	size_t nr;
};

DEFINE_CLEANUP(chains, struct unwound *, free(*value))

/* The function of @pc, which is one behind where a thread was or returns to; 0: none. */
static uint64_t entry_of(const struct golang *golang, uint64_t pc)
{
	struct go_function function;

	return pclntab_function_at(&golang->symbols.table, pc - 1, &function) ? 0 : function.entry;
}

/* The program counter at @depth, which is counted from the outermost function; 0: not so deep. */
static uint64_t pc_at(const struct unwound *chain, size_t depth)
{
	return depth < chain->nr_pcs ? chain->pcs[chain->nr_pcs - 1 - depth] : 0;
}

static uint64_t entry_at(const struct chains *chains, size_t i, size_t depth)
{
	uint64_t pc = pc_at(&chains->chains[i], depth);

	return pc ? entry_of(chains->golang, pc) : 0;
}

/* Visitor: keeps the stack of a sample that began with the function. */
static void keep_chain(const struct cpu_sample *sample, void *context)
{
	struct chains *chains = context;
	const struct golang *golang = chains->golang;
	struct stack_bytes stack = { sample->sp, sample->stack, sample->stack_len };
	struct unwound *chain = &chains->chains[chains->nr];

	if (chains->nr == MAX_CHAINS || !sample->pc ||
	    unwind_go(&golang->symbols, &stack, sample->pc + 1, golang->link_register, chain) !=
		    UNWIND_COMPLETE)
		return;
	chain->nr_pcs--;
	if (entry_at(chains, chains->nr, 0) == chains->start)
		chains->nr++;
}

/* The function that most chains are in at @depth, if most are in one: R. Boyer and J. Moore, MJRTY. */
static uint64_t common_entry(const struct chains *chains, size_t depth)
{
	uint64_t common = 0;
	size_t votes = 0;

	for (size_t i = 0; i < chains->nr; i++) {
		uint64_t entry = entry_at(chains, i, depth);

		if (!votes)
			common = entry;
		votes = common == entry ? votes + 1 : votes - 1;
	}
	return common;
}

/* Drops the chains that are not in function @entry at @depth, if 2 of 3 of @nr_all remain. */
static bool narrow(struct chains *chains, size_t depth, uint64_t entry, size_t nr_all)
{
	size_t nr = 0;

	for (size_t i = 0; i < chains->nr; i++)
		nr += entry_at(chains, i, depth) == entry;
	if (!entry || nr * 3 < nr_all * 2)
		return false;
	nr = 0;
	for (size_t i = 0; i < chains->nr; i++)
		if (entry_at(chains, i, depth) == entry)
			chains->chains[nr++] = chains->chains[i];
	chains->nr = nr;
	return true;
}

/* Is the function of @pc the runtime's, which no user can mend? */
static bool is_runtime(const struct golang *golang, uint64_t pc)
{
	struct go_function function;

	return !pclntab_function_at(&golang->symbols.table, pc - 1, &function) &&
	       !strncmp(function.name, "runtime.", strlen("runtime."));
}

/* How many of the chains are at @pc at @depth. */
static size_t count_at(const struct chains *chains, size_t depth, uint64_t pc)
{
	size_t nr = 0;

	for (size_t i = 0; i < chains->nr; i++)
		nr += pc_at(&chains->chains[i], depth) == pc;
	return nr;
}

/* The stack down to @depth of those chains that are at the same place there as most others. */
static const struct stack *stack_at(const struct chains *chains, size_t depth)
{
	const struct unwound *best = NULL;
	size_t best_nr = 0;

	for (size_t i = 0; i < chains->nr; i++) {
		size_t nr = count_at(chains, depth, pc_at(&chains->chains[i], depth));

		if (nr > best_nr) {
			best = &chains->chains[i];
			best_nr = nr;
		}
	}
	return best ? gosym_stack(&chains->golang->symbols, best->pcs + best->nr_pcs - 1 - depth,
				  depth + 1, 0)
		    : NULL;
}

const struct stack *running_stack(struct golang *golang, struct cpu_samples *samples,
				  uint64_t start)
{
	struct unwound *room __cleanup_of(chains) = calloc(MAX_CHAINS + 1, sizeof(*room));
	struct chains chains = { .golang = golang, .start = start, .chains = room };
	size_t nr_all, depth = 0;

	if (!room)
		return NULL;
	cpu_samples_visit(samples, keep_chain, &chains);
	nr_all = chains.nr;
	if (nr_all < MIN_CHAINS)
		return NULL;
	while (narrow(&chains, depth + 1, common_entry(&chains, depth + 1), nr_all))
		depth++;
	while (depth > 0 && is_runtime(golang, pc_at(&chains.chains[0], depth)))
		depth--;
	return stack_at(&chains, depth);
}
