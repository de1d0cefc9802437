/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/session.h"

static void clear_allocators(struct target *target)
{
	while (target->nr_allocators > 0)
		free(target->allocators[--target->nr_allocators]);
	free(target->allocators);
	target->allocators = NULL;
}

static int set_allocators(struct target *target, const struct plan *plan)
{
	void *items = NULL;
	size_t capacity = 0, i;

	clear_allocators(target);
	if (vec_reserve(&items, &capacity, plan->nr_allocators, sizeof(char *)))
		return -ENOMEM;
	target->allocators = items;
	for (i = 0; i < plan->nr_allocators; i++) {
		if (asprintf(&target->allocators[i], "%s", plan->allocators[i]) < 0)
			return -ENOMEM;
		target->nr_allocators++;
	}
	return 0;
}

int target_describe(struct target *target, struct plan *plan)
{
	char **old = target->blind_spots;
	size_t nr_old = target->nr_blind_spots;

	target->blind_spots = plan->blind_spots;
	target->nr_blind_spots = plan->nr_blind_spots;
	plan->blind_spots = old; /* freed with the plan */
	plan->nr_blind_spots = nr_old;
	return set_allocators(target, plan);
}
