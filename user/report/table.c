/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/table.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

struct item {
	struct item *next;
	uint64_t id;
	size_t len;
	unsigned char key[];
};

static int compare_items(const void *left, const void *right)
{
	const struct item *a = left, *b = right;

	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	return memcmp(a->key, b->key, a->len);
}

static struct item *new_item(uint64_t id, const void *key, size_t len)
{
	struct item *item = malloc(sizeof(*item) + len);

	if (!item)
		return NULL;
	item->id = id;
	item->len = len;
	if (len)
		memcpy(item->key, key, len);
	return item;
}

uint64_t table_find(struct table *table, uint64_t next, const void *key, size_t len, bool *ret_new)
{
	struct item *item = new_item(next, key, len), **found;
	uint64_t id;

	if (!item)
		return 0;
	found = tsearch(item, &table->root, compare_items);
	id = found ? (*found)->id : 0;
	if (!found || *found != item) {
		free(item);
		*ret_new = false;
		return id;
	}
	item->next = table->items;
	table->items = item;
	*ret_new = true;
	return id;
}

/* What is in the tree is freed with the list. */
static void leave(void *item)
{
	(void)item;
}

void table_done(struct table *table)
{
	tdestroy(table->root, leave);
	while (table->items) {
		struct item *next = table->items->next;

		free(table->items);
		table->items = next;
	}
	*table = (struct table){ 0 };
}
