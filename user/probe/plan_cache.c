/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What files seen before offer to probe. A library that many processes share is decoded once.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "probe/discover.h"

#define MAX_CACHED_FILES 4096

struct cached_file {
	dev_t dev;
	ino_t inode;
	off_t size_bytes;
	struct timespec changed;
	struct discovery discovery;
};

struct plan_cache {
	struct cached_file *files;
	size_t nr_files, capacity;
	size_t next_reused; /* when the cache is full */
};

DEFINE_CLEANUP(image, struct image *, image_free(*value))

struct plan_cache *plan_cache_new(void)
{
	return calloc(1, sizeof(struct plan_cache));
}

struct plan_cache *plan_cache_free(struct plan_cache *cache)
{
	if (!cache)
		return NULL;
	for (size_t i = 0; i < cache->nr_files; i++)
		discovery_done(&cache->files[i].discovery);
	free(cache->files);
	free(cache);
	return NULL;
}

static bool is_same_file(const struct cached_file *file, const struct stat *status)
{
	return file->dev == status->st_dev && file->inode == status->st_ino &&
	       file->size_bytes == status->st_size &&
	       file->changed.tv_sec == status->st_ctim.tv_sec &&
	       file->changed.tv_nsec == status->st_ctim.tv_nsec;
}

/* An empty place for one more file. NULL: out of memory. */
static struct cached_file *cache_place(struct plan_cache *cache)
{
	struct cached_file *file;

	if (cache->nr_files < MAX_CACHED_FILES) {
		if (vec_reserve((void **)&cache->files, &cache->capacity, cache->nr_files + 1,
				sizeof(*file)) < 0)
			return NULL;
		return &cache->files[cache->nr_files++];
	}
	file = &cache->files[cache->next_reused];
	cache->next_reused = (cache->next_reused + 1) % MAX_CACHED_FILES;
	discovery_done(&file->discovery);
	return file;
}

int cache_discover(struct plan_cache *cache, const char *path,
		   const struct discovery **ret_discovery)
{
	struct image *image __cleanup_of(image) = NULL;
	struct discovery discovery;
	struct cached_file *file;
	struct stat status;
	int err;

	if (stat(path, &status) < 0)
		return -errno;
	for (size_t i = 0; i < cache->nr_files; i++) {
		if (is_same_file(&cache->files[i], &status)) {
			*ret_discovery = &cache->files[i].discovery;
			return 0;
		}
	}
	err = image_open(path, &image);
	if (err < 0)
		return err;
	err = discover(image, &discovery);
	if (err < 0)
		return err;
	file = cache_place(cache);
	if (!file) {
		discovery_done(&discovery);
		return -ENOMEM;
	}
	*file = (struct cached_file){
		.dev = status.st_dev,
		.inode = status.st_ino,
		.size_bytes = status.st_size,
		.changed = status.st_ctim,
		.discovery = discovery,
	};
	*ret_discovery = &file->discovery;
	return 0;
}
