/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How much memory a process may still take: the least that its control group, the groups above it
 * and the machine have left (Linux Documentation/admin-guide/cgroup-v2.rst, "Memory";
 * cgroup-v1/memory.rst; Documentation/filesystems/proc.rst, "meminfo").
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proc/proc.h"

#define FILE_BYTES_MAX (1 << 20)
#define PATH_BYTES     4096

/* The files of the two versions of control groups. */
struct group_files {
	const char *limit, *usage, *cache;
};

static const struct group_files group_v1 = { "memory.limit_in_bytes", "memory.usage_in_bytes",
					     "total_inactive_file" };
static const struct group_files group_v2 = { "memory.max", "memory.current", "inactive_file" };

/* The number behind the line of @text that begins with @name; false: there is none. */
static bool number_after(const char *text, const char *name, uint64_t *ret_number)
{
	size_t len = strlen(name);

	while (text) {
		if (strncmp(text, name, len) == 0 && strchr(" :\t", text[len]) && text[len]) {
			*ret_number = strtoull(text + len + 1, NULL, 10);
			return true;
		}
		text = strchr(text, '\n');
		text += text ? 1 : 0;
	}
	return false;
}

static int read_text(const char *folder, const char *name, char **ret_text)
{
	char path[PATH_BYTES];
	size_t len;

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return io_read_file(path, FILE_BYTES_MAX, ret_text, &len);
}

/* A file that holds one number. "max" and the largest number of version 1 are no limit. */
static bool read_number(const char *folder, const char *name, uint64_t *ret_number)
{
	char *text __cleanup_string = NULL;
	char *end;
	uint64_t number;

	if (read_text(folder, name, &text))
		return false;
	number = strtoull(text, &end, 10);
	if (end == text || number > INT64_MAX - PATH_BYTES)
		return false;
	*ret_number = number;
	return true;
}

/* Lowers @left to what the group in @folder has left; what the kernel can drop from its cache
 * counts as left. */
static void group_left(const char *folder, const struct group_files *files,
		       struct memory_left *left)
{
	char *text __cleanup_string = NULL;
	uint64_t limit, usage, cache = 0, room;
	struct stat status;

	if (stat(folder, &status) || !read_number(folder, files->limit, &limit) ||
	    !read_number(folder, files->usage, &usage))
		return;
	if (!read_text(folder, "memory.stat", &text))
		number_after(text, files->cache, &cache);
	usage -= MIN(usage, cache);
	room = limit > usage ? limit - usage : 0;
	if (room > left->bytes)
		return;
	left->bytes = room;
	left->by_group = true;
	left->group = (uint64_t)status.st_dev << 48 ^ status.st_ino;
}

/* The group and all above it, up to where its hierarchy is mounted. */
static void groups_left(const char *mount, const char *group, const struct group_files *files,
			struct memory_left *left)
{
	char folder[PATH_BYTES];
	size_t mount_len = strlen(mount);

	if (strstr(group, "..") ||
	    snprintf(folder, sizeof(folder), "%s%s", mount, group) >= (int)sizeof(folder))
		return;
	for (;;) {
		char *slash;

		group_left(folder, files, left);
		slash = strrchr(folder, '/');
		if (!slash || (size_t)(slash - folder) < mount_len)
			return;
		*slash = '\0';
	}
}

/* Does the line of /proc/PID/mountinfo mount the memory controller of that version? Then where, and
 * which group is at the top (Linux Documentation/filesystems/proc.rst, 3.5). */
static bool parse_mount(const char *line, bool is_v2, char top[PATH_BYTES], char mount[PATH_BYTES])
{
	char type[32], options[PATH_BYTES];
	const char *rest;

	if (sscanf(line, "%*d %*d %*s %4095s %4095s", top, mount) != 2)
		return false;
	rest = strstr(line, " - ");
	if (!rest || sscanf(rest, " - %31s %*s %4095s", type, options) != 2)
		return false;
	if (is_v2)
		return strcmp(type, "cgroup2") == 0;
	return strcmp(type, "cgroup") == 0 && strstr(options, "memory");
}

/* Finds the hierarchy in @mounts and looks at @group, as it is called below the top of that. */
static void hierarchy_left(const char *mounts, const char *group, bool is_v2,
			   struct memory_left *left)
{
	const struct group_files *files = is_v2 ? &group_v2 : &group_v1;
	char top[PATH_BYTES], mount[PATH_BYTES];
	size_t top_len;

	for (const char *line = mounts; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!parse_mount(line, is_v2, top, mount))
			continue;
		top_len = strcmp(top, "/") == 0 ? 0 : strlen(top);
		if (strncmp(group, top, top_len) == 0)
			groups_left(mount, group + top_len, files, left);
		return;
	}
}

/* @groups: the text of /proc/PID/cgroup, lines of "number:controllers:group". */
static void all_groups_left(char *groups, const char *mounts, struct memory_left *left)
{
	char *rest = groups, *line;

	while ((line = strsep(&rest, "\n"))) {
		char *controllers = strchr(line, ':');
		char *group = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!group)
			continue;
		*group++ = '\0';
		if (strcmp(line, "0:") == 0)
			hierarchy_left(mounts, group, true, left);
		else if (strstr(controllers, "memory"))
			hierarchy_left(mounts, group, false, left);
	}
}

int memory_left(pid_t pid, struct memory_left *ret_left)
{
	char *meminfo __cleanup_string = NULL;
	char *groups __cleanup_string = NULL;
	char *mounts __cleanup_string = NULL;
	struct memory_left left = { 0 };
	char folder[64];
	uint64_t kib;
	int code = read_text("/proc", "meminfo", &meminfo);

	if (code)
		return code;
	if (!number_after(meminfo, "MemAvailable", &kib))
		return -ENODATA;
	left.bytes = kib * 1024;
	snprintf(folder, sizeof(folder), "/proc/%d", pid);
	if (!read_text(folder, "cgroup", &groups) && !read_text("/proc/self", "mountinfo", &mounts))
		all_groups_left(groups, mounts, &left);
	*ret_left = left;
	return 0;
}
