/* SPDX-License-Identifier: GPL-2.0-only */
#include "ledger.bpf.h"
#include "stack.bpf.h"
#include "unwind.bpf.h"

#define NOTE_TRIES 4

char LICENSE[] SEC("license") = "GPL";

const volatile struct lb_config config = {};
struct lb_control control = {};

struct live_map live SEC(".maps");
struct range_map ranges SEC(".maps");
struct target_map targets SEC(".maps");
struct stats_map stats SEC(".maps");
struct thread_map threads SEC(".maps");
struct rule_cache_map rule_cache SEC(".maps");
struct path_cache_map path_cache SEC(".maps");

/* Finds the slot of a site. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 17);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct lb_site_key);
	__type(value, __u32);
} site_index SEC(".maps");

/* The sites themselves; mapped by the loader, so that a poll reads plain memory. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << 17);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct lb_site);
} sites SEC(".maps");

/* Slots of forgotten sites, to be used again. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1 << 17);
	__type(value, __u32);
} free_slots SEC(".maps");

/* Per slot: what ledger_survivors found. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << 17);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct lb_survivors);
} survivors SEC(".maps");

/* Takes a slot: a forgotten one first, else the next fresh one. -1: none is left. */
static __always_inline int slot_take(__u32 *ret_slot)
{
	__u32 slot;

	if (!bpf_map_pop_elem(&free_slots, ret_slot))
		return 0;
	if (control.nr_sites >= config.max_sites)
		return -1;
	slot = __sync_fetch_and_add(&control.nr_sites, 1);
	if (slot >= config.max_sites)
		return -1;
	*ret_slot = slot;
	return 0;
}

/* Makes the site of @key; another CPU may win the race to do so. */
static __noinline int site_create(struct lb_site_key *key, struct lb_thread *thread)
{
	struct lb_site *site;
	__u32 slot = 0;

	if (!key || !thread)
		return -1;
	if (slot_take(&slot))
		return -1;
	site = bpf_map_lookup_elem(&sites, &slot);
	if (!site)
		return -1;
	site->key = *key;
	if (bpf_map_update_elem(&site_index, key, &slot, BPF_NOEXIST)) {
		site->key.tgid = 0;
		bpf_map_push_elem(&free_slots, &slot, 0);
		return 0;
	}
	if (key->kind == LB_KIND_GOPARK)
		site->wait_reason = thread->wait_reason;
	stack_store(thread);
	return 0;
}

/* The slot of the site that the captured stack of @thread stands for; NULL: no room for it. */
static __always_inline __u32 *site_find(struct lb_thread *thread, struct lb_site_key *key)
{
	__u32 *slot = bpf_map_lookup_elem(&site_index, key);

	if (slot)
		return slot;
	if (site_create(key, thread))
		return NULL;
	return bpf_map_lookup_elem(&site_index, key);
}

/* Is @id among the 1 of 2^@shift that are followed? Addresses are multiples of 16 at most. */
static __always_inline bool id_is_sampled(__u64 id, __u32 shift)
{
	__u64 hash = id * 0x9e3779b97f4a7c15ULL;

	return !shift || !(hash >> (64 - (shift & 31)));
}

static __always_inline void site_untrack(struct lb_site *site, __u64 weight)
{
	__sync_fetch_and_add(&site->untracked, 1);
	__sync_fetch_and_add(&site->untracked_weight, weight);
}

/* Notes a wait that is over when it is the longest; gives up when others always come first, with
 * waits that are as long. */
static __always_inline void site_note_wait(struct lb_site *site, __u64 waited_ns)
{
	__u64 longest_ns = site->longest_ns;

	for (int i = 0; i < NOTE_TRIES && waited_ns > longest_ns; i++) {
		__u64 found = __sync_val_compare_and_swap(&site->longest_ns, longest_ns, waited_ns);

		if (found == longest_ns)
			return;
		longest_ns = found;
	}
}

