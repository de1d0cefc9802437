/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/base.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_CAPACITY 8

/* Twice the old capacity, or more when that is not enough. */
static size_t next_capacity(size_t capacity, size_t wanted)
{
	size_t doubled = capacity <= SIZE_MAX / 2 ? capacity * 2 : SIZE_MAX;

	return MAX(MAX(doubled, wanted), FIRST_CAPACITY);
}

int vec_reserve(void **items, size_t *capacity, size_t wanted, size_t size)
{
	size_t new_capacity;
	void *grown;

	if (wanted <= *capacity)
		return 0;
	new_capacity = next_capacity(*capacity, wanted);
	grown = reallocarray(*items, new_capacity, size);
	if (!grown)
		return -ENOMEM;
	*items = grown;
	*capacity = new_capacity;
	return 0;
}
