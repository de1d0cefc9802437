/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/session.h"

static int set_allocators(struct target *target, const struct plan *plan)
{
	size_t i;

	for (i = 0; i < target->nr_allocators; i++)
		free(target->allocators[i]);
	free(target->allocators);
	target->nr_allocators = 0;
	target->allocators = calloc(plan->nr_allocators + 1, sizeof(*target->allocators));
	if (!target->allocators)
		return -ENOMEM;
	for (i = 0; i < plan->nr_allocators; i++) {
		char *name = strdup(plan->allocators[i]);

		if (!name)
			return -ENOMEM;
		target->allocators[target->nr_allocators++] = name;
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
