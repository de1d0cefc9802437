/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Goroutines that never wait: seen running, or about to, in every poll for long, in a process that
 * takes a CPU. It may be a select with default in a loop, or honest work: suspect, not more.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "golang/sites.h"

#define SPIN_NS    (5 * NSEC_PER_SEC)
#define SPIN_POLLS 5
#define BUSY_SHARE 2 /* at least 1/BUSY_SHARE of a CPU */
#define MAX_STAT   4096

/* CPU time of process @pid in ns, of all its threads; 0: unknown. Linux
 * Documentation/filesystems/proc.rst, /proc/PID/stat: utime, stime. */
static uint64_t cpu_time_ns(pid_t pid)
{
	char *text __cleanup_string = NULL;
	uint64_t user, system;
	const char *close;
	char path[64];
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (io_read_file(path, MAX_STAT, &text, &len))
		return 0;
	close = strrchr(text, ')');
	if (!close ||
	    sscanf(close + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64,
		   &user, &system) != 2)
		return 0;
	return (user + system) * (NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* Did the process take a good part of a CPU since the last poll? */
static bool is_busy(struct goroutine_watch *watch, uint64_t now_ns)
{
	uint64_t cpu_ns = cpu_time_ns(watch->pid);
	uint64_t taken = cpu_ns > watch->cpu_ns ? cpu_ns - watch->cpu_ns : 0;
	uint64_t passed = now_ns - watch->cpu_at_ns;
	bool known = watch->cpu_ns;

	watch->cpu_ns = cpu_ns;
	watch->cpu_at_ns = now_ns;
	return known && taken >= passed / BUSY_SHARE;
}

static void describe(struct goroutine_site *site, const struct goroutine_member *member,
		     uint64_t now_ns)
{
	const char *function = site->stack.nr_frames ? site->stack.frames[0].function : NULL;

	snprintf(site->spinning, sizeof(site->spinning),
		 "goroutine %" PRIu64 " has been running in %.150s for %" PRIu64
		 " s without ever waiting",
		 member->id, function ? function : "an unknown function",
		 (uint64_t)((now_ns - member->running_ns) / NSEC_PER_SEC));
}

void spinning_find(struct goroutine_watch *watch, uint64_t now_ns)
{
	bool busy = is_busy(watch, now_ns);

	for (size_t i = 0; i < watch->nr_sites; i++)
		watch->sites[i]->spinning[0] = '\0';
	for (size_t i = 0; i < watch->nr_members; i++) {
		const struct goroutine_member *member = &watch->members[i];

		if (busy && member->nr_running >= SPIN_POLLS &&
		    now_ns - member->running_ns >= SPIN_NS && !member->site->spinning[0])
			describe(member->site, member, now_ns);
	}
}

const char *goroutine_watch_spinning(const struct goroutine_watch *watch, uint64_t id)
{
	const struct goroutine_site *site = site_find(watch, id);

	return site && site->spinning[0] ? site->spinning : NULL;
}
