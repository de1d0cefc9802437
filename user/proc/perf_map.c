/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names of code that a JIT compiler made: lines "start size name", numbers in hex, appended while
 * the program runs. The file belongs to the target, so nothing in it is trusted.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proc/stat.h"
#include "proc/symbolizer.h"

#define MAX_FILE_BYTES (64UL << 20)
#define MAX_ENTRIES    (1UL << 20)
#define READ_BYTES     (1UL << 20) /* also the longest line that is understood */
#define MAX_OVERLAPS   64

struct perf_entry {
	uint64_t start, end;
	uint32_t order; /* of two at one address the later is right: code is replaced */
	uint32_t name;  /* offset in names */
};

struct perf_map {
	char path[128];
	uint64_t inode;
	uint64_t read_bytes; /* the file up to here has been read */
	struct perf_entry *entries;
	size_t nr_entries, capacity;
	struct buf names;
	bool sorted;
};

struct perf_map *perf_map_new(pid_t pid)
{
	struct perf_map *map = calloc(1, sizeof(*map));
	pid_t process, inner;

	if (!map)
		return NULL;
	if (!process_ids_read(pid, &process, &inner))
		snprintf(map->path, sizeof(map->path), "/proc/%d/root/tmp/perf-%d.map", pid, inner);
	return map;
}

static void forget_all(struct perf_map *map)
{
	map->nr_entries = 0;
	map->read_bytes = 0;
	buf_reset(&map->names);
}

struct perf_map *perf_map_free(struct perf_map *map)
{
	if (!map)
		return NULL;
	free(map->entries);
	buf_done(&map->names);
	free(map);
	return NULL;
}

/* Parses "start size name" of @len bytes, NUL-terminated there. false: not such a line. */
static bool parse_line(const char *line, size_t len, struct perf_entry *entry,
		       const char **ret_name)
{
	unsigned long start, size;
	int used = 0;

	if (memchr(line, '\0', len) || sscanf(line, "%lx %lx %n", &start, &size, &used) != 2 ||
	    !used || !line[used] || !size || __builtin_add_overflow(start, size, &entry->end))
		return false;
	entry->start = start;
	*ret_name = line + used;
	return true;
}

static int add_entry(struct perf_map *map, struct perf_entry entry, const char *name)
{
	int err = vec_reserve((void **)&map->entries, &map->capacity, map->nr_entries + 1,
			      sizeof(entry));

	if (err)
		return err;
	entry.order = (uint32_t)map->nr_entries;
	entry.name = (uint32_t)map->names.len;
	buf_add(&map->names, name, strlen(name) + 1);
	if (map->names.error)
		return map->names.error;
	map->entries[map->nr_entries++] = entry;
	map->sorted = false;
	return 0;
}

long perf_map_parse(struct perf_map *map, const char *text, size_t len)
{
	const char *at = text, *end = text + len, *newline;

	while ((newline = memchr(at, '\n', (size_t)(end - at))) && map->nr_entries < MAX_ENTRIES) {
		size_t line_len = (size_t)(newline - at);
		char *line __cleanup_string = strndup(at, line_len);
		struct perf_entry entry = { 0 };
		const char *name;
		int err = 0;

		if (!line)
			return -ENOMEM;
		if (parse_line(line, strlen(line), &entry, &name))
			err = add_entry(map, entry, name);
		if (err)
			return err;
		at = newline + 1;
	}
	return at - text;
}

/* Reads and parses the next piece. Returns how many bytes were used; 0: nothing more. */
static long read_piece(struct perf_map *map, int fd, char *piece)
{
	ssize_t len = pread(fd, piece, READ_BYTES, (off_t)map->read_bytes);
	long used;

	if (len <= 0)
		return 0;
	used = perf_map_parse(map, piece, (size_t)len);
	if (used > 0)
		map->read_bytes += (uint64_t)used;
	return used;
}

void perf_map_refresh(struct perf_map *map)
{
	int fd __cleanup_fd =
		open(map->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	char *piece __cleanup_string = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return;
	if (st.st_ino != map->inode || (uint64_t)st.st_size < map->read_bytes)
		forget_all(map);
	map->inode = st.st_ino;
	if ((uint64_t)st.st_size == map->read_bytes)
		return;
	piece = malloc(READ_BYTES);
	while (piece && map->read_bytes < MAX_FILE_BYTES && read_piece(map, fd, piece) > 0)
		continue;
}

static int compare_entries(const void *left, const void *right)
{
	const struct perf_entry *a = left, *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return (a->order > b->order) - (a->order < b->order);
}

/* How many entries begin at or before @address. */
static size_t count_before(const struct perf_map *map, uint64_t address)
{
	size_t low = 0, high = map->nr_entries;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (map->entries[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const char *perf_map_find(struct perf_map *map, uint64_t address)
{
	const struct perf_entry *best = NULL;
	size_t last, first;

	if (!map->sorted && map->nr_entries)
		qsort(map->entries, map->nr_entries, sizeof(*map->entries), compare_entries);
	map->sorted = true;
	last = count_before(map, address);
	first = last > MAX_OVERLAPS ? last - MAX_OVERLAPS : 0;
	for (size_t i = last; i-- > first;) {
		const struct perf_entry *entry = &map->entries[i];

		if (address < entry->end && (!best || entry->order > best->order))
			best = entry;
	}
	return best ? map->names.data + best->name : NULL;
}
