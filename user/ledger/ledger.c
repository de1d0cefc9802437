/* SPDX-License-Identifier: GPL-2.0-only */
#include "ledger/ledger.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ledger/estimate.h"
#include "ledger/private.h"

#include "leakbpf.skel.h"

/* What estimates of a site start from: what it had when the sampling was last raised. */
struct marks {
	struct mark count, bytes;
};

struct ledger {
	struct leakbpf *skeleton;
	struct lb_site *sites;          /* mapped */
	struct lb_survivors *survivors; /* mapped while the last walk is told; NULL: no more */
	struct epochs epochs;           /* of the last walk */
	struct marks
		*marks;  /* per slot; not touched, so without memory, until something is thinned */
	uint8_t *owners; /* per slot: enum owner */
	size_t max_sites;
	uint64_t max_live;
	int nr_cpus;
	struct lb_stats *cpu_stats; /* room for one reading of every CPU */
	struct totals forgotten;    /* of forgotten processes */
	uint64_t checked_live;      /* live entries when they were last counted ... */
	uint64_t checked_hits;      /* ... and the hits at that moment */
	uint64_t pcs[LB_MAX_FRAMES];
};

DEFINE_CLEANUP(ledger, struct ledger *, ledger_free(*value))

static size_t round_to_page(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (bytes + page - 1) & ~(page - 1);
}

static int map_array(const struct bpf_map *map, size_t element_bytes, void **ret_elements)
{
	size_t bytes = round_to_page(bpf_map__max_entries(map) * element_bytes);
	void *elements = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	if (elements == MAP_FAILED)
		return -errno;
	*ret_elements = elements;
	return 0;
}

static void unmap_array(void *elements, size_t nr, size_t element_bytes)
{
	if (elements)
		munmap(elements, round_to_page(nr * element_bytes));
}

int ledger_open(struct leakbpf *skeleton, struct ledger **ret_ledger)
{
	struct ledger *ledger __cleanup_of(ledger) = calloc(1, sizeof(*ledger));
	int error;

	if (!ledger)
		return -ENOMEM;
	ledger->skeleton = skeleton;
	ledger->max_sites = bpf_map__max_entries(skeleton->maps.sites);
	ledger->max_live = bpf_map__max_entries(skeleton->maps.live);
	ledger->nr_cpus = libbpf_num_possible_cpus();
	if (ledger->nr_cpus < 0)
		return ledger->nr_cpus;
	ledger->cpu_stats = calloc((size_t)ledger->nr_cpus, sizeof(*ledger->cpu_stats));
	ledger->marks = calloc(ledger->max_sites, sizeof(*ledger->marks));
	ledger->owners = calloc(ledger->max_sites, sizeof(*ledger->owners));
	if (!ledger->cpu_stats || !ledger->marks || !ledger->owners)
		return -ENOMEM;
	error = map_array(skeleton->maps.sites, sizeof(*ledger->sites), (void **)&ledger->sites);
	if (error)
		return error;
	*ret_ledger = take(ledger);
	return 0;
}

struct ledger *ledger_free(struct ledger *ledger)
{
	if (!ledger)
		return NULL;
	unmap_array(ledger->sites, ledger->max_sites, sizeof(*ledger->sites));
	ledger_forget_walk(ledger);
	free(ledger->cpu_stats);
	free(ledger->marks);
	free(ledger->owners);
	free(ledger);
	return NULL;
}

/* Adds the counters of one CPU; they are all 64-bit numbers. */
static void stats_sum(struct lb_stats *sum, const struct lb_stats *addend)
{
	const __u64 *from = (const __u64 *)addend;
	__u64 *to = (__u64 *)sum;

	for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] += from[i];
}

static int stats_read(struct ledger *ledger, struct lb_stats *ret_stats)
{
	struct lb_stats sum = { 0 };
	__u32 zero = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(ledger->skeleton->maps.stats), &zero,
				ledger->cpu_stats))
		return -errno;
	for (int cpu = 0; cpu < ledger->nr_cpus; cpu++)
		stats_sum(&sum, &ledger->cpu_stats[cpu]);
	*ret_stats = sum;
	return 0;
}

/* Runs a program that walks the live entries in the kernel. */
static int run_walk(const struct bpf_program *program, struct lb_walk_request *request)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = request, .ctx_size_in = sizeof(*request));

	return bpf_prog_test_run_opts(bpf_program__fd(program), &options);
}

