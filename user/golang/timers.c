/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The timers that wait in the heap of each p (Go 1.22 runtime/runtime2.go: p.timers, a slice; Go 1.23
 * runtime/time.go: timers.heap, a slice of pairs). Where that heap stands in a p differs by release
 * and is found by what it looks like: its timers point back to the p, or to it. All of it is read
 * in pieces, while the process runs on, so single timers may just be changing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "golang/timers.h"

#define P_BYTES    (24UL << 10) /* more than a p of any release has */
#define P_STEP     4096
#define MAX_TIMERS (1UL << 24) /* of all heaps; more than fit the memory of most machines */
#define TRIES      3           /* to read a heap that just changes */
#define FAN_OUT    4    /* children of each in the heap (Go 1.23 runtime/time.go, timerHeapN) */
#define NR_CHECKED 1024 /* elements of a heap whose order is checked */
#define NR_FIRST   8    /* words of a heap in which a timer has to be */

typedef uint64_t slice_words[3];

/* --- where the heap stands in a p --- */

static bool is_slice(const uint64_t *slice)
{
	return slice[0] >= 4096 && slice[0] % 8 == 0 && slice[1] && slice[1] <= slice[2] &&
	       slice[2] <= 2 * MAX_TIMERS;
}

static bool is_processor_at(const struct timer_look *look, uint64_t address)
{
	for (size_t i = 0; i < look->nr_processors; i++)
		if (look->processors[i] == address)
			return true;
	return false;
}

/* Which layout has the timer at @address, in a heap whose slice is at @slice? NULL: it is none. A p
 * is none either, which points to the next idle one: copies of allp stand behind the last p. */
static const struct timer_layout *layout_of(struct timer_look *look, uint64_t address,
					    uint64_t slice)
{
	uint64_t words[TIMER_MAX_BYTES / 8];
	const struct golang *golang = look->golang;

	if (!address || address % 8 || is_processor_at(look, address) ||
	    memory_read(&look->golang->memory, address, words, sizeof(words)))
		return NULL;
	for (size_t i = 0; i < timer_nr_layouts; i++) {
		const struct timer_layout *layout = &timer_layouts[i];

		if (timer_layout_fits(layout, golang->minor, golang->module.version) &&
		    timer_is_owned(layout, words[layout->owner / 8], look->processor, slice))
			return layout;
	}
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		look->is_unknown |= words[i] == look->processor || words[i] == slice - TIMERS_HEAP;
	return NULL;
}

/* Is the slice at @offset of the p a heap with timers? */
static bool is_heap(struct timer_look *look, const uint64_t *slice, size_t offset)
{
	uint64_t words[NR_FIRST];
	size_t nr = MIN(slice[1], (uint64_t)NR_FIRST);

	if (memory_read(&look->golang->memory, slice[0], words, nr * sizeof(words[0])))
		return false;
	for (size_t i = 0; i < nr && !look->layout; i++)
		look->layout = layout_of(look, words[i], look->processor + offset);
	look->offset = offset;
	return look->layout;
}

/* Looks for it in one p, which is not longer than @size bytes. */
static bool find_heap(struct timer_look *look, uint64_t *words, size_t size)
{
	size_t len = 0;

	while (len < size && !memory_read(&look->golang->memory, look->processor + len,
					  (uint8_t *)words + len, P_STEP))
		len += P_STEP;
	len = MIN(len, size);
	for (size_t i = 0; i + 3 <= len / 8; i++)
		if (is_slice(words + i) && is_heap(look, words + i, i * 8))
			return true;
	return false;
}

/* How long can the p be, so that it ends before the next one? */
static size_t room_of(const struct timer_look *look)
{
	size_t room = P_BYTES;

	for (size_t i = 0; i < look->nr_processors; i++)
		if (look->processors[i] > look->processor)
			room = MIN(room, look->processors[i] - look->processor);
	return room;
}

static int find_heaps(struct timer_look *look)
{
	uint64_t *words = calloc(1, P_BYTES);
	bool found = false;

	if (!words)
		return -ENOMEM;
	for (size_t i = 0; i < look->nr_processors && !found; i++) {
		look->processor = look->processors[i];
		found = find_heap(look, words, room_of(look));
	}
	free(words);
	return found || !look->is_unknown ? 0 : -EUCLEAN;
}

