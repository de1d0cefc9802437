/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Goroutines that never wait: seen running, or about to, in every poll for long, in a process that
 * takes a CPU, or would if others left it one. It may be a select with default in a loop, or honest
 * work: suspect, not more.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "golang/process.h"
#include "golang/sites.h"

#define SPIN_NS     (5 * NSEC_PER_SEC)
#define SPIN_POLLS  5
#define BUSY_SHARE  2 /* at least 1/BUSY_SHARE of a CPU */
#define MAX_SAMPLED 3 /* polls: what is not found then is in C code, or deeper than samples reach */
#define MAX_STAT    4096

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

/* How long one thread has waited for a CPU is added to the sum, in ns. Linux
 * Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat: the second number. */
static bool add_wait_time(pid_t tid, void *context)
{
	char *text __cleanup_string = NULL;
	uint64_t *wait_ns = context, one_ns;
	char path[64];
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)tid);
	if (!io_read_file(path, MAX_STAT, &text, &len) &&
	    sscanf(text, "%*u %" SCNu64, &one_ns) == 1)
		*wait_ns += one_ns;
	return true;
}

/* The sum over the threads of process @pid that live. */
static uint64_t wait_time_ns(pid_t pid)
{
	uint64_t wait_ns = 0;

	target_for_each_thread(pid, add_wait_time, &wait_ns);
	return wait_ns;
}

/* Has it been running for long, and the process wanted a good part of a CPU meanwhile? */
static bool is_spinning(const struct goroutine_member *member, uint64_t cpu_ns, uint64_t now_ns)
{
	uint64_t passed = now_ns - member->running_ns;

	return member->nr_running >= SPIN_POLLS && passed >= SPIN_NS &&
	       cpu_ns > member->running_cpu_ns &&
	       cpu_ns - member->running_cpu_ns >= passed / BUSY_SHARE;
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

static bool has_runner(const struct goroutine_watch *watch)
{
	for (size_t i = 0; i < watch->nr_members; i++)
		if (watch->members[i].nr_running)
			return true;
	return false;
}

static void forget_place(struct goroutine_site *site)
{
	free(site->running.frames);
	site->running = (struct stack){ 0 };
	site->nr_sampled = 0;
}

/* Finds out where those are that never wait, by samples between the last poll and this one; while
 * that is not known of all, more are taken until the next poll, but not for ever. */
static void find_places(struct goroutine_watch *watch)
{
	bool unknown = false;

	for (size_t i = 0; i < watch->nr_sites; i++) {
		struct goroutine_site *site = watch->sites[i];
		const struct stack *found = NULL;

		if (!site->spinning[0])
			forget_place(site);
		if (!site->spinning[0] || site->running.nr_frames || !site->stack.nr_frames)
			continue;
		if (watch->samples)
			found = running_stack(watch->golang, watch->samples,
					      site->stack.frames[0].address);
		if (found && !site_copy_running(site, found, &site->running))
			continue;
		if (site->nr_sampled++ < MAX_SAMPLED)
			unknown = true;
	}
	watch->samples = cpu_samples_stop(watch->samples);
	if (unknown)
		watch->samples = cpu_samples_start(watch->pid);
}

void spinning_done(struct goroutine_watch *watch)
{
	watch->samples = cpu_samples_stop(watch->samples);
}

void spinning_find(struct goroutine_watch *watch, uint64_t now_ns)
{
	uint64_t cpu_ns =
		has_runner(watch) ? cpu_time_ns(watch->pid) + wait_time_ns(watch->pid) : 0;

	for (size_t i = 0; i < watch->nr_sites; i++)
		watch->sites[i]->spinning[0] = '\0';
	for (size_t i = 0; i < watch->nr_members; i++) {
		struct goroutine_member *member = &watch->members[i];

		if (member->nr_running == 1)
			member->running_cpu_ns = cpu_ns;
		if (is_spinning(member, cpu_ns, now_ns) && !member->site->spinning[0])
			describe(member->site, member, now_ns);
	}
	if (watch->golang)
		find_places(watch);
}

const char *goroutine_watch_spinning(const struct goroutine_watch *watch, uint64_t id)
{
	const struct goroutine_site *site = site_find(watch, id);

	return site && site->spinning[0] ? site->spinning : NULL;
}
