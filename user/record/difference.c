/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two moments compared, stack by stack.
 *
 * A frame is where it is in the file of its module: that is the same in every process, after a
 * restart, and wherever the module is mapped. When only one of the two moments knows that build of
 * the module, places in it can not be compared, and the names of functions stand for them.
 */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "record/reader.h"

#define HASH_START 0xcbf29ce484222325ULL

/* The builds of modules that one moment knows. */
struct builds {
	void *tree; /* of strings: tsearch(3) */
};

/* A site on its way to a change. */
struct side {
	uint64_t match; /* the same for what is the same stack */
	bool after;
	const struct site_count *site;
	const struct stack *stack;
	const char *comm;
};

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t len)
{
	const unsigned char *at = bytes;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ at[i]) * 0x100000001b3ULL; /* FNV-1a */
	return hash;
}

static uint64_t hash_number(uint64_t hash, uint64_t number)
{
	return hash_bytes(hash, &number, sizeof(number));
}

/* With its end, so that two strings are not one. */
static uint64_t hash_string(uint64_t hash, const char *string)
{
	return string ? hash_bytes(hash, string, strlen(string) + 1) : hash_number(hash, 0);
}

/* NULL: not known. */
static const char *build_of(const struct frame *frame)
{
	return frame->mapping ? frame->mapping->build_id : NULL;
}

static int compare_strings(const void *left, const void *right)
{
	return strcmp(left, right);
}

static bool builds_have(const struct builds *builds, const char *build)
{
	return tfind(build, &builds->tree, compare_strings);
}

static void forget_nothing(void *string)
{
	(void)string; /* it is the reader's */
}

static void builds_done(struct builds *builds)
{
	tdestroy(builds->tree, forget_nothing);
	builds->tree = NULL;
}

DEFINE_CLEANUP(builds, struct builds, builds_done(value))
DEFINE_CLEANUP(entries, struct side *, free(*value))

static int builds_add(struct builds *builds, const struct stack *stack)
{
	for (size_t i = 0; stack && i < stack->nr_frames; i++) {
		const char *build = build_of(&stack->frames[i]);

		if (build && !tsearch(build, &builds->tree, compare_strings))
			return -ENOMEM;
	}
	return 0;
}

static int builds_collect(struct builds *builds, const struct record_reader *reader)
{
	int error = 0;

	for (size_t i = 0; i < reader->snapshot.nr_sites && !error; i++)
		error = builds_add(builds, record_stack(reader, &reader->snapshot.sites[i].key));
	return error;
}

/* @known: builds in which places can be compared; NULL: all. Of code whose build is not known, or that
 * was made while the program ran, names and lines are what there is. */
static uint64_t hash_frame(uint64_t hash, const struct frame *frame, const struct builds *known)
{
	const char *build = build_of(frame);

	if (build && (!known || builds_have(known, build) || !frame->function))
		return hash_number(hash_string(hash, build), frame->offset);
	if (!frame->function)
		return hash_number(hash_string(hash, frame->module),
				   frame->module ? frame->offset : 0);
	hash = hash_string(hash, frame->function);
	return build ? hash : hash_number(hash, (uint64_t)frame->line);
}

static uint64_t hash_site(const struct site_count *site, const struct stack *stack,
			  const struct builds *known)
{
	uint64_t hash = hash_number(HASH_START, site->key.kind);

	if (site->key.kind == LB_KIND_GOROUTINE)
		hash = hash_string(hash, site->state); /* of others it is a passing remark */
	for (size_t i = 0; stack && i < stack->nr_frames; i++)
		hash = hash_frame(hash, &stack->frames[i], known);
	return hash;
}

static const char *comm_of(const struct record_reader *reader, uint32_t tgid)
{
	for (size_t i = 0; i < reader->nr_targets; i++) {
		if ((uint32_t)reader->targets[i].pid == tgid)
			return reader->targets[i].comm;
	}
	return NULL;
}

static void fill_entries(struct side *entries, const struct record_reader *reader, bool after,
			 const struct builds *known)
{
	for (size_t i = 0; i < reader->snapshot.nr_sites; i++) {
		const struct site_count *site = &reader->snapshot.sites[i];
		const struct stack *stack = record_stack(reader, &site->key);

		entries[i] = (struct side){
			.match = hash_site(site, stack, known),
			.after = after,
			.site = site,
			.stack = stack,
			.comm = comm_of(reader, site->key.tgid),
		};
	}
}

static int compare_entries(const void *left, const void *right)
{
	const struct side *a = left, *b = right;

	return (a->match > b->match) - (a->match < b->match);
}

/* What @b has more than @a. */
static int64_t growth(uint64_t a, uint64_t b)
{
	return (int64_t)(b - a);
}

static int compare_growth(int64_t a, int64_t b)
{
	return (a < b) - (a > b);
}

/* The largest growth first. */
static int compare_changes(const void *left, const void *right)
{
	const struct record_change *a = left, *b = right;
	int order = compare_growth(growth(a->before_bytes, a->after_bytes),
				   growth(b->before_bytes, b->after_bytes));

	if (!order)
		order = compare_growth(growth(a->before_count, a->after_count),
				       growth(b->before_count, b->after_count));
	if (!order)
		order = (a->id > b->id) - (a->id < b->id);
	return order;
}

static void add_entry(struct record_change *change, const struct side *entry)
{
	const struct site_count *site = entry->site;

	change->kind = (enum lb_kind)site->key.kind;
	if (entry->after || !change->stack) {
		change->id = hash_site(site, entry->stack, NULL);
		change->stack = entry->stack;
		change->comm = entry->comm;
		change->state = site->state;
	}
	if (entry->after) {
		change->after_count += site->live_count;
		change->after_bytes += site->live_bytes;
		change->after_opened += site->opened_count;
		change->after_closed += site->closed_count;
	} else {
		change->before_count += site->live_count;
		change->before_bytes += site->live_bytes;
		change->before_opened += site->opened_count;
		change->before_closed += site->closed_count;
	}
}

static int make_changes(struct side *entries, size_t nr, struct record_difference *ret_difference)
{
	struct record_difference made = { .changes = calloc(nr + 1, sizeof(*made.changes)) };

	if (!made.changes)
		return -ENOMEM;
	qsort(entries, nr, sizeof(*entries), compare_entries);
	for (size_t i = 0; i < nr; i++) {
		if (i == 0 || entries[i].match != entries[i - 1].match)
			made.nr_changes++;
		add_entry(&made.changes[made.nr_changes - 1], &entries[i]);
	}
	qsort(made.changes, made.nr_changes, sizeof(*made.changes), compare_changes);
	*ret_difference = made;
	return 0;
}

int record_compare(const struct record_reader *before, const struct record_reader *after,
		   struct record_difference *ret_difference)
{
	size_t nr_before = before->snapshot.nr_sites, nr_after = after->snapshot.nr_sites;
	struct builds old __cleanup_of(builds) = { 0 }, new __cleanup_of(builds) = { 0 };
	struct side *entries __cleanup_of(entries) =
		calloc(nr_before + nr_after + 1, sizeof(*entries));
	int error = entries ? builds_collect(&old, before) : -ENOMEM;

	if (!error)
		error = builds_collect(&new, after);
	if (error)
		return error;
	fill_entries(entries, before, false, &new);
	fill_entries(entries + nr_before, after, true, &old);
	return make_changes(entries, nr_before + nr_after, ret_difference);
}

void record_difference_done(struct record_difference *difference)
{
	free(difference->changes);
	*difference = (struct record_difference){ 0 };
}
