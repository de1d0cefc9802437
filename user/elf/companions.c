/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The files that hold what was stripped from a binary: .gnu_debugdata inside it (xz), a separate
 * debug file found by build-id or by .gnu_debuglink (GDB 14 manual, "Debugging Information in
 * Separate Files" and "MiniDebugInfo").
 */
#include "elf/image.h"

#include <errno.h>
#include <limits.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define DEBUG_DIRECTORY   "/usr/lib/debug"
#define MAX_MINI_BYTES    (64UL << 20) /* unpacked */
#define MAX_LINK_BYTES    4096
#define MAX_LZMA_BYTES    (128UL << 20) /* memory of the decoder */
#define MAX_CHECKED_BYTES (4ULL << 30)
#define CHUNK_BYTES       (64UL << 10)

struct bytes {
	char *data;
	size_t len, capacity;
};

static void free_bytes(struct bytes *bytes)
{
	free(bytes->data);
}

DEFINE_CLEANUP(bytes, struct bytes, free_bytes(value))
DEFINE_CLEANUP(lzma, lzma_stream, lzma_end(value))

/* Runs the decoder to its end, into @out. */
static int unpack_all(lzma_stream *stream, struct bytes *out)
{
	lzma_ret result = LZMA_OK;

	while (result == LZMA_OK) {
		if (out->len >= MAX_MINI_BYTES)
			return -EFBIG;
		if (vec_reserve((void **)&out->data, &out->capacity, out->len + CHUNK_BYTES, 1))
			return -ENOMEM;
		stream->next_out = (uint8_t *)out->data + out->len;
		stream->avail_out = CHUNK_BYTES;
		result = lzma_code(stream, LZMA_FINISH);
		out->len += CHUNK_BYTES - stream->avail_out;
	}
	return result == LZMA_STREAM_END ? 0 : -ENOEXEC;
}

static int unpack_xz(const void *packed, size_t len, struct bytes *out)
{
	lzma_stream stream __cleanup_of(lzma) = LZMA_STREAM_INIT;

	if (lzma_stream_decoder(&stream, MAX_LZMA_BYTES, 0) != LZMA_OK)
		return -ENOMEM;
	stream.next_in = packed;
	stream.avail_in = len;
	return unpack_all(&stream, out);
}

/* A companion has the addresses of its owner, whose segments are the ones that count: strip may
 * have changed the companion's. */
static int adopt_segments(struct image *companion, const struct image *owner)
{
	struct segment *copy = calloc(owner->nr_segments + 1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	if (owner->nr_segments)
		memcpy(copy, owner->segments, owner->nr_segments * sizeof(*copy));
	free(companion->segments);
	companion->segments = copy;
	companion->nr_segments = owner->nr_segments;
	companion->segments_capacity = owner->nr_segments + 1;
	companion->companions_loaded = true; /* it has none itself */
	return 0;
}

static struct image *open_mini(const struct image *image)
{
	struct image *mini __cleanup_image = NULL;
	struct bytes unpacked __cleanup_of(bytes) = { 0 };
	GElf_Shdr header;
	Elf_Scn *section = image_section(image, ".gnu_debugdata", &header);
	bool fits = section && header.sh_size <= MAX_MINI_BYTES;
	Elf_Data *data = fits ? elf_rawdata(section, NULL) : NULL;

	if (!data || !data->d_buf || unpack_xz(data->d_buf, data->d_size, &unpacked) ||
	    image_open_memory(unpacked.data, unpacked.len, &mini))
		return NULL;
	if (mini->machine != image->machine || adopt_segments(mini, image))
		return NULL;
	return take(mini);
}

/* Opens the debug file at @path. NULL: not there, not an ELF file, or of another machine. */
static struct image *open_debug(const struct image *image, const char *path)
{
	struct image *debug __cleanup_image = NULL;

	if (image_open(path, &debug))
		return NULL;
	if (debug->machine != image->machine || adopt_segments(debug, image))
		return NULL;
	return take(debug);
}

/* Writes ROOT/usr/lib/debug/.build-id/xx/rest.debug. */
static void build_id_path(struct buf *path, const struct image *image, const char *root)
{
	buf_reset(path);
	buf_printf(path, "%s" DEBUG_DIRECTORY "/.build-id/%02x/", root, image->build_id[0]);
	for (size_t i = 1; i < image->build_id_len; i++)
		buf_printf(path, "%02x", image->build_id[i]);
	buf_puts(path, ".debug");
}

static struct image *open_by_build_id(const struct image *image, const char *root)
{
	struct buf path __cleanup_buf = { 0 };
	struct image *debug __cleanup_image = NULL;

	if (image->build_id_len < 2)
		return NULL;
	build_id_path(&path, image, root);
	if (!path.error)
		debug = open_debug(image, path.data);
	if (!debug || debug->build_id_len != image->build_id_len ||
	    memcmp(debug->build_id, image->build_id, image->build_id_len) != 0)
		return NULL;
	return take(debug);
}

/* The CRC-32 of the whole file, as .gnu_debuglink has it. */
static int file_crc(const struct image *image, uint32_t *ret_crc)
{
	struct bytes chunk __cleanup_of(bytes) = { .data = malloc(CHUNK_BYTES) };
	uLong crc = crc32(0, NULL, 0);
	uint64_t at = 0;

	if (!chunk.data)
		return -ENOMEM;
	if (image->size_bytes > MAX_CHECKED_BYTES)
		return -EFBIG;
	while (at < image->size_bytes) {
		ssize_t n = pread(image->fd, chunk.data, CHUNK_BYTES, (off_t)at);

		if (n <= 0)
			return -EIO;
		crc = crc32(crc, (const Bytef *)chunk.data, (uInt)n);
		at += (uint64_t)n;
	}
	*ret_crc = (uint32_t)crc;
	return 0;
}

/* Opens the file at @path when its checksum is @crc and it is not @image itself. */
static struct image *open_checked(const struct image *image, const char *path, uint32_t crc)
{
	struct image *debug __cleanup_image = open_debug(image, path);
	uint32_t found;

	if (!debug || file_crc(debug, &found) || found != crc)
		return NULL;
	return take(debug);
}

int image_directory(const struct image *image, char *ret_path, size_t size)
{
	char self[64], *slash;
	ssize_t len;

	if (image->fd < 0)
		return -ENOENT;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", image->fd);
	len = readlink(self, ret_path, size - 1);
	if (len < 0)
		return -errno;
	ret_path[len] = '\0';
	slash = strrchr(ret_path, '/');
	if (!slash)
		return -ENOENT;
	*slash = '\0';
	return 0;
}

/* Tries the three places that GDB tries, under @root. */
static struct image *open_by_link(const struct image *image, const char *root, const char *name,
				  uint32_t crc)
{
	static const char *const places[][2] = { { "", "" },
						 { "", "/.debug" },
						 { DEBUG_DIRECTORY, "" } };
	char directory[PATH_MAX];
	struct image *debug = NULL;

	if (image_directory(image, directory, sizeof(directory)))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(places) && !debug; i++) {
		struct buf path __cleanup_buf = { 0 };

		buf_printf(&path, "%s%s%s%s/%s", root, places[i][0], directory, places[i][1], name);
		if (!path.error)
			debug = open_checked(image, path.data, crc);
	}
	return debug;
}

/* Reads .gnu_debuglink: a file name, padding to four bytes, the CRC. */
static int read_link(const struct image *image, char *ret_name, size_t size, uint32_t *ret_crc)
{
	GElf_Shdr header;
	Elf_Scn *section = image_section(image, ".gnu_debuglink", &header);
	bool fits = section && header.sh_size <= MAX_LINK_BYTES;
	Elf_Data *data = fits ? elf_rawdata(section, NULL) : NULL;
	size_t len, crc_at;

	if (!data || !data->d_buf)
		return -ENOENT;
	len = strnlen(data->d_buf, data->d_size);
	crc_at = (len + 4) & ~(size_t)3;
	if (!len || len >= size || crc_at + sizeof(*ret_crc) > data->d_size ||
	    memchr(data->d_buf, '/', len))
		return -ENOEXEC;
	memcpy(ret_name, data->d_buf, len + 1);
	memcpy(ret_crc, (const char *)data->d_buf + crc_at, sizeof(*ret_crc));
	return 0;
}

static struct image *open_separate(const struct image *image)
{
	const char *roots[] = { image->debug_root, "" };
	char name[NAME_MAX + 1];
	bool linked;
	uint32_t crc;

	if (image->fd < 0)
		return NULL;
	linked = !read_link(image, name, sizeof(name), &crc);
	for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
		struct image *debug;

		if (!roots[i])
			continue;
		debug = open_by_build_id(image, roots[i]);
		if (!debug && linked)
			debug = open_by_link(image, roots[i], name, crc);
		if (debug)
			return debug;
	}
	return NULL;
}

void image_load_companions(struct image *image)
{
	if (image->companions_loaded)
		return;
	image->companions_loaded = true;
	image->mini = open_mini(image);
	image->debug = open_separate(image);
}

int image_set_debug_root(struct image *image, const char *debug_root)
{
	char *copy = strdup(debug_root);

	if (!copy)
		return -ENOMEM;
	free(image->debug_root);
	image->debug_root = copy;
	return 0;
}