/* Accounts that @entry of @kind was closed; it is in no map any more. */
static __always_inline void site_close(const struct lb_live *entry, __u32 kind)
{
	__u32 slot = entry->site;
	struct lb_site *site = bpf_map_lookup_elem(&sites, &slot);

	if (!site)
		return;
	if (!(entry->flags & LB_LIVE_PART))
		__sync_fetch_and_add(&site->closed, 1);
	__sync_fetch_and_add(&site->closed_weight, entry->weight);
	if (kind == LB_KIND_GOPARK)
		site_note_wait(site, entry->weight);
}

static __u64 nr_ranges; /* open ranges of all processes */

static __always_inline void *live_lookup(struct lb_live_key *key)
{
	if (key->kind == LB_KIND_MMAP)
		return bpf_map_lookup_elem(&ranges, key);
	return bpf_map_lookup_elem(&live, key);
}

static __always_inline long live_delete(struct lb_live_key *key)
{
	long error;

	if (key->kind != LB_KIND_MMAP)
		return bpf_map_delete_elem(&live, key);
	error = bpf_map_delete_elem(&ranges, key);
	if (!error)
		__sync_fetch_and_sub(&nr_ranges, 1);
	return error;
}

static __always_inline long live_insert(struct lb_live_key *key, struct lb_live *entry)
{
	long error;

	if (key->kind != LB_KIND_MMAP)
		return bpf_map_update_elem(&live, key, entry, BPF_NOEXIST);
	error = bpf_map_update_elem(&ranges, key, entry, BPF_NOEXIST);
	if (!error)
		__sync_fetch_and_add(&nr_ranges, 1);
	return error;
}

/* Copies the entry, then deletes it; only who deleted it accounts. 0: it was closed. */
static __always_inline int live_close(struct lb_live_key *key, __u64 before_ns)
{
	struct lb_live *found = live_lookup(key), entry;

	if (!found)
		return -1;
	entry = *found;
	if (entry.birth_ns >= before_ns || live_delete(key))
		return -1;
	if (key->kind == LB_KIND_GOPARK)
		entry.weight = bpf_ktime_get_ns() - entry.birth_ns;
	site_close(&entry, key->kind);
	return 0;
}

static __always_inline bool live_is_part(struct lb_live_key *key)
{
	struct lb_live *found = live_lookup(key);

	return found && found->flags & LB_LIVE_PART;
}

/* A close is counted before what it does to its site, so that who reads in between finds one under
 * way and none too many. */
static __always_inline void close_begin(__u32 kind)
{
	stats_count(kind, LB_COUNT_CLOSES);
}

/* Somebody else closed it. */
static __always_inline void close_cancel(__u32 kind)
{
	stats_add(kind, LB_COUNT_CLOSES, -1ULL);
}

#define E2BIG  7
#define EEXIST 17

/* Puts the entry into the live map. An entry in the way was closed unseen. */
static __always_inline long live_open(struct lb_live_key *key, struct lb_live *entry)
{
	long error = live_insert(key, entry);
	bool replaced_part;

	if (error != -EEXIST)
		return error;
	replaced_part = live_is_part(key);
	close_begin(key->kind);
	if (live_close(key, ~0ULL)) {
		close_cancel(key->kind);
	} else {
		stats_count(key->kind, LB_COUNT_REPLACED);
		if (replaced_part)
			stats_count(key->kind, LB_COUNT_PARTIAL);
	}
	return live_insert(key, entry);
}

__noinline int ledger_open(struct lb_thread *thread, __u32 kind, __u64 id, __u64 weight)
{
	struct lb_live_key key = { .tgid = current_tgid(), .kind = kind, .id = id };
	struct lb_live entry = { .weight = weight };
	struct lb_site_key site_key = { .tgid = key.tgid, .kind = kind };
	struct lb_site *site;
	__u32 *slot;
	long error;

	if (!thread || kind >= LB_KIND_MAX)
		return -1;
	site_key.stack = thread->walk.stack;
	slot = site_find(thread, &site_key);
	site = slot ? bpf_map_lookup_elem(&sites, slot) : NULL;
	if (!slot || !site) {
		stats_loss(kind, LB_LOSS_SITES_FULL);
		return -1;
	}
	entry.site = *slot;
	__sync_fetch_and_add(&site->opened, 1);
	__sync_fetch_and_add(&site->opened_weight, weight);
	if (kind != LB_KIND_MMAP && !id_is_sampled(id, control.sample_shift)) {
		site_untrack(site, weight);
		stats_count(kind, LB_COUNT_SAMPLED_OUT);
		return 0;
	}
	entry.birth_ns = bpf_ktime_get_ns();
	error = live_open(&key, &entry);
	if (!error)
		return 0;
	site_untrack(site, weight);
	stats_loss(kind, error == -E2BIG ? LB_LOSS_LIVE_FULL : LB_LOSS_LIVE_NOMEM);
	return -1;
}

