/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stacks of program counters -> stacks of names, for many processes.
 */
#include "proc/symbolizer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proc/stat.h"

#define REFRESH_PAUSE_NS (NSEC_PER_SEC / 2) /* between re-readings because of unknown addresses */

struct frames {
	struct frame *frames;
	size_t nr_frames, capacity;
};

struct symbolizer *symbolizer_new(void)
{
	struct symbolizer *symbolizer = calloc(1, sizeof(*symbolizer));

	if (!symbolizer)
		return NULL;
	symbolizer->strings = strings_new();
	return symbolizer->strings ? symbolizer : symbolizer_free(symbolizer);
}

/* The link that leads to the process @pid, or to NULL. */
static struct process **find_process(struct symbolizer *symbolizer, pid_t pid)
{
	struct process **link = &symbolizer->processes;

	while (*link && (*link)->pid != pid)
		link = &(*link)->next;
	return link;
}

static void forget(struct symbolizer *symbolizer, struct process **link)
{
	struct process *process = *link;

	*link = process->next;
	process_free(symbolizer, process);
}

void symbolizer_forget(struct symbolizer *symbolizer, pid_t pid)
{
	struct process **link = find_process(symbolizer, pid);

	if (*link)
		forget(symbolizer, link);
}

struct symbolizer *symbolizer_free(struct symbolizer *symbolizer)
{
	if (!symbolizer)
		return NULL;
	while (symbolizer->processes)
		forget(symbolizer, &symbolizer->processes);
	strings_free(symbolizer->strings);
	free(symbolizer);
	return NULL;
}

void symbolizer_trim(struct symbolizer *symbolizer)
{
	for (struct cached_image *cached = symbolizer->images; cached; cached = cached->next)
		image_trim(cached->image);
}

/* Does another process have this PID now? */
static bool is_reused(const struct process *process)
{
	struct process_stat stat;

	return !process_stat_read(process->pid, &stat) && stat.start_ticks != process->start_ticks;
}

int symbolizer_refresh(struct symbolizer *symbolizer, pid_t pid)
{
	struct process **link = find_process(symbolizer, pid);
	bool added;
	int err;

	if (*link && is_reused(*link)) {
		forget(symbolizer, link);
		link = find_process(symbolizer, pid);
	}
	added = !*link;
	if (added)
		*link = process_new(pid);
	if (!*link)
		return -ENOMEM;
	err = process_refresh(symbolizer, *link);
	if (err && added)
		forget(symbolizer, link);
	return err;
}

int symbolizer_locate(struct symbolizer *symbolizer, pid_t pid, uint64_t address,
		      struct code_place *ret_place)
{
	const struct process *process = *find_process(symbolizer, pid);
	const struct module *module = process ? process_find_module(process, address) : NULL;

	if (!module)
		return -ENOENT;
	*ret_place = (struct code_place){
		.dev = module->dev,
		.inode = module->inode,
		.offset = address - module->start + module->file_offset,
	};
	return 0;
}

/* Reads the mappings again when @pcs leads where none was known: a library may be new. Seldom, for
 * a broken stack has addresses that no mapping will ever have. */
static void refresh_for(struct symbolizer *symbolizer, struct process *process, const uint64_t *pcs,
			size_t nr_pcs)
{
	if (clock_monotonic_ns() - process->refreshed_ns < REFRESH_PAUSE_NS || is_reused(process))
		return;
	for (size_t i = 0; i < nr_pcs; i++) {
		if (process_find_module(process, pcs[i] - 1))
			continue;
		process_refresh(symbolizer, process);
		return;
	}
}

static int add_frames(struct symbolizer *symbolizer, struct process *process, uint64_t pc,
		      struct frames *frames)
{
	const struct address *address = process_name_address(symbolizer, process, pc);

	if (!address ||
	    vec_reserve((void **)&frames->frames, &frames->capacity,
			frames->nr_frames + address->nr_frames, sizeof(*frames->frames)))
		return -ENOMEM;
	memcpy(frames->frames + frames->nr_frames, address->frames,
	       address->nr_frames * sizeof(*frames->frames));
	frames->nr_frames += address->nr_frames;
	return 0;
}

/* Names the whole stack. The frames are cut to what is used: there may be very many stacks. */
static int name_stack(struct symbolizer *symbolizer, struct process *process, const uint64_t *pcs,
		      size_t nr_pcs, struct stack *stack)
{
	struct frames frames = { 0 };
	struct frame *cut;
	int err = 0;

	for (size_t i = 0; i < nr_pcs && !err; i++)
		err = add_frames(symbolizer, process, pcs[i], &frames);
	cut = err || !frames.nr_frames
		      ? NULL
		      : reallocarray(frames.frames, frames.nr_frames, sizeof(*frames.frames));
	stack->frames = cut ? cut : frames.frames;
	stack->nr_frames = frames.nr_frames;
	return err;
}

static void free_stack(struct stack *stack)
{
	if (stack)
		free(stack->frames);
	free(stack);
}

DEFINE_CLEANUP(stack, struct stack *, free_stack(*value))

static int add_stack(struct symbolizer *symbolizer, struct process *process,
		     const struct stack *wanted, const uint64_t *pcs, size_t nr_pcs,
		     const struct stack **ret_stack)
{
	struct stack *stack __cleanup_of(stack) = calloc(1, sizeof(*stack));
	int err;

	if (!stack)
		return -ENOMEM;
	*stack = *wanted;
	refresh_for(symbolizer, process, pcs, nr_pcs);
	err = name_stack(symbolizer, process, pcs, nr_pcs, stack);
	if (!err)
		err = idmap_add(&process->stacks, stack->id, stack);
	if (!err)
		*ret_stack = take(stack);
	return err;
}

int symbolizer_stack(struct symbolizer *symbolizer, pid_t pid, uint64_t id, const uint64_t *pcs,
		     size_t nr_pcs, uint32_t flags, const struct stack **ret_stack)
{
	const struct stack wanted = { .id = id, .flags = flags };
	struct process **link = find_process(symbolizer, pid);
	const struct stack *known;

	if (!*link)
		*link = process_new(pid);
	if (!*link)
		return -ENOMEM;
	known = idmap_find(&(*link)->stacks, id);
	if (!known)
		return add_stack(symbolizer, *link, &wanted, pcs, nr_pcs, ret_stack);
	*ret_stack = known;
	return 0;
}