/* --- reading --- */

static int take_timer(void *context, void *item, const uint8_t *bytes)
{
	struct timer_look *look = context;
	struct timer_entry *entry = item;
	bool is_twin = entry->address == look->last; /* it was moved while the heap was copied */
	bool is_owned;

	look->last = entry->address;
	entry->timer = (struct go_timer){ .state = TIMER_ODD };
	if (!bytes || is_twin || !entry->address || entry->address % 8)
		return 0;
	entry->timer = timer_read(look->layout, bytes);
	is_owned = entry->timer.state == TIMER_GONE
			   ? !entry->timer.owner
			   : timer_is_owned(look->layout, entry->timer.owner, look->processor,
					    look->processor + look->offset);
	if (!is_owned)
		entry->timer.state = TIMER_ODD;
	return 0;
}

/* Reads the timers of the first @nr entries. */
static int read_timers(struct timer_look *look, size_t nr)
{
	const struct places places = {
		.items = look->entries,
		.nr = nr,
		.stride = sizeof(look->entries[0]),
		.len = look->layout->bytes,
		.window = look->golang->window,
	};

	look->last = 0;
	places_sort(&places);
	return memory_read_places(&look->golang->memory, &places, take_timer, look);
}

/* What the first @nr elements of a heap are ordered by; 0: not known. */
static int read_order(struct timer_look *look, const uint64_t *elements, size_t nr,
		      uint64_t *order_ns)
{
	int err;

	if (look->layout->element > sizeof(uint64_t)) {
		for (size_t i = 0; i < nr; i++)
			order_ns[i] = elements[2 * i + 1];
		return 0;
	}
	for (size_t i = 0; i < nr; i++)
		look->entries[i] = (struct timer_entry){ .address = elements[i], .index = i };
	err = read_timers(look, nr);
	for (size_t i = 0; i < nr; i++) {
		const struct timer_entry *entry = &look->entries[i];

		order_ns[entry->index] =
			entry->timer.state == TIMER_WAITS || entry->timer.state == TIMER_STOPPED
				? entry->timer.order_ns
				: 0;
	}
	return err;
}

/* Are the first ones of a heap, which are a heap themselves, in its order, but for a few that just
 * move? 0, -EAGAIN: no, or -errno. */
static int check_order(struct timer_look *look, const uint64_t *elements, uint64_t nr_elements)
{
	uint64_t order_ns[NR_CHECKED];
	size_t nr = MIN(nr_elements, (uint64_t)NR_CHECKED), nr_wrong = 0;
	int err = read_order(look, elements, nr, order_ns);

	for (size_t i = 1; i < nr && !err; i++)
		nr_wrong += order_ns[i] && order_ns[i] < order_ns[(i - 1) / FAN_OUT];
	return !err && nr_wrong > nr / 8 ? -EAGAIN : err;
}

static int read_slice(struct timer_look *look, slice_words slice)
{
	int err = memory_read(&look->golang->memory, look->processor + look->offset, slice,
			      sizeof(slice_words));

	return err == -EFAULT ? -EAGAIN : err;
}

/* Copies the heap, in one go since it is used meanwhile. @ret_elements: owned by the caller, also on
 * failure. -EAGAIN: it made no sense. */
static int read_elements(struct timer_look *look, uint64_t **ret_elements, size_t *ret_nr)
{
	slice_words slice, after;
	uint64_t bytes;
	int err = read_slice(look, slice);

	*ret_nr = err ? 0 : slice[1];
	if (err || !slice[1])
		return err;
	if (!is_slice(slice) || slice[1] > look->nr_left)
		return -EAGAIN;
	bytes = slice[1] * look->layout->element;
	*ret_elements = malloc(bytes);
	if (!*ret_elements)
		return -ENOMEM;
	err = memory_read(&look->golang->memory, slice[0], *ret_elements, bytes);
	if (!err)
		err = read_slice(look, after);
	if (err == -EFAULT || (!err && after[0] != slice[0]))
		return -EAGAIN;
	return err ? err : check_order(look, *ret_elements, slice[1]);
}

