/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Linux Documentation/filesystems/proc.rst, 3.8 (fdinfo of epoll files) and fs/proc/base.c,
 * show_timer() (/proc/PID/timers, with CONFIG_CHECKPOINT_RESTORE).
 */
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reach/process.h"

#define TEXT_BYTES_MAX (64 << 20)

DEFINE_CLEANUP(folder, DIR *, if (*value) closedir(*value))

/* Feeds the hexadecimal numbers that follow @name in the file. */
static void feed_numbers(const char *path, const char *name, struct graph *graph)
{
	char *text __cleanup_string = NULL;
	const char *at;
	size_t len;

	if (io_read_file(path, TEXT_BYTES_MAX, &text, &len))
		return;
	for (at = strstr(text, name); at; at = strstr(at, name)) {
		at += strlen(name);
		graph_root(graph, strtoull(at, NULL, 16));
	}
}

/* "signal: 10/0000555555559ac0": the number of the signal, then the pointer. */
static void feed_timers(pid_t pid, struct graph *graph)
{
	char path[64];
	char *text __cleanup_string = NULL;
	const char *at;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/timers", (int)pid);
	if (io_read_file(path, TEXT_BYTES_MAX, &text, &len))
		return;
	for (at = strstr(text, "signal: "); at; at = strstr(at, "signal: ")) {
		at += strcspn(at, "/\n");
		if (*at == '/')
			graph_root(graph, strtoull(at + 1, NULL, 16));
	}
}

/* Feeds what descriptor @name keeps. Returns 1 when it keeps what can not be told. */
static int feed_descriptor(pid_t pid, const char *name, struct graph *graph)
{
	char path[64 + NAME_MAX], link[64];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)pid, name);
	len = readlink(path, link, sizeof(link) - 1);
	if (len < 0)
		return 0;
	link[len] = '\0';
	if (strcmp(link, "anon_inode:[io_uring]") == 0)
		return 1;
	if (strcmp(link, "anon_inode:[eventpoll]") != 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", (int)pid, name);
	feed_numbers(path, "data:", graph);
	return 0;
}

int kept_feed(pid_t pid, struct graph *graph)
{
	char path[64];
	DIR *folder __cleanup_of(folder) = NULL;
	const struct dirent *entry;
	int untold = 0;

	feed_timers(pid, graph);
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	folder = opendir(path);
	while (folder && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			untold |= feed_descriptor(pid, entry->d_name, graph);
	return untold;
}
