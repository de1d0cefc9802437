/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Opened images, shared between processes: a build-id and size name the same file wherever it lies,
 * and where there is no build-id, device and inode do.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proc/symbolizer.h"

#define MAX_VDSO_BYTES (1UL << 20)
#define PATH_BYTES     (PATH_MAX + 64)

static void free_cached(struct cached_image *cached)
{
	if (cached)
		image_free(cached->image);
	free(cached);
}

DEFINE_CLEANUP(cached, struct cached_image *, free_cached(*value))

/* The vdso has no file: it is read from the memory of the process. */
static int open_vdso(pid_t pid, const struct mapping *mapping, struct cached_image *cached)
{
	size_t len = mapping->end - mapping->start;
	char *bytes __cleanup_string = NULL;
	int fd __cleanup_fd = -1;
	char path[64];
	int err;

	if (len > MAX_VDSO_BYTES)
		return -EFBIG;
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	bytes = malloc(len);
	if (!bytes)
		return -ENOMEM;
	err = io_pread_full(fd, bytes, len, mapping->start);
	cached->size_bytes = len;
	return err ? err : image_open_memory(bytes, len, &cached->image);
}

static int open_file(pid_t pid, const struct mapping *mapping, struct cached_image *cached)
{
	char path[PATH_BYTES], root[64];
	struct stat st;
	int err = mapping_open_path(pid, mapping, path, sizeof(path));

	if (!err)
		err = image_open(path, &cached->image);
	if (err)
		return err;
	snprintf(root, sizeof(root), "/proc/%d/root", pid);
	if (!stat(path, &st))
		cached->size_bytes = (uint64_t)st.st_size;
	cached->dev = mapping->dev;
	cached->inode = mapping->inode;
	return image_set_debug_root(cached->image, root);
}

static bool is_same(const struct cached_image *a, const struct cached_image *b)
{
	if (a->size_bytes != b->size_bytes || a->build_id_len != b->build_id_len)
		return false;
	if (a->build_id_len)
		return !memcmp(a->build_id, b->build_id, a->build_id_len);
	return a->inode && a->dev == b->dev && a->inode == b->inode;
}

struct cached_image *image_cache_get(struct cached_image **cache, pid_t pid,
				     const struct mapping *mapping)
{
	struct cached_image *fresh __cleanup_of(cached) = calloc(1, sizeof(*fresh));
	struct cached_image *known;
	int err;

	if (!fresh)
		return NULL;
	if (!strcmp(mapping->path, "[vdso]"))
		err = open_vdso(pid, mapping, fresh);
	else
		err = open_file(pid, mapping, fresh);
	if (err) {
		log_write(LOG_DEBUG, "PID %d: %s: %s", pid, mapping->path, strerror(-err));
		return NULL;
	}
	fresh->build_id_len = image_build_id(fresh->image, fresh->build_id);
	for (known = *cache; known && !is_same(known, fresh); known = known->next)
		continue;
	if (!known) {
		fresh->next = *cache;
		*cache = known = take(fresh);
	}
	known->nr_users++;
	return known;
}

void image_cache_put(struct cached_image **cache, struct cached_image *cached)
{
	struct cached_image **link = cache;

	if (!cached || --cached->nr_users)
		return;
	while (*link && *link != cached)
		link = &(*link)->next;
	if (*link)
		*link = cached->next;
	free_cached(cached);
}
