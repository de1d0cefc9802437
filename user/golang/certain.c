/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is certain at once, without any history: goroutines that nothing can ever wake.
 *
 * The program's first goroutine is exempt: to block it for ever is how programs keep running. One
 * goroutine in an empty select at a site may be meant that way, too; several are not.
 */
#include <string.h>

#include "golang/sites.h"

#define MANY      10   /* waiters of one object are worth naming it */
#define MAX_NAMED 4096 /* objects named in one watch; a bound for hostile programs */

static bool begins_with(const char *text, const char *head)
{
	return strncmp(text, head, strlen(head)) == 0;
}

/* What is at the address that those with this wait reason wait for. */
static const char *object_name(const char *reason)
{
	static const struct {
		const char *reason, *name;
	} names[] = {
		{ "chan ", "channel" },        { "sync.Mutex", "mutex" },
		{ "sync.RWMutex", "mutex" },   { "sync.Cond", "condition" },
		{ "sync.WaitGroup", "group" }, { "semacquire", "semaphore" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (begins_with(reason, names[i].reason))
			return names[i].name;
	return "object";
}

/* "chan send (one channel 0xc000123456)" when many wait, and all but a few of them for the same. What
 * those in C code or in a system call cost is told, too. */
static const char *state_of(struct goroutine_watch *watch, struct goroutine_site *site)
{
	struct buf text __cleanup_buf = { 0 };

	if (!strcmp(site->reason, "syscall"))
		return "syscall (one thread each)";
	if (!site->object || site->nr_object < MANY || site->nr_object < site->live / 10 * 9)
		return site->reason;
	if (site->object == site->named_object)
		return site->named_state;
	if (watch->nr_named == MAX_NAMED)
		return site->reason;
	buf_printf(&text, "%s (one %s 0x%jx)", site->reason, object_name(site->reason),
		   (uintmax_t)site->object);
	if (!text.data)
		return site->reason;
	watch->nr_named++;
	site->named_object = site->object;
	site->named_state = strings_intern(watch->strings, text.data);
	return site->named_state ? site->named_state : site->reason;
}

static const char *proof_of(const struct goroutine_site *site)
{
	if (!site->live || site->has_main)
		return NULL;
	if (site->nr_leaked == site->live)
		return "the Go runtime itself has proved that nothing can ever wake it";
	if (site->nr_leaked)
		return "the Go runtime itself has proved of some that nothing can ever wake them";
	if (strstr(site->reason, "(nil chan)"))
		return "waits on a nil channel: nothing can ever wake it";
	if (!strcmp(site->reason, "select (no cases)") && site->live > 1)
		return "several wait in a select without cases: nothing can ever wake them";
	return NULL;
}

void sites_explain(struct goroutine_watch *watch)
{
	for (size_t i = 0; i < watch->nr_sites; i++) {
		struct goroutine_site *site = watch->sites[i];

		site->state = state_of(watch, site);
		site->proof = proof_of(site);
	}
}
