/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "record/format.h"

/* Flags of a target. */
#define TARGET_GO         0x1
#define TARGET_EXITED     0x2
#define TARGET_GO_VERSION 0x4 /* a string follows */
#define TARGET_EXE        0x8
#define TARGET_FLAGS      0xf

static void put_list(struct buf *payload, char *const *strings, size_t nr)
{
	nr = MIN(nr, MAX_TARGET_LIST);
	put_number(payload, nr);
	for (size_t i = 0; i < nr; i++)
		put_string(payload, strings[i]);
}

static void put_target(struct buf *payload, const struct target *target)
{
	unsigned int flags = (target->runtime == RUNTIME_GO ? TARGET_GO : 0) |
			     (target->exited ? TARGET_EXITED : 0) |
			     (target->go_version ? TARGET_GO_VERSION : 0) |
			     (target->exe ? TARGET_EXE : 0);

	put_number(payload, (uint64_t)target->pid);
	put_number(payload, target->start_ticks);
	put_number(payload, flags);
	put_string(payload, target->comm);
	if (target->exe)
		put_string(payload, target->exe);
	if (target->go_version)
		put_string(payload, target->go_version);
	put_list(payload, target->allocators, target->nr_allocators);
	put_list(payload, target->blind_spots, target->nr_blind_spots);
}

void targets_put(struct buf *payload, const struct target *targets, size_t nr_targets)
{
	nr_targets = MIN(nr_targets, MAX_TARGETS);
	put_number(payload, nr_targets);
	for (size_t i = 0; i < nr_targets; i++)
		put_target(payload, &targets[i]);
}

static void free_list(char **strings, size_t nr)
{
	while (nr > 0)
		free(strings[--nr]);
	free(strings);
}

static void target_clear(struct target *target)
{
	free(target->exe);
	free(target->go_version);
	free_list(target->allocators, target->nr_allocators);
	free_list(target->blind_spots, target->nr_blind_spots);
}

void targets_free(struct target *targets, size_t nr_targets)
{
	while (nr_targets > 0)
		target_clear(&targets[--nr_targets]);
	free(targets);
}

static int get_list(struct cursor *cursor, char ***ret_strings, size_t *ret_nr)
{
	size_t nr = get_bounded(cursor, MAX_TARGET_LIST);
	int error = 0;

	if (!nr)
		return cursor->fault ? -EBADMSG : 0;
	*ret_strings = calloc(nr, sizeof(**ret_strings));
	if (!*ret_strings)
		return -ENOMEM;
	for (*ret_nr = 0; *ret_nr < nr && !error; *ret_nr += !error)
		error = get_string(cursor, &(*ret_strings)[*ret_nr]);
	return error;
}

static int get_comm(struct cursor *cursor, struct target *target)
{
	char *comm;
	int error = get_string(cursor, &comm);

	if (error)
		return error;
	strncat(target->comm, comm, sizeof(target->comm) - 1);
	free(comm);
	return 0;
}

static int get_target(struct cursor *cursor, struct target *target)
{
	unsigned int flags;
	int error;

	target->pid = (pid_t)get_bounded(cursor, INT32_MAX);
	target->start_ticks = get_number(cursor);
	flags = (unsigned int)get_bounded(cursor, TARGET_FLAGS);
	target->runtime = flags & TARGET_GO ? RUNTIME_GO : RUNTIME_NATIVE;
	target->exited = flags & TARGET_EXITED;
	error = get_comm(cursor, target);
	if (!error && flags & TARGET_EXE)
		error = get_string(cursor, &target->exe);
	if (!error && flags & TARGET_GO_VERSION)
		error = get_string(cursor, &target->go_version);
	if (!error)
		error = get_list(cursor, &target->allocators, &target->nr_allocators);
	if (!error)
		error = get_list(cursor, &target->blind_spots, &target->nr_blind_spots);
	return error;
}

int targets_get(struct cursor *cursor, struct target **ret_targets, size_t *ret_nr)
{
	struct target *targets = NULL;
	size_t capacity = 0, nr = get_bounded(cursor, MAX_TARGETS), done = 0;
	int error = 0;

	while (done < nr && !error) {
		error = vec_reserve((void **)&targets, &capacity, done + 1, sizeof(*targets));
		if (error)
			break;
		targets[done] = (struct target){ 0 };
		error = get_target(cursor, &targets[done++]);
	}
	if (!error)
		error = cursor_end(cursor);
	if (error) {
		targets_free(targets, done);
		return error;
	}
	*ret_targets = targets;
	*ret_nr = nr;
	return 0;
}
