/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/base.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS 256 /* a power of two, as every later number of buckets */

struct entry {
	struct entry *next;
	uint64_t hash;
	char text[];
};

struct strings {
	struct entry **buckets;
	size_t nr_buckets;
	size_t nr_entries;
};

/* FNV-1a, 64 bits. */
static uint64_t hash_string(const char *string)
{
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (; *string; string++)
		hash = (hash ^ (unsigned char)*string) * 0x100000001b3ULL;
	return hash;
}

static struct entry **bucket_of(const struct strings *pool, uint64_t hash)
{
	return &pool->buckets[(hash ^ hash >> 32) & (pool->nr_buckets - 1)];
}

struct strings *strings_new(void)
{
	struct strings *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->nr_buckets = FIRST_BUCKETS;
	pool->buckets = calloc(pool->nr_buckets, sizeof(*pool->buckets));
	return pool->buckets ? pool : strings_free(pool);
}

static void free_chain(struct entry *entry)
{
	while (entry) {
		struct entry *next = entry->next;

		free(entry);
		entry = next;
	}
}

struct strings *strings_free(struct strings *pool)
{
	if (!pool)
		return NULL;
	for (size_t i = 0; pool->buckets && i < pool->nr_buckets; i++)
		free_chain(pool->buckets[i]);
	free(pool->buckets);
	free(pool);
	return NULL;
}

static void insert(struct strings *pool, struct entry *entry)
{
	struct entry **bucket = bucket_of(pool, entry->hash);

	entry->next = *bucket;
	*bucket = entry;
}

/* Doubles the buckets; when there is no memory for that the chains only grow longer. */
static void grow(struct strings *pool)
{
	struct strings bigger = { .nr_buckets = pool->nr_buckets * 2 };

	bigger.buckets = calloc(bigger.nr_buckets, sizeof(*bigger.buckets));
	if (!bigger.buckets)
		return;
	for (size_t i = 0; i < pool->nr_buckets; i++) {
		while (pool->buckets[i]) {
			struct entry *entry = pool->buckets[i];

			pool->buckets[i] = entry->next;
			insert(&bigger, entry);
		}
	}
	free(pool->buckets);
	pool->buckets = bigger.buckets;
	pool->nr_buckets = bigger.nr_buckets;
}

static const char *add(struct strings *pool, const char *string, uint64_t hash)
{
	size_t size = strlen(string) + 1;
	struct entry *entry = malloc(sizeof(*entry) + size);

	if (!entry)
		return NULL;
	if (pool->nr_entries >= pool->nr_buckets)
		grow(pool);
	entry->hash = hash;
	memcpy(entry->text, string, size);
	insert(pool, entry);
	pool->nr_entries++;
	return entry->text;
}

const char *strings_intern(struct strings *pool, const char *string)
{
	uint64_t hash;

	if (!string)
		return NULL;
	hash = hash_string(string);
	for (struct entry *entry = *bucket_of(pool, hash); entry; entry = entry->next)
		if (entry->hash == hash && !strcmp(entry->text, string))
			return entry->text;
	return add(pool, string, hash);
}
