/* SPDX-License-Identifier: GPL-2.0-only */
#include "proc/table.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_SLOTS 64

/* The slot of @key, or the free one where it belongs. There is always a free one. */
static struct table_slot *slot_of(const struct table *table, uint64_t key)
{
	size_t at = (size_t)((key * 0x9e3779b97f4a7c15ULL) >> 20);

	for (;; at++) {
		struct table_slot *slot = &table->slots[at & (table->nr_slots - 1)];

		if (!slot->value || slot->key == key)
			return slot;
	}
}

void *table_find(const struct table *table, uint64_t key)
{
	return table->nr_slots ? slot_of(table, key)->value : NULL;
}

static int grow(struct table *table)
{
	struct table bigger = { .nr_slots = table->nr_slots ? table->nr_slots * 2 : FIRST_SLOTS };

	bigger.slots = calloc(bigger.nr_slots, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < table->nr_slots; i++)
		if (table->slots[i].value)
			*slot_of(&bigger, table->slots[i].key) = table->slots[i];
	free(table->slots);
	table->slots = bigger.slots;
	table->nr_slots = bigger.nr_slots;
	return 0;
}

int table_add(struct table *table, uint64_t key, void *value)
{
	int err = 0;

	if (table->nr_values >= table->nr_slots - table->nr_slots / 4)
		err = grow(table);
	if (err)
		return err;
	*slot_of(table, key) = (struct table_slot){ key, value };
	table->nr_values++;
	return 0;
}

void table_done(struct table *table, void (*release)(void *value))
{
	for (size_t i = 0; i < table->nr_slots; i++)
		if (table->slots[i].value)
			release(table->slots[i].value);
	free(table->slots);
	*table = (struct table){ 0 };
}
