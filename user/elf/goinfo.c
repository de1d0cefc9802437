/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The Go version that a binary was built with. Layout: Go 1.23 debug/buildinfo/buildinfo.go,
 * readRawBuildInfo(), and cmd/link/internal/ld/data.go, (*Link).buildinfo(). Where this has been
 * taken out, the runtime's own text of it is left (runtime.buildVersion), which the linker ends with
 * a zero byte as it does no other text (cmd/link/internal/ld/data.go, addstrdata()).
 */
#include "elf/image.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES      32
#define FLAGS_AT          15
#define FLAG_BIG_ENDIAN   0x1
#define FLAG_INLINE       0x2 /* Go 1.18 and later: the texts stand behind the header */
#define MAX_PATH_BYTES    1024
#define MAX_VERSION_BYTES 127 /* so that its length is a single byte of a varint */
#define CHUNK_BYTES       (1UL << 18)
#define MAX_ALL_BYTES     (1UL << 30) /* segments of a hostile file may overlap */

/* Where the text of the version is; false: not found. */
static bool find_version(const struct image *image, uint64_t info, uint64_t *ret_at,
			 uint64_t *ret_len)
{
	static const char magic[] = "\xff Go buildinf:";
	uint8_t header[HEADER_BYTES], len;
	uint64_t pointer, string[2];

	if (image_read(image, info, header, sizeof(header)) != sizeof(header) ||
	    memcmp(header, magic, sizeof(magic) - 1) != 0 || (header[FLAGS_AT] & FLAG_BIG_ENDIAN))
		return false;
	if (header[FLAGS_AT] & FLAG_INLINE) {
		if (image_read(image, info + HEADER_BYTES, &len, 1) != 1)
			return false;
		*ret_at = info + HEADER_BYTES + 1;
		*ret_len = len;
		return true;
	}
	memcpy(&pointer, header + 16, sizeof(pointer));
	if (image_read(image, pointer, string, sizeof(string)) != sizeof(string))
		return false;
	*ret_at = string[0];
	*ret_len = string[1];
	return true;
}

static char *read_build_info(const struct image *image)
{
	char *version __cleanup_string = NULL;
	GElf_Shdr header;
	uint64_t at, len;

	if (!image_section(image, ".go.buildinfo", &header) ||
	    !find_version(image, header.sh_addr, &at, &len) || !len || len > MAX_VERSION_BYTES)
		return NULL;
	version = calloc(1, len + 1);
	if (!version || image_read(image, at, version, len) != (long)len)
		return NULL;
	for (const char *text = version; *text; text++)
		if (*text < ' ' || *text > '~')
			return NULL;
	return take(version);
}

/* --- the runtime's text --- */

struct version_search {
	char *chunk;                       /* CHUNK_BYTES; owned */
	char found[MAX_VERSION_BYTES + 1]; /* "": none yet */
	bool differs;                      /* there are several that are not the same */
};

DEFINE_CLEANUP(search, struct version_search, free(value->chunk))

/* Is it "go1.23", "go1.23.5", "go1.23rc1", or with something else behind? */
static bool is_version(const char *text)
{
	size_t digits = strspn(text + 4, "0123456789");

	text += 4 + digits;
	return digits && digits < 4 &&
	       (!*text || strchr("-+ ", *text) ||
		(strchr(".rb", *text) && strpbrk(text, "0123456789")));
}

/* Takes the text with "go1." at @at of the @len bytes when it stands alone: a zero byte ends it, and
 * no text is before it. */
static void take_version(struct version_search *search, const char *bytes, size_t len, size_t at)
{
	static const char devel[] = "devel ";
	size_t begin = at, left;

	if (at >= sizeof(devel) &&
	    !memcmp(bytes + at - (sizeof(devel) - 1), devel, sizeof(devel) - 1))
		begin -= sizeof(devel) - 1;
	left = MIN(len - begin, sizeof(search->found));
	if (!begin || (bytes[begin - 1] >= ' ' && bytes[begin - 1] <= '~') ||
	    strnlen(bytes + begin, left) == left || !is_version(bytes + at))
		return;
	search->differs |= search->found[0] && strcmp(search->found, bytes + begin) != 0;
	snprintf(search->found, sizeof(search->found), "%s", bytes + begin);
}

static void search_versions(struct version_search *search, const char *bytes, size_t len)
{
	const char *at = bytes;

	while ((at = memmem(at, (size_t)(bytes + len - at), "go1.", 4))) {
		take_version(search, bytes, len, (size_t)(at - bytes));
		at += 4;
	}
}

/* What lies at the seam of two chunks is in the second one as well. */
static void search_segment(const struct image *image, const struct segment *segment,
			   struct version_search *search)
{
	uint64_t at, len = MIN(segment->file_bytes, MAX_ALL_BYTES);

	for (at = 0; at < len; at += CHUNK_BYTES - 2 * MAX_VERSION_BYTES) {
		long got = image_read_at(image, segment->offset + at, search->chunk,
					 MIN(CHUNK_BYTES, len - at));

		if (got <= 0)
			break;
		search_versions(search, search->chunk, (size_t)got);
	}
}

/* NULL: there is none, or others that look like it. */
static char *find_runtime_text(const struct image *image)
{
	struct version_search search __cleanup_of(search) = { .chunk = malloc(CHUNK_BYTES) };
	uint64_t all_bytes = 0;

	for (size_t i = 0; search.chunk && i < image->nr_segments && all_bytes < MAX_ALL_BYTES;
	     i++) {
		const struct segment *segment = &image->segments[i];

		if (segment->writable)
			continue;
		all_bytes += segment->file_bytes;
		search_segment(image, segment, &search);
	}
	return search.found[0] && !search.differs ? strdup(search.found) : NULL;
}

char *image_go_version(const struct image *image)
{
	char *version = read_build_info(image);

	return version || !image->is_go ? version : find_runtime_text(image);
}

/* The text of the modules stands behind that of the version: a varint with its length, 16 bytes that
 * mark its begin, and "path\tPATH\n". Go 1.23 runtime/debug/mod.go, ReadBuildInfo(). */
char *image_go_path(const struct image *image)
{
	static const char head[] = "path\t";
	char text[3 + 16 + sizeof(head) + MAX_PATH_BYTES] = "", *path, *end;
	uint64_t at, len;
	GElf_Shdr header;

	if (!image_section(image, ".go.buildinfo", &header) ||
	    !find_version(image, header.sh_addr, &at, &len) || len > MAX_VERSION_BYTES ||
	    image_read(image, at + len, text, sizeof(text) - 1) <= 0)
		return NULL;
	path = memmem(text, sizeof(text), head, sizeof(head) - 1);
	if (!path || path > text + 3 + 16)
		return NULL;
	path += sizeof(head) - 1;
	end = strchr(path, '\n');
	return end ? strndup(path, (size_t)(end - path)) : NULL;
}