static size_t nr_slots(const struct ledger *ledger)
{
	size_t nr = __atomic_load_n(&ledger->skeleton->bss->control.nr_sites, __ATOMIC_ACQUIRE);

	return MIN(nr, ledger->max_sites);
}

/* Copies a site that may be counting meanwhile, closed before opened: never more is closed than
 * opened. The key comes last: it is whole once something was opened. */
static struct lb_site site_copy(const struct lb_site *site)
{
	struct lb_site copy = { 0 };

	copy.closed = __atomic_load_n(&site->closed, __ATOMIC_ACQUIRE);
	copy.closed_weight = __atomic_load_n(&site->closed_weight, __ATOMIC_ACQUIRE);
	copy.untracked = __atomic_load_n(&site->untracked, __ATOMIC_ACQUIRE);
	copy.untracked_weight = __atomic_load_n(&site->untracked_weight, __ATOMIC_ACQUIRE);
	copy.opened = __atomic_load_n(&site->opened, __ATOMIC_ACQUIRE);
	copy.opened_weight = __atomic_load_n(&site->opened_weight, __ATOMIC_ACQUIRE);
	copy.key = site->key;
	return copy;
}

/* Does the slot hold a site? One that is just being made has not opened anything. */
static bool site_is_used(const struct lb_site *site)
{
	return site->key.tgid && site->opened;
}

/* Copies the numbers of a site. @live: what is estimated to be live of them. */
static struct marks site_marks(const struct lb_site *site, uint64_t live_count, uint64_t live_bytes)
{
	if (site->key.kind == LB_KIND_GOPARK) /* has no such weights */
		return (struct marks){
			.count = { site->opened, site->untracked, site->closed, live_count },
		};
	return (struct marks){
		.count = { site->opened, site->untracked, site->closed, live_count },
		.bytes = { site->opened_weight, site->untracked_weight, site->closed_weight,
			   live_bytes },
	};
}

static struct site_count site_count(const struct lb_site *site, const struct marks *since)
{
	struct site_count count = {
		.key = site->key,
		.opened_count = site->opened,
		.opened_bytes = site->opened_weight,
		.estimated = site->untracked > 0,
	};
	struct marks now = site_marks(site, 0, 0);

	count.live_count = mark_estimate(&now.count, &since->count);
	count.live_bytes = mark_estimate(&now.bytes, &since->bytes);
	if (site->key.kind == LB_KIND_GOPARK) { /* closed objects weigh the time they waited */
		count.live_bytes = count.live_count;
		count.opened_bytes = site->closed_weight + count.live_bytes;
		count.longest_ns = site->longest_ns;
		count.wait_reason = (uint32_t)site->wait_reason;
	}
	count.closed_count = count.opened_count - count.live_count;
	count.closed_bytes = count.opened_bytes - count.live_bytes;
	return count;
}

static int compare_sites(const void *a, const void *b)
{
	const struct site_count *first = a, *second = b;

	return site_key_compare(&first->key, &second->key);
}

/* Adds what the last walk found. */
static void site_add_survivors(const struct ledger *ledger, size_t slot, struct site_count *count)
{
	const struct lb_survivors *survivors = &ledger->survivors[slot];

	count->oldest_ns = survivors->oldest_ns;
	if (ledger->epochs.nr > 0)
		count->cohorts = survivors->count;
}

/* Adds all sites to @totals and lists those of the program. */
static int read_sites(struct ledger *ledger, bool walked, struct snapshot *snapshot,
		      struct totals *totals)
{
	size_t nr = nr_slots(ledger);

	snapshot->sites = calloc(nr ? nr : 1, sizeof(*snapshot->sites));
	if (!snapshot->sites)
		return -ENOMEM;
	for (size_t slot = 0; slot < nr; slot++) {
		struct lb_site site = site_copy(&ledger->sites[slot]);
		struct site_count *count = &snapshot->sites[snapshot->nr_sites];

		if (!site_is_used(&site))
			continue;
		totals_add(totals, &site, ledger->owners[slot]);
		if (ledger->owners[slot] == OWNER_ALLOCATOR)
			continue;
		*count = site_count(&site, &ledger->marks[slot]);
		if (walked)
			site_add_survivors(ledger, slot, count);
		snapshot->nr_sites++;
	}
	qsort(snapshot->sites, snapshot->nr_sites, sizeof(*snapshot->sites), compare_sites);
	return 0;
}

