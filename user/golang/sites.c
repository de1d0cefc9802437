/* SPDX-License-Identifier: GPL-2.0-only */
/* Which goroutine is at which site: what was opened and closed since the last poll. */
#include "golang/sites.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- who is there --- */

static struct goroutine_member *find_old(const struct goroutine_watch *watch, size_t *at,
					 const struct goroutine *goroutine)
{
	struct goroutine_member *member;

	while (*at < watch->nr_members && watch->members[*at].address < goroutine->address)
		(*at)++;
	member = *at < watch->nr_members ? &watch->members[*at] : NULL;
	if (!member || member->address != goroutine->address || member->id != goroutine->id)
		return NULL;
	return member;
}

/* The site of @goroutine, which was at @old (NULL: new). One that waits, but changed while it was
 * being read, counts as not having moved. */
static struct goroutine_site *next_site(struct goroutine_watch *watch,
					const struct goroutine *goroutine,
					struct goroutine_site *old)
{
	if (old && !goroutine->stack && goroutine_waits(goroutine))
		return old;
	return site_of(watch, goroutine);
}

static void site_open(struct goroutine_watch *watch, struct goroutine_site *site)
{
	site->opened++;
	watch->opened++;
}

static void site_close(struct goroutine_watch *watch, struct goroutine_site *site, uint64_t now_ns)
{
	site->closed++;
	site->emptied_ns = now_ns;
	watch->closed++;
}

/* Where @goroutine is now; @old: what was known of it, NULL: nothing. */
static int move_member(struct goroutine_watch *watch, const struct goroutine *goroutine,
		       struct goroutine_member *old, uint64_t now_ns,
		       struct goroutine_member *ret_member)
{
	struct goroutine_site *before = old ? old->site : NULL;
	struct goroutine_site *site = next_site(watch, goroutine, before);

	if (!site)
		return -ENOMEM;
	if (site != before) {
		site_open(watch, site);
		if (before)
			site_close(watch, before, now_ns);
	}
	*ret_member = (struct goroutine_member){
		.address = goroutine->address,
		.id = goroutine->id,
		.born_ns = goroutine->first_seen_ns,
		.waits_on = goroutine->waits_on,
		.leaked = goroutine->state == GOROUTINE_LEAKED,
		.site = site,
	};
	if (goroutine->state == GOROUTINE_RUNNABLE || goroutine->state == GOROUTINE_RUNNING) {
		ret_member->nr_running = old ? old->nr_running + 1 : 1;
		ret_member->running_ns = old && old->nr_running ? old->running_ns : now_ns;
		ret_member->running_cpu_ns = old ? old->running_cpu_ns : 0;
	}
	if (old)
		old->site = NULL;
	return 0;
}

/* Closes those that were not found again. */
static void close_ended(struct goroutine_watch *watch, uint64_t now_ns)
{
	for (size_t i = 0; i < watch->nr_members; i++)
		if (watch->members[i].site)
			site_close(watch, watch->members[i].site, now_ns);
}

/* --- counting --- */

static void count_cohort(struct goroutine_site *site, uint64_t born_ns, const struct epochs *epochs)
{
	uint64_t epoch;

	if (born_ns < epochs->start_ns || !epochs->length_ns)
		return;
	epoch = (born_ns - epochs->start_ns) / epochs->length_ns;
	if (epoch < MIN(epochs->nr, (unsigned int)LB_MAX_EPOCHS))
		site->cohorts[epoch]++;
}

/* Which object most wait for: R. Boyer and J. Moore, MJRTY. */
static void vote(struct goroutine_site *site, uint64_t object)
{
	if (!site->votes)
		site->object = object;
	site->votes += site->object == object ? 1 : UINT64_MAX;
}

static void count_member(const struct goroutine_member *member, const struct epochs *epochs)
{
	struct goroutine_site *site = member->site;

	site->live++;
	if (!site->oldest_ns || member->born_ns < site->oldest_ns)
		site->oldest_ns = member->born_ns;
	site->has_main |= member->id == 1;
	site->nr_leaked += member->leaked;
	count_cohort(site, member->born_ns, epochs);
	vote(site, member->waits_on);
}

static void count_all(struct goroutine_watch *watch, const struct epochs *epochs)
{
	struct goroutine_site *site;

	watch->has_cohorts = epochs->nr > 0;
	for (size_t i = 0; i < watch->nr_sites; i++) {
		site = watch->sites[i];
		site->live = site->oldest_ns = site->object = site->nr_object = site->votes = 0;
		site->nr_leaked = 0;
		site->has_main = false;
		memset(site->cohorts, 0, sizeof(site->cohorts));
	}
	for (size_t i = 0; i < watch->nr_members; i++)
		count_member(&watch->members[i], epochs);
	for (size_t i = 0; i < watch->nr_members; i++) {
		site = watch->members[i].site;
		site->nr_object += watch->members[i].waits_on == site->object;
	}
	sites_explain(watch);
}

