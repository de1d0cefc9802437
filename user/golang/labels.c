/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pprof labels of a goroutine. Up to Go 1.23 g.labels points to a map[string]string (Go 1.23
 * runtime/pprof/label.go, labelMap; runtime/map.go, hmap and bmap), later to a sorted slice of
 * pairs (Go 1.24 runtime/pprof/label.go).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "golang/process.h"

#define MAX_LABELS      32
#define MAX_LABEL_BYTES 128
#define MAX_BUCKETS     64
#define SLOTS           8 /* of a bucket */
#define MIN_TOP_HASH    5 /* lower ones say that the slot is empty */

struct go_string {
	uint64_t address, len;
};

struct label {
	struct go_string key, value;
};

struct label_list {
	struct label labels[MAX_LABELS];
	size_t nr;
};

/* runtime.hmap */
struct map_header {
	uint64_t count;
	uint8_t flags, log2_buckets;
	uint16_t nr_overflow;
	uint32_t seed;
	uint64_t buckets, old_buckets;
};

/* runtime.bmap of map[string]string */
struct map_bucket {
	uint8_t top_hash[SLOTS];
	struct go_string keys[SLOTS], values[SLOTS];
	uint64_t overflow;
};

static void take_bucket(const struct map_bucket *bucket, struct label_list *list)
{
	for (size_t i = 0; i < SLOTS && list->nr < MAX_LABELS; i++)
		if (bucket->top_hash[i] >= MIN_TOP_HASH)
			list->labels[list->nr++] =
				(struct label){ bucket->keys[i], bucket->values[i] };
}

static int read_map(struct golang *golang, uint64_t address, struct label_list *list)
{
	size_t nr_buckets, left = MAX_BUCKETS;
	struct map_header header;
	struct map_bucket bucket;
	uint64_t at;

	if (memory_read(&golang->memory, address, &at, sizeof(at)) || !at ||
	    memory_read(&golang->memory, at, &header, sizeof(header)) || header.log2_buckets > 6)
		return -EFAULT;
	nr_buckets = 1UL << header.log2_buckets;
	for (size_t i = 0; i < nr_buckets && left; i++) {
		at = header.buckets + i * sizeof(bucket);
		for (; at && left; left--) {
			if (memory_read(&golang->memory, at, &bucket, sizeof(bucket)))
				return -EFAULT;
			take_bucket(&bucket, list);
			at = bucket.overflow;
		}
	}
	return 0;
}

static int read_slice(struct golang *golang, uint64_t address, struct label_list *list)
{
	struct go_string slice;

	if (memory_read(&golang->memory, address, &slice, sizeof(slice)))
		return -EFAULT;
	list->nr = MIN(slice.len, (uint64_t)MAX_LABELS);
	return memory_read(&golang->memory, slice.address, list->labels,
			   list->nr * sizeof(list->labels[0]));
}

static int read_text(struct golang *golang, const struct go_string *string,
		     char text[MAX_LABEL_BYTES + 1])
{
	size_t len = MIN(string->len, (uint64_t)MAX_LABEL_BYTES);

	if (len && memory_read(&golang->memory, string->address, text, len))
		return -EFAULT;
	text[len] = '\0';
	return 0;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(a, b);
}

const char *labels_read(struct golang *golang, uint64_t address)
{
	char texts[MAX_LABELS][2 * MAX_LABEL_BYTES + 2];
	struct buf buf __cleanup_buf = { 0 };
	struct label_list list = { .nr = 0 };
	bool is_map = golang->layout->last < 25 && golang->minor != 24;

	if (!address || (!golang->minor && golang->layout->last == 24) ||
	    (is_map ? read_map(golang, address, &list) : read_slice(golang, address, &list)))
		return NULL;
	for (size_t i = 0; i < list.nr; i++) {
		char key[MAX_LABEL_BYTES + 1], value[MAX_LABEL_BYTES + 1];

		if (read_text(golang, &list.labels[i].key, key) ||
		    read_text(golang, &list.labels[i].value, value))
			return NULL;
		snprintf(texts[i], sizeof(texts[i]), "%s=%s", key, value);
	}
	qsort(texts, list.nr, sizeof(texts[0]), compare_texts);
	for (size_t i = 0; i < list.nr; i++)
		buf_printf(&buf, "%s%s", i ? ", " : "", texts[i]);
	return list.nr && !buf.error ? names_intern_labels(golang, buf.data) : NULL;
}
