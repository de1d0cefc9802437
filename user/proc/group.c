/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which stacks belong together: those that share the innermost frames of the program's own code, as
 * when one leak is reached in many ways. Found by program counters and mappings alone, without
 * names, so that it costs little for very many stacks.
 */
#include <errno.h>
#include <string.h>

#include "proc/symbolizer.h"

#define GROUP_FRAMES 2 /* innermost frames of its own code that tell a group */
#define NO_GROUP     1 /* kept for a stack without such frames */

bool module_is_library(const char *path)
{
	static const char *const names[] = {
		"libc.so",      "libc-2.",     "libc.musl",  "ld-",
		"libstdc++.so", "libc++.so",   "libc++abi.", "libjemalloc.",
		"libtcmalloc",  "libmimalloc", "libgcc_s.",  "[vdso]",
	};
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strncmp(base, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

/* FNV-1a over the words; never a value that has a meaning of its own. */
static uint64_t group_step(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x100000001b3ULL;
	return hash ^ hash >> 29;
}

static uint64_t group_of(const struct process *process, const uint64_t *pcs, size_t nr_pcs)
{
	uint64_t hash = 0xcbf29ce484222325ULL;
	size_t nr_own = 0;

	for (size_t i = 0; i < nr_pcs && nr_own < GROUP_FRAMES; i++) {
		const struct module *module = process_find_module(process, pcs[i] - 1);

		if (!module || !module->path || module_is_library(module->path))
			continue;
		hash = group_step(hash, pcs[i]);
		nr_own++;
	}
	return nr_own ? hash | 2 : NO_GROUP;
}

static struct process *process_of(struct symbolizer *symbolizer, pid_t pid)
{
	struct process *process = symbolizer->processes;

	while (process && process->pid != pid)
		process = process->next;
	return process;
}

int symbolizer_group(struct symbolizer *symbolizer, pid_t pid, uint64_t id, uint64_t *ret_group)
{
	const struct process *process = process_of(symbolizer, pid);
	uintptr_t group = process ? (uintptr_t)idmap_find(&process->groups, id) : 0;

	if (!group)
		return -ENOENT;
	*ret_group = group == NO_GROUP ? 0 : group;
	return 0;
}

int symbolizer_add_group(struct symbolizer *symbolizer, pid_t pid, uint64_t id, const uint64_t *pcs,
			 size_t nr_pcs)
{
	struct process *process = process_of(symbolizer, pid);

	if (!process)
		return -ESRCH;
	return idmap_add(&process->groups, id, (void *)(uintptr_t)group_of(process, pcs, nr_pcs));
}