__noinline int ledger_close(__u32 kind, __u64 id, __u64 before_ns)
{
	struct lb_live_key key = { .tgid = current_tgid(), .kind = kind, .id = id };

	if (kind >= LB_KIND_MAX)
		return -1;
	close_begin(kind);
	if (live_close(&key, before_ns))
		stats_count(kind, LB_COUNT_UNMATCHED);
	return 0;
}

/* --- ranges --- */

struct cut {
	__u64 start, end, before_ns;
	__u32 tgid, nr;
};

/* Takes @bytes off what a site has open, without closing the object. */
static __always_inline void site_shrink(__u32 slot, __u64 bytes)
{
	struct lb_site *site = bpf_map_lookup_elem(&sites, &slot);

	if (site)
		__sync_fetch_and_add(&site->closed_weight, bytes);
}

/* What is left of a range found no room. A part is still counted with its object; its bytes are
 * not followed any more. */
static __always_inline void range_lose(const struct lb_live *rest)
{
	__u32 slot = rest->site;
	struct lb_site *site = bpf_map_lookup_elem(&sites, &slot);

	if (!site)
		return;
	if (rest->flags & LB_LIVE_PART) {
		__sync_fetch_and_add(&site->untracked_weight, rest->weight);
		return;
	}
	site_untrack(site, rest->weight);
	stats_loss(LB_KIND_MMAP, LB_LOSS_LIVE_FULL);
}

/* Keeps [@start, @end) of @entry, whose range began elsewhere, as an entry of its own. */
static __always_inline void range_keep_tail(const struct lb_live_key *key,
					    const struct lb_live *entry, __u64 start, __u64 end,
					    __u32 flags)
{
	struct lb_live_key tail_key = *key;
	struct lb_live tail = *entry;

	tail_key.id = start;
	tail.weight = end - start;
	tail.flags = flags;
	if (live_open(&tail_key, &tail))
		range_lose(&tail);
}

/* Cuts one range of the map, if it overlaps. */
static long range_cut(struct bpf_map *map, struct lb_live_key *key, struct lb_live *found,
		      struct cut *cut)
{
	struct lb_live_key entry_key = *key;
	struct lb_live entry = *found;
	__u64 start = entry_key.id, end = entry_key.id + entry.weight;

	if (entry_key.tgid != cut->tgid || end <= cut->start || start >= cut->end ||
	    entry.birth_ns >= cut->before_ns)
		return 0;
	close_begin(LB_KIND_MMAP);
	if (start >= cut->start && end <= cut->end) {
		if (live_close(&entry_key, cut->before_ns)) {
			close_cancel(LB_KIND_MMAP);
			return 0;
		}
		cut->nr++;
		if (entry.flags & LB_LIVE_PART)
			stats_count(LB_KIND_MMAP, LB_COUNT_PARTIAL);
		return 0;
	}
	if (start < cut->start) {
		found->weight = cut->start - start;
	} else if (live_delete(&entry_key)) {
		close_cancel(LB_KIND_MMAP);
		return 0;
	}
	cut->nr++;
	stats_count(LB_KIND_MMAP, LB_COUNT_PARTIAL);
	site_shrink(entry.site,
		    (end < cut->end ? end : cut->end) - (start > cut->start ? start : cut->start));
	if (end > cut->end)
		range_keep_tail(&entry_key, &entry, cut->end, end,
				start < cut->start ? LB_LIVE_PART : entry.flags);
	return 0;
}

__noinline int ledger_cut_ranges(__u64 start, __u64 bytes, __u64 before_ns)
{
	struct cut cut = { .start = start, .end = start + bytes, .before_ns = before_ns };

	cut.tgid = current_tgid();
	if (!nr_ranges)
		return 0;
	bpf_for_each_map_elem(&ranges, range_cut, &cut, 0);
	return cut.nr;
}

