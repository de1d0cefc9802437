/* SPDX-License-Identifier: GPL-2.0-only */
#include "proc/idmap.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_SLOTS 64

/* The slot of @key, or the free one where it belongs. There is always a free one. */
static struct idmap_slot *slot_of(const struct idmap *map, uint64_t key)
{
	size_t at = (size_t)((key * 0x9e3779b97f4a7c15ULL) >> 20);

	for (;; at++) {
		struct idmap_slot *slot = &map->slots[at & (map->nr_slots - 1)];

		if (!slot->value || slot->key == key)
			return slot;
	}
}

void *idmap_find(const struct idmap *map, uint64_t key)
{
	return map->nr_slots ? slot_of(map, key)->value : NULL;
}

static int grow(struct idmap *map)
{
	struct idmap bigger = { .nr_slots = map->nr_slots ? map->nr_slots * 2 : FIRST_SLOTS };

	bigger.slots = calloc(bigger.nr_slots, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < map->nr_slots; i++)
		if (map->slots[i].value)
			*slot_of(&bigger, map->slots[i].key) = map->slots[i];
	free(map->slots);
	map->slots = bigger.slots;
	map->nr_slots = bigger.nr_slots;
	return 0;
}

int idmap_add(struct idmap *map, uint64_t key, void *value)
{
	int err = 0;

	if (map->nr_values >= map->nr_slots - map->nr_slots / 4)
		err = grow(map);
	if (err)
		return err;
	*slot_of(map, key) = (struct idmap_slot){ key, value };
	map->nr_values++;
	return 0;
}

void idmap_done(struct idmap *map, void (*release)(void *value))
{
	for (size_t i = 0; i < map->nr_slots; i++)
		if (map->slots[i].value && release)
			release(map->slots[i].value);
	free(map->slots);
	*map = (struct idmap){ 0 };
}
