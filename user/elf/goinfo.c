/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The Go version that a binary was built with. Layout: Go 1.23 debug/buildinfo/buildinfo.go,
 * readRawBuildInfo(), and cmd/link/internal/ld/data.go, (*Link).buildinfo().
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

char *image_go_version(const struct image *image)
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
	return take(version);
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