__noinline int ledger_close_range(__u64 start, __u64 bytes, __u64 before_ns, bool begins_here)
{
	struct lb_live_key key = { .tgid = current_tgid(), .kind = LB_KIND_MMAP, .id = start };
	struct lb_live *exact = bpf_map_lookup_elem(&ranges, &key);

	if (exact && exact->weight == bytes && !(exact->flags & LB_LIVE_PART))
		return ledger_close(LB_KIND_MMAP, start, before_ns);
	if ((exact || !begins_here) && ledger_cut_ranges(start, bytes, before_ns))
		return 0;
	stats_count(LB_KIND_MMAP, LB_COUNT_CLOSES);
	stats_count(LB_KIND_MMAP, LB_COUNT_UNMATCHED);
	return 0;
}

/* --- run by the loader: one walk over the live entries each --- */

static long survivor_step(struct bpf_map *map, struct lb_live_key *key, struct lb_live *entry,
			  struct lb_walk_request *request)
{
	__u32 slot = entry->site;
	__u64 birth_ns = entry->birth_ns, epoch;
	struct lb_survivors *found = bpf_map_lookup_elem(&survivors, &slot);

	if (!found)
		return 0;
	if (!found->oldest_ns || birth_ns < found->oldest_ns)
		found->oldest_ns = birth_ns;
	if (birth_ns < request->epochs_ns || entry->flags & LB_LIVE_PART)
		return 0;
	epoch = (birth_ns - request->epochs_ns) / request->epoch_ns;
	if (epoch < LB_MAX_EPOCHS)
		found->count[epoch]++;
	return 0;
}

/* Finds the oldest live entry of each site and counts those born in each epoch; the loader has
 * zeroed the array. */
SEC("syscall")
int ledger_survivors(struct lb_walk_request *request)
{
	struct lb_walk_request mine = {
		.epochs_ns = request->epochs_ns,
		.epoch_ns = request->epoch_ns,
	};

	bpf_for_each_map_elem(&live, survivor_step, &mine, 0);
	bpf_for_each_map_elem(&ranges, survivor_step, &mine, 0);
	return 0;
}

static long thin_step(struct bpf_map *map, struct lb_live_key *key, struct lb_live *entry,
		      struct lb_walk_request *request)
{
	struct lb_live_key victim = *key;
	__u32 slot = entry->site;
	__u64 weight = entry->weight;
	struct lb_site *site;

	if (id_is_sampled(victim.id, request->shift) || bpf_map_delete_elem(&live, &victim))
		return 0;
	site = bpf_map_lookup_elem(&sites, &slot);
	if (site)
		site_untrack(site, weight);
	stats_count(victim.kind, LB_COUNT_SAMPLED_OUT);
	request->done++;
	return 0;
}

/* Stops following every entry that is not among 1 of 2^shift. */
SEC("syscall")
int ledger_thin(struct lb_walk_request *request)
{
	struct lb_walk_request mine = { .shift = request->shift };

	control.sample_shift = mine.shift;
	bpf_for_each_map_elem(&live, thin_step, &mine, 0);
	request->done = mine.done;
	return 0;
}

static long close_step(struct bpf_map *map, struct lb_live_key *key, struct lb_live *entry,
		       struct lb_walk_request *request)
{
	struct lb_live_key victim = *key;
	bool part = entry->flags & LB_LIVE_PART;

	if (victim.tgid != request->tgid || live_close(&victim, request->before_ns))
		return 0;
	stats_count(victim.kind, LB_COUNT_CLOSES);
	if (part)
		stats_count(victim.kind, LB_COUNT_PARTIAL);
	request->done++;
	return 0;
}

/* Closes what a process had open: it has ended or replaced its program. */
SEC("syscall")
int ledger_close_process(struct lb_walk_request *request)
{
	struct lb_walk_request mine = { .tgid = request->tgid, .before_ns = request->before_ns };

	bpf_for_each_map_elem(&live, close_step, &mine, 0);
	bpf_for_each_map_elem(&ranges, close_step, &mine, 0);
	request->done = mine.done;
	return 0;
}