static uint64_t live_of(const struct snapshot *snapshot, enum lb_kind kind)
{
	uint64_t opened = snapshot->opened[kind], closed = snapshot->closed[kind];

	return opened > closed ? opened - closed : 0;
}

int ledger_walk(struct ledger *ledger, const struct epochs *epochs)
{
	struct lb_walk_request request = {
		.epochs_ns = epochs->start_ns,
		.epoch_ns = MAX(epochs->length_ns, 1),
	};
	int error = 0;

	if (!ledger->survivors)
		error = map_array(ledger->skeleton->maps.survivors, sizeof(*ledger->survivors),
				  (void **)&ledger->survivors);
	if (!ledger->survivors)
		return error;
	memset(ledger->survivors, 0, nr_slots(ledger) * sizeof(*ledger->survivors));
	ledger->epochs = *epochs;
	return run_walk(ledger->skeleton->progs.ledger_survivors, &request);
}

void ledger_forget_walk(struct ledger *ledger)
{
	unmap_array(ledger->survivors, ledger->max_sites, sizeof(*ledger->survivors));
	ledger->survivors = NULL;
}

int ledger_read(struct ledger *ledger, uint64_t now_ns, bool walked, struct snapshot *ret_snapshot)
{
	struct snapshot snapshot __attribute__((cleanup(snapshot_done))) = {
		.time_ns = now_ns,
		.sample_shift = ledger->skeleton->bss->control.sample_shift,
		.max_live = ledger->max_live,
	};
	struct totals totals = ledger->forgotten;
	int error = read_sites(ledger, walked, &snapshot, &totals);

	if (walked)
		snapshot.epochs = ledger->epochs;
	if (!error)
		error = stats_read(ledger, &snapshot.stats);
	if (error)
		return error;
	totals_tell(&totals, &snapshot);
	snapshot.nr_live = live_of(&snapshot, LB_KIND_HEAP);
	*ret_snapshot = snapshot;
	snapshot.sites = NULL;
	return 0;
}

void snapshot_done(struct snapshot *snapshot)
{
	free(snapshot->sites);
	snapshot->sites = NULL;
	snapshot->nr_sites = 0;
}

bool ledger_next_unsettled(struct ledger *ledger, uint32_t *slot, struct lb_site_key *ret_key)
{
	for (size_t nr = nr_slots(ledger); *slot < nr; ++*slot) {
		struct lb_site site;

		if (ledger->owners[*slot] != OWNER_UNSETTLED ||
		    ledger->sites[*slot].key.kind != LB_KIND_MMAP)
			continue;
		site = site_copy(&ledger->sites[*slot]);
		if (!site_is_used(&site))
			continue;
		*ret_key = site.key;
		return true;
	}
	return false;
}

void ledger_settle(struct ledger *ledger, uint32_t slot, bool nested)
{
	ledger->owners[slot] = nested ? OWNER_ALLOCATOR : OWNER_PROGRAM;
}

/* Reads @nr frames from index @offset: the batch call wants the key before the first one. */
static int read_frames(struct ledger *ledger, uint32_t offset, uint32_t nr)
{
	__u32 before = offset - 1, after;
	__u32 keys[LB_MAX_FRAMES];

	if (bpf_map_lookup_batch(bpf_map__fd(ledger->skeleton->maps.frames),
				 offset ? &before : NULL, &after, keys, ledger->pcs, &nr, NULL) &&
	    errno != ENOENT)
		return -errno;
	return (int)nr;
}

size_t ledger_stack(struct ledger *ledger, uint64_t id, const uint64_t **ret_pcs,
		    uint32_t *ret_flags)
{
	struct lb_stack stack;
	int nr;

	if (bpf_map_lookup_elem(bpf_map__fd(ledger->skeleton->maps.stacks), &id, &stack))
		return 0;
	if (!stack.nr_frames || stack.nr_frames > LB_MAX_FRAMES)
		return 0;
	nr = read_frames(ledger, stack.offset, stack.nr_frames);
	if (nr <= 0)
		return 0;
	*ret_pcs = ledger->pcs;
	*ret_flags = stack.flags;
	return (size_t)nr;
}