/* Counts what was read of the first @nr entries. */
static int take_chunk(struct timer_look *look, size_t nr)
{
	size_t nr_waiting = 0;

	for (size_t i = 0; i < nr; i++) {
		const struct timer_entry *entry = &look->entries[i];

		look->list.nr_stopped += entry->timer.state == TIMER_STOPPED;
		look->list.nr_unreadable += entry->timer.state == TIMER_ODD;
		if (entry->timer.state == TIMER_WAITS)
			look->entries[nr_waiting++] = *entry;
	}
	return timer_groups_add(look, nr_waiting);
}

/* Reads the timers of the heap with these @nr elements, which are changed. */
static int take_heap(struct timer_look *look, uint64_t *elements, size_t nr)
{
	size_t step = look->layout->element / sizeof(uint64_t);
	struct places addresses = { .items = elements, .nr = nr, .stride = sizeof(uint64_t) };
	int err = 0;

	for (size_t i = 0; i < nr; i++)
		elements[i] = elements[i * step];
	places_sort(&addresses);
	for (size_t first = 0; first < nr && !err; first += TIMER_CHUNK) {
		size_t nr_chunk = MIN(nr - first, (size_t)TIMER_CHUNK);

		for (size_t i = 0; i < nr_chunk; i++)
			look->entries[i] = (struct timer_entry){ .address = elements[first + i] };
		err = read_timers(look, nr_chunk);
		if (!err)
			err = take_chunk(look, nr_chunk);
	}
	look->nr_left -= nr;
	return err;
}

DEFINE_CLEANUP(elements, uint64_t *, free(*value))

static int read_heap(struct timer_look *look)
{
	int err = -EAGAIN;

	for (int i = 0; i < TRIES && err == -EAGAIN; i++) {
		uint64_t *elements __cleanup_of(elements) = NULL;
		size_t nr;

		err = read_elements(look, &elements, &nr);
		if (!err && nr)
			err = take_heap(look, elements, nr);
	}
	look->list.nr_heaps += !err;
	look->list.nr_odd_heaps += err == -EAGAIN;
	return err == -EAGAIN ? 0 : err;
}

static int read_heaps(struct timer_look *look)
{
	int err = 0;

	look->entries = calloc(TIMER_CHUNK, sizeof(*look->entries));
	look->lookups = calloc(TIMER_CHUNK, sizeof(*look->lookups));
	if (!look->entries || !look->lookups)
		err = -ENOMEM;
	for (size_t i = 0; i < look->nr_processors && !err; i++) {
		look->processor = look->processors[i];
		err = read_heap(look);
	}
	free(look->entries);
	free(look->lookups);
	return err;
}

/* --- the result --- */

static int fail(const struct golang *golang, int err, struct error *error)
{
	switch (err) {
	case -ESRCH:
		return error_set(error, err, "PID %d (%s) has ended", golang->pid, golang->comm);
	case -ENOMEM:
		return error_set(error, err, "out of memory for the timers of PID %d (%s)",
				 golang->pid, golang->comm);
	case -EPERM:
		return error_set(error, -EACCES,
				 "no right to read the timers of PID %d (%s); run leakbpf as root "
				 "(sudo)",
				 golang->pid, golang->comm);
	default:
		return error_set(error, -ENOTSUP,
				 "the timers of PID %d (%s, %s) are not where, or not what, they "
				 "are in Go 1.%d to 1.%d",
				 golang->pid, golang->comm,
				 golang->version[0] ? golang->version : "Go", G_OLDEST_RELEASE,
				 G_NEWEST_RELEASE);
	}
}

int golang_timers(struct golang *golang, struct timer_list *ret_list, struct error *error)
{
	struct timer_look look = {
		.golang = golang,
		.list = { .time_ns = clock_monotonic_ns() },
		.nr_left = MAX_TIMERS,
	};
	uint64_t calls = golang->memory.nr_calls, *processors = NULL;
	int err = processors_read(golang, &processors, &look.nr_processors);

	look.processors = processors;
	if (!err)
		err = find_heaps(&look);
	if (!err && look.layout)
		err = read_heaps(&look);
	else
		look.list.nr_heaps = look.nr_processors;
	free(processors);
	if (err) {
		timer_list_done(&look.list);
		return fail(golang, err, error);
	}
	timer_groups_name(&look);
	look.list.calls = golang->memory.nr_calls - calls;
	*ret_list = look.list;
	return 0;
}

void timer_list_done(struct timer_list *list)
{
	free(list->groups);
	*list = (struct timer_list){ 0 };
}
