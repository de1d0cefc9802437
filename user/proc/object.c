/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ways to the file behind a mapping.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "proc/proc.h"

#define MAX_PATH 8192 /* "/proc/PID/root" and a path of PATH_MAX */

/* Builds a path and keeps it when a regular file is there, of the number @inode (0: any). */
static int __attribute__((format(printf, 4, 5))) try_path(char *ret_path, size_t size,
							  uint64_t inode, const char *format, ...)
{
	char path[MAX_PATH];
	struct stat st;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	if (len < 0 || (size_t)len >= MIN(size, sizeof(path)))
		return -ENAMETOOLONG;
	if (stat(path, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || (inode && st.st_ino != inode))
		return -ENOENT;
	memcpy(ret_path, path, (size_t)len + 1);
	return 0;
}

/* map_files is the file itself, whatever has become of its name. The others are names, where
 * another file may stand by now, so the inode must be the same. The device is not compared: on
 * overlayfs and btrfs stat() tells another one than /proc/PID/maps for the same file. */
int mapping_open_path(pid_t pid, const struct mapping *mapping, char *ret_path, size_t size)
{
	int err;

	if (!mapping->inode)
		return -ENOENT;
	err = try_path(ret_path, size, 0, "/proc/%d/map_files/%lx-%lx", pid, mapping->start,
		       mapping->end);
	if (err && mapping->path[0] == '/')
		err = try_path(ret_path, size, mapping->inode, "/proc/%d/root%s", pid,
			       mapping->path);
	if (err && mapping->deleted) /* perhaps it is really called that */
		err = try_path(ret_path, size, mapping->inode, "/proc/%d/root%s (deleted)", pid,
			       mapping->path);
	if (err)
		err = try_path(ret_path, size, mapping->inode, "/proc/%d/exe", pid);
	return err;
}