/* Counts what the live map holds. */
static uint64_t count_live(struct ledger *ledger)
{
	uint64_t live = 0;

	for (size_t slot = 0, nr = nr_slots(ledger); slot < nr; slot++) {
		struct lb_site site = site_copy(&ledger->sites[slot]);
		struct marks now = site_marks(&site, 0, 0);

		if (site_is_used(&site) && site.key.kind != LB_KIND_MMAP)
			live += mark_followed(&now.count);
	}
	return live;
}

/* Marks what every site has before it is thinned. */
static void mark_sites(struct ledger *ledger)
{
	for (size_t slot = 0, nr = nr_slots(ledger); slot < nr; slot++) {
		struct lb_site site = site_copy(&ledger->sites[slot]);
		struct site_count count = site_count(&site, &ledger->marks[slot]);

		if (site_is_used(&site))
			ledger->marks[slot] = site_marks(&site, count.live_count, count.live_bytes);
	}
}

/* Marks what every site has after it was thinned. */
static void remark_sites(struct ledger *ledger, uint32_t shift)
{
	for (size_t slot = 0, nr = nr_slots(ledger); slot < nr; slot++) {
		struct lb_site site = site_copy(&ledger->sites[slot]);
		struct marks *marks = &ledger->marks[slot];
		struct marks now = site_marks(&site, 0, 0);

		if (!site_is_used(&site) || site.key.kind == LB_KIND_MMAP)
			continue;
		now.count.live = mark_after_thinning(&marks->count, &now.count, shift);
		now.bytes.live = mark_after_thinning(&marks->bytes, &now.bytes, shift);
		*marks = now;
	}
}

/* Follows only half as many as before. */
static int thin(struct ledger *ledger)
{
	struct lb_walk_request request = {
		.shift = ledger->skeleton->bss->control.sample_shift + 1,
	};
	int error;

	mark_sites(ledger);
	error = run_walk(ledger->skeleton->progs.ledger_thin, &request);
	if (error)
		return error;
	remark_sites(ledger, request.shift);
	ledger->checked_live = count_live(ledger);
	return 1;
}

int ledger_relieve(struct ledger *ledger)
{
	uint64_t limit = ledger->max_live / 4 * 3, hits = 0;
	struct lb_stats stats = { 0 };
	int error = stats_read(ledger, &stats);

	if (error)
		return error;
	for (int kind = 0; kind < LB_KIND_MAX; kind++)
		hits += stats.count[kind][LB_COUNT_HITS];
	if (ledger->checked_live + (hits - ledger->checked_hits) < limit)
		return 0;
	ledger->checked_hits = hits;
	ledger->checked_live = count_live(ledger);
	return ledger->checked_live < limit ? 0 : thin(ledger);
}

int ledger_live_fd(const struct ledger *ledger)
{
	return bpf_map__fd(ledger->skeleton->maps.live);
}

int ledger_slot(struct ledger *ledger, const struct lb_site_key *key, uint32_t *ret_slot)
{
	__u32 slot;

	if (bpf_map_lookup_elem(bpf_map__fd(ledger->skeleton->maps.site_index), key, &slot))
		return -errno;
	*ret_slot = slot;
	return 0;
}

/* Frees the slot of a site whose live entries are gone. */
static int slot_release(struct ledger *ledger, uint32_t slot)
{
	struct lb_site *site = &ledger->sites[slot];

	if (bpf_map_delete_elem(bpf_map__fd(ledger->skeleton->maps.site_index), &site->key) &&
	    errno != ENOENT)
		return -errno;
	totals_add(&ledger->forgotten, site, ledger->owners[slot]);
	ledger->owners[slot] = OWNER_UNSETTLED;
	memset(site, 0, sizeof(*site));
	memset(&ledger->marks[slot], 0, sizeof(ledger->marks[slot]));
	if (bpf_map_update_elem(bpf_map__fd(ledger->skeleton->maps.free_slots), NULL, &slot, 0))
		return -errno;
	return 0;
}

int ledger_close_process(struct ledger *ledger, uint32_t tgid, uint64_t before_ns)
{
	struct lb_walk_request request = { .tgid = tgid, .before_ns = before_ns };

	return run_walk(ledger->skeleton->progs.ledger_close_process, &request);
}

int ledger_forget(struct ledger *ledger, uint32_t tgid)
{
	int error = ledger_close_process(ledger, tgid, UINT64_MAX);

	for (size_t slot = 0, nr = nr_slots(ledger); !error && slot < nr; slot++)
		if (ledger->sites[slot].key.tgid == tgid)
			error = slot_release(ledger, (uint32_t)slot);
	return error;
}
