/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Texts that a program is made with. They lie in its segments that are not written to, with or
 * without sections, and nothing strips them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "elf/image.h"

#define CHUNK_BYTES   (1UL << 18)
#define MAX_LEN       64UL        /* of a text */
#define MAX_ALL_BYTES (1UL << 30) /* segments of a hostile file may overlap */

/* Which of the texts is in these bytes? @nr: none. */
static size_t find_in(const char *bytes, size_t len, const char *const *texts, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (memmem(bytes, len, texts[i], strlen(texts[i])))
			break;
	return i;
}

/* The same for a segment, in chunks that overlap by the longest text. */
static size_t find_in_segment(const struct image *image, const struct segment *segment, char *chunk,
			      const char *const *texts, size_t nr)
{
	uint64_t at, len = MIN(segment->file_bytes, MAX_ALL_BYTES);
	size_t found = nr;

	for (at = 0; at < len && found == nr; at += CHUNK_BYTES - MAX_LEN) {
		long got = image_read_at(image, segment->offset + at, chunk,
					 MIN(CHUNK_BYTES, len - at));

		if (got <= 0)
			break;
		found = find_in(chunk, (size_t)got, texts, nr);
	}
	return found;
}

int image_find_constant(const struct image *image, const char *const *texts, size_t nr,
			size_t *ret_found)
{
	char *chunk __cleanup_string = malloc(CHUNK_BYTES);
	uint64_t all_bytes = 0;
	size_t i, found;

	if (!chunk)
		return -ENOMEM;
	for (i = 0; i < image->nr_segments && all_bytes < MAX_ALL_BYTES; i++) {
		const struct segment *segment = &image->segments[i];

		if (segment->writable)
			continue;
		all_bytes += segment->file_bytes;
		found = find_in_segment(image, segment, chunk, texts, nr);
		if (found < nr) {
			*ret_found = found;
			return 0;
		}
	}
	return -ENOENT;
}
