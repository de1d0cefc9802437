/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Resident memory in windows. Which pages are resident, swapped out or unchanged pages of a file is
 * told by /proc/PID/pagemap (Linux Documentation/admin-guide/mm/pagemap.rst): none is brought in.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "reach/process.h"

#define WINDOW_PAGES 256

#define PAGE_PRESENT (1ULL << 63)
#define PAGE_SWAPPED (1ULL << 62)
#define PAGE_OF_FILE (1ULL << 61) /* of a file, or of shared memory */

int pages_open(struct pages *pages, pid_t pid)
{
	char path[64];

	*pages = (struct pages){ .pid = pid, .page_bytes = (size_t)sysconf(_SC_PAGESIZE) };
	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)pid);
	pages->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (pages->pagemap < 0)
		return -errno;
	pages->buffer = malloc(WINDOW_PAGES * pages->page_bytes);
	return pages->buffer ? 0 : -ENOMEM;
}

void pages_done(struct pages *pages)
{
	if (pages->pagemap >= 0)
		close(pages->pagemap);
	free(pages->buffer);
	maps_done(&pages->maps);
	*pages = (struct pages){ .pagemap = -1 };
}

int pages_begin(struct pages *pages)
{
	struct maps maps;
	int error = maps_read(pages->pid, &maps);

	if (error)
		return error;
	maps_done(&pages->maps);
	pages->maps = maps;
	if (maps.nr_mappings == 0) /* it has ended */
		return -ESRCH;
	pages->mapping = 0;
	pages->position = 0;
	pages->swapped_bytes = 0;
	return 0;
}

static bool is_shared(const struct mapping *mapping)
{
	return mapping->perms[3] == 's';
}

static bool is_device(const struct mapping *mapping)
{
	return strncmp(mapping->path, "/dev/", 5) == 0 && strncmp(mapping->path, "/dev/shm/", 9) &&
	       strncmp(mapping->path, "/dev/zero", 9);
}

/* May pointers be written into it, or have been before it was made read-only? */
static bool is_wanted(const struct mapping *mapping)
{
	if (mapping->path[0] == '[' && mapping->path[1] == 'v') /* vdso, vvar, vsyscall */
		return false;
	if (is_device(mapping) || mapping->perms[0] != 'r')
		return false;
	return !is_shared(mapping) || mapping->perms[1] == 'w';
}

static bool is_page_wanted(const struct mapping *mapping, uint64_t page)
{
	return page & PAGE_PRESENT && (is_shared(mapping) || !(page & PAGE_OF_FILE));
}

/* Reads and feeds @nr pages at @address; what was unmapped meanwhile is left out. Code has pointers
 * at any address. */
static int feed_run(struct pages *pages, const struct mapping *mapping, uint64_t address, size_t nr,
		    struct graph *graph)
{
	size_t bytes = nr * pages->page_bytes, done = 0;

	while (done < bytes) {
		struct iovec local = { pages->buffer, bytes - done };
		struct iovec remote = { (void *)(uintptr_t)(address + done), bytes - done };
		ssize_t len = process_vm_readv(pages->pid, &local, 1, &remote, 1, 0);

		if (len < 0 && errno != EFAULT)
			return -errno;
		if (len > 0)
			graph_feed(graph, address + done, pages->buffer, (size_t)len,
				   mapping->perms[2] == 'x' ? 1 : sizeof(uint64_t));
		pages->read_bytes += len > 0 ? (uint64_t)len : 0;
		done += len > 0 ? (size_t)len : pages->page_bytes;
	}
	return 0;
}

/* Feeds what is resident of a window, in runs of neighbouring pages. */
static int feed_window(struct pages *pages, const struct mapping *mapping, uint64_t address,
		       const uint64_t *window, size_t nr, struct graph *graph)
{
	size_t at = 0, end;
	int error = 0;

	while (!error && at < nr) {
		for (end = at; end < nr && is_page_wanted(mapping, window[end]);)
			end++;
		if (end > at)
			error = feed_run(pages, mapping, address + at * pages->page_bytes, end - at,
					 graph);
		else if (window[end++] & PAGE_SWAPPED)
			pages->swapped_bytes += pages->page_bytes;
		at = end;
	}
	return error;
}

/* Goes on to the next mapping that is wanted; NULL: there is none. */
static const struct mapping *next_mapping(struct pages *pages)
{
	while (pages->mapping < pages->maps.nr_mappings) {
		const struct mapping *mapping = &pages->maps.mappings[pages->mapping];

		if (strcmp(mapping->path, "/[aio]") == 0)
			pages->asynchronous = true;
		if (is_wanted(mapping) && pages->position < mapping->end)
			return mapping;
		pages->mapping++;
		pages->position = 0;
	}
	return NULL;
}

int pages_feed(struct pages *pages, struct graph *graph)
{
	const struct mapping *mapping = next_mapping(pages);
	uint64_t window[WINDOW_PAGES], start;
	size_t nr;
	ssize_t len;

	if (!mapping)
		return 1;
	start = MAX(pages->position, mapping->start);
	nr = MIN((mapping->end - start) / pages->page_bytes, WINDOW_PAGES);
	pages->position = start + nr * pages->page_bytes;
	len = pread(pages->pagemap, window, nr * sizeof(*window),
		    (off_t)(start / pages->page_bytes * sizeof(*window)));
	if (len < 0)
		return -errno;
	nr = (size_t)len / sizeof(*window);
	if (nr == 0) { /* the process has ended */
		pages->position = mapping->end;
		return -ESRCH;
	}
	return feed_window(pages, mapping, start, window, nr, graph);
}