int goroutine_watch_take(struct goroutine_watch *watch, const struct goroutine_list *list,
			 const struct epochs *epochs)
{
	struct goroutine_member *members = calloc(list->nr_goroutines + 1, sizeof(*members));
	size_t nr = 0, at = 0;
	int err = members ? 0 : -ENOMEM;

	for (size_t i = 0; i < list->nr_goroutines && !err; i++) {
		const struct goroutine *goroutine = &list->goroutines[i];

		if (goroutine_is_hidden(goroutine))
			continue;
		err = move_member(watch, goroutine, find_old(watch, &at, goroutine), list->time_ns,
				  &members[nr]);
		nr += !err;
	}
	if (!members)
		return err;
	close_ended(watch, list->time_ns);
	free(watch->members);
	watch->members = members;
	watch->nr_members = nr;
	count_all(watch, epochs);
	sites_forget(watch, list->time_ns);
	return err;
}

int goroutine_watch_poll(struct goroutine_watch *watch, const struct epochs *epochs,
			 struct error *error)
{
	struct goroutine_list list;
	int err = golang_scan(watch->golang, &list, error);

	if (err) {
		count_all(watch, epochs);
		spinning_done(watch);
		return err;
	}
	err = goroutine_watch_take(watch, &list, epochs);
	if (!err) {
		deadlocks_find(watch, &list);
		spinning_find(watch, list.time_ns);
	}
	return err ? error_set(error, err, "out of memory for the goroutines of PID %d",
			       (int)watch->pid)
		   : 0;
}

/* --- the object --- */

DEFINE_CLEANUP(watch, struct goroutine_watch *, goroutine_watch_free(*value))

struct goroutine_watch *goroutine_watch_new(pid_t pid)
{
	struct goroutine_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	watch->pid = pid;
	watch->strings = strings_new();
	return watch->strings ? watch : goroutine_watch_free(watch);
}

int goroutine_watch_open(const struct target *target, struct goroutine_watch **ret_watch,
			 struct error *error)
{
	struct goroutine_watch *watch __cleanup_of(watch) = goroutine_watch_new(target->pid);
	int err;

	if (!watch)
		return error_set(error, -ENOMEM, "out of memory");
	err = golang_open(target, &watch->golang, error);
	if (!err)
		*ret_watch = take(watch);
	return err;
}

struct goroutine_watch *goroutine_watch_free(struct goroutine_watch *watch)
{
	if (!watch)
		return NULL;
	spinning_done(watch);
	sites_free(watch);
	free(watch->members);
	golang_free(watch->golang);
	strings_free(watch->strings);
	free(watch);
	return NULL;
}

const char *goroutine_watch_version(const struct goroutine_watch *watch)
{
	return golang_version(watch->golang);
}

const char *goroutine_watch_reason(const struct goroutine_watch *watch, uint32_t number)
{
	return golang_wait_reason(watch->golang, number);
}

const struct stack *goroutine_watch_stack(const struct goroutine_watch *watch, uint64_t id)
{
	const struct goroutine_site *site = site_find(watch, id);

	if (!site)
		return NULL;
	return site->spinning[0] && site->running.nr_frames ? &site->running : &site->stack;
}

/* --- as a part of a snapshot --- */

static struct site_count count_of(const struct goroutine_watch *watch,
				  const struct goroutine_site *site)
{
	return (struct site_count){
		.key = { (uint32_t)watch->pid, LB_KIND_GOROUTINE, site->id },
		.opened_count = site->opened,
		.opened_bytes = site->opened,
		.closed_count = site->closed,
		.closed_bytes = site->closed,
		.live_count = site->live,
		.live_bytes = site->live,
		.oldest_ns = site->oldest_ns,
		.state = site->state,
		.proof = site->proof,
		.cohorts = watch->has_cohorts ? site->cohorts : NULL,
	};
}

static int compare_counts(const void *a, const void *b)
{
	return site_key_compare(&((const struct site_count *)a)->key,
				&((const struct site_count *)b)->key);
}

/* Merges the sorted @added into the sorted sites, which have room for them, from the back. */
static void merge_sites(struct snapshot *snapshot, const struct site_count *added, size_t nr_added)
{
	size_t old = snapshot->nr_sites, to = old + nr_added;

	snapshot->nr_sites = to;
	while (nr_added > 0) {
		const struct site_count *last = &added[nr_added - 1];

		if (old > 0 && site_key_compare(&snapshot->sites[old - 1].key, &last->key) > 0)
			snapshot->sites[--to] = snapshot->sites[--old];
		else
			snapshot->sites[--to] = added[--nr_added];
	}
}

DEFINE_CLEANUP(counts, struct site_count *, free(*value))

int goroutine_watch_add(const struct goroutine_watch *watch, struct snapshot *snapshot)
{
	size_t nr = watch->nr_sites;
	struct site_count *counts __cleanup_of(counts) = calloc(nr + 1, sizeof(*counts));
	struct site_count *sites;

	if (!counts)
		return -ENOMEM;
	sites = reallocarray(snapshot->sites, snapshot->nr_sites + nr + 1, sizeof(*sites));
	if (!sites)
		return -ENOMEM;
	snapshot->sites = sites;
	for (size_t i = 0; i < nr; i++)
		counts[i] = count_of(watch, watch->sites[i]);
	qsort(counts, nr, sizeof(*counts), compare_counts);
	merge_sites(snapshot, counts, nr);
	snapshot->opened[LB_KIND_GOROUTINE] += watch->opened;
	snapshot->closed[LB_KIND_GOROUTINE] += watch->closed;
	snapshot->stats.count[LB_KIND_GOROUTINE][LB_COUNT_HITS] += watch->opened;
	snapshot->stats.count[LB_KIND_GOROUTINE][LB_COUNT_CLOSES] += watch->closed;
	return 0;
}
