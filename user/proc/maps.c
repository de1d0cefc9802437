/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The mappings of a process (Linux fs/proc/task_mmu.c, show_map_vma()):
 *
 *   start-end perms offset major:minor inode   path
 *
 * In the path only newline is escaped, as \012. A file whose name is gone has " (deleted)" behind
 * it; whether a name really ends like that can only be seen by looking for the file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "proc/proc.h"

#define MAX_TEXT (256UL << 20)

struct cursor {
	const char *at, *end;
};

/* Takes a number of base @base, at most 64 bits. */
static bool take_number(struct cursor *cursor, unsigned int base, uint64_t *ret_number)
{
	uint64_t number = 0;
	const char *first = cursor->at;

	for (; cursor->at < cursor->end; cursor->at++) {
		char c = *cursor->at;
		unsigned int digit;

		if (c >= '0' && c <= '9')
			digit = (unsigned int)(c - '0');
		else if (base == 16 && c >= 'a' && c <= 'f')
			digit = (unsigned int)(c - 'a') + 10;
		else
			break;
		if (__builtin_mul_overflow(number, (uint64_t)base, &number) ||
		    __builtin_add_overflow(number, (uint64_t)digit, &number))
			return false;
	}
	*ret_number = number;
	return cursor->at > first;
}

static bool take_char(struct cursor *cursor, char wanted)
{
	if (cursor->at == cursor->end || *cursor->at != wanted)
		return false;
	cursor->at++;
	return true;
}

static bool take_perms(struct cursor *cursor, char ret_perms[5])
{
	if (cursor->end - cursor->at < 4)
		return false;
	memcpy(ret_perms, cursor->at, 4);
	ret_perms[4] = '\0';
	cursor->at += 4;
	return strspn(ret_perms, "rwxsp-") == 4;
}

/* The rest of the line with \012 turned back into newline. NULL: out of memory. */
static char *take_path(struct cursor *cursor)
{
	char *path, *out;

	while (take_char(cursor, ' '))
		continue;
	path = out = malloc((size_t)(cursor->end - cursor->at) + 1);
	if (!path)
		return NULL;
	while (cursor->at < cursor->end) {
		if (cursor->end - cursor->at >= 4 && !memcmp(cursor->at, "\\012", 4)) {
			*out++ = '\n';
			cursor->at += 4;
		} else {
			*out++ = *cursor->at++;
		}
	}
	*out = '\0';
	return path;
}

static bool strip_deleted(char *path)
{
	static const char suffix[] = " (deleted)";
	size_t len = strlen(path), suffix_len = sizeof(suffix) - 1;

	if (len <= suffix_len || strcmp(path + len - suffix_len, suffix) != 0)
		return false;
	path[len - suffix_len] = '\0';
	return true;
}

static int parse_line(struct cursor line, struct mapping *ret_mapping)
{
	struct mapping mapping = { 0 };
	uint64_t major, minor;

	if (!take_number(&line, 16, &mapping.start) || !take_char(&line, '-') ||
	    !take_number(&line, 16, &mapping.end) || !take_char(&line, ' ') ||
	    !take_perms(&line, mapping.perms) || !take_char(&line, ' ') ||
	    !take_number(&line, 16, &mapping.file_offset) || !take_char(&line, ' ') ||
	    !take_number(&line, 16, &major) || !take_char(&line, ':') ||
	    !take_number(&line, 16, &minor) || !take_char(&line, ' ') ||
	    !take_number(&line, 10, &mapping.inode))
		return -EINVAL;
	if (mapping.start >= mapping.end || major > UINT32_MAX || minor > UINT32_MAX ||
	    memchr(line.at, '\0', (size_t)(line.end - line.at)))
		return -EINVAL;
	mapping.dev = makedev((unsigned int)major, (unsigned int)minor);
	mapping.path = take_path(&line);
	if (!mapping.path)
		return -ENOMEM;
	mapping.deleted = strip_deleted(mapping.path);
	*ret_mapping = mapping;
	return 0;
}

/* The text is read piece by piece while the process runs: what was printed at the end of one piece
 * may come again, grown, at the beginning of the next. The later line is the right one. */
static void make_room(struct maps *maps, uint64_t start)
{
	while (maps->nr_mappings) {
		struct mapping *last = &maps->mappings[maps->nr_mappings - 1];

		if (last->end <= start)
			return;
		if (last->start < start) {
			last->end = start;
			return;
		}
		free(last->path);
		maps->nr_mappings--;
	}
}

static int add_line(struct maps *maps, struct cursor line)
{
	struct mapping mapping;
	int err = vec_reserve((void **)&maps->mappings, &maps->capacity, maps->nr_mappings + 1,
			      sizeof(mapping));

	if (!err)
		err = parse_line(line, &mapping);
	if (err)
		return err;
	make_room(maps, mapping.start);
	maps->mappings[maps->nr_mappings++] = mapping;
	return 0;
}

DEFINE_CLEANUP(maps, struct maps, maps_done(value))

int maps_parse(const char *text, size_t len, struct maps *ret_maps)
{
	struct maps maps __cleanup_of(maps) = { 0 };
	const char *end = text + len;

	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		struct cursor line = { text, newline ? newline : end };
		int err = add_line(&maps, line);

		if (err)
			return err;
		text = newline ? newline + 1 : end;
	}
	*ret_maps = maps;
	maps = (struct maps){ 0 };
	return 0;
}

int maps_read(pid_t pid, struct maps *ret_maps)
{
	char *text __cleanup_string = NULL;
	char path[64];
	size_t len;
	int err;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	err = io_read_file(path, MAX_TEXT, &text, &len);
	if (err)
		return err == -ENOENT ? -ESRCH : err;
	if (!len) /* its main thread has ended, or all of it is just ending */
		return -ESRCH;
	return maps_parse(text, len, ret_maps);
}

const struct mapping *maps_find(const struct maps *maps, uint64_t address)
{
	size_t low = 0, high = maps->nr_mappings;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct mapping *mapping = &maps->mappings[middle];

		if (address >= mapping->start && address < mapping->end)
			return mapping;
		if (address < mapping->start)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

void maps_done(struct maps *maps)
{
	for (size_t i = 0; i < maps->nr_mappings; i++)
		free(maps->mappings[i].path);
	free(maps->mappings);
	*maps = (struct maps){ 0 };
}
