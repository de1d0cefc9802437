/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A difference as a profile like those that `go tool pprof -base` makes of two: values are what was
 * added, negative where something went away. Kinds without bytes have their own value.
 */
#include <errno.h>

#include "report/difference.h"
#include "report/profile.h"
#include "report/text.h"
#include "report/write.h"

enum { VALUE_OBJECTS, VALUE_SPACE, NR_HEAP_VALUES };

/* The index of the first value of each kind. */
struct places {
	size_t first[LB_KIND_MAX];
};

static void write_types(struct profile *profile, struct places *places)
{
	size_t next = NR_HEAP_VALUES, kind;

	profile_add_type(profile, "inuse_objects", "count");
	profile_add_type(profile, "inuse_space", "bytes");
	profile_set_period(profile, "space", "bytes");
	if (!profile->error)
		profile->message->default_sample_type = profile_string(profile, "inuse_space");
	*places = (struct places){ 0 };
	for (kind = 0; kind < LB_KIND_MAX; kind++) {
		if (kind_has_bytes((enum lb_kind)kind))
			continue;
		profile_add_type(profile, kind_name((enum lb_kind)kind), "count");
		places->first[kind] = next++;
	}
}

static void write_sample(struct profile *profile, const struct places *places,
			 const struct record_change *change)
{
	const struct stack *stack = change->stack;
	Perftools__Profiles__Sample *sample =
		profile_add_sample(profile, stack && stack->nr_frames ? stack->nr_frames : 1);
	int64_t *values;

	if (!sample)
		return;
	values = sample->value + places->first[change->kind];
	values[VALUE_OBJECTS] = difference_of(change->before_count, change->after_count);
	if (kind_has_bytes(change->kind))
		values[VALUE_SPACE] = difference_of(change->before_bytes, change->after_bytes);
	profile_add_stack(profile, sample, stack);
	profile_label_text(profile, sample, "comm", change->comm ? change->comm : "?");
	profile_label_text(profile, sample, "kind", kind_name(change->kind));
	if (change->state)
		profile_label_text(profile, sample, "state", change->state);
	profile_end_sample(profile, sample);
}

static void write_facts(struct profile *profile, const struct difference *difference)
{
	struct buf text __cleanup_buf = { 0 };

	buf_puts(&text, "leakbpf: difference ");
	text_moments(&text, difference);
	profile_add_comment(profile, text.data ? text.data : "");
	if (!profile->error)
		profile->message->time_nanos = (int64_t)difference->after.time_ns;
}

int difference_pprof(FILE *out, const struct difference *difference,
		     const struct difference_options *options)
{
	size_t nr = changes_shown(difference, options), i;
	struct profile profile;
	struct places places;
	int code;

	profile_begin(&profile);
	write_types(&profile, &places);
	write_facts(&profile, difference);
	for (i = 0; i < nr; i++) {
		if (change_is_shown(&difference->changes[i], options))
			write_sample(&profile, &places, &difference->changes[i]);
	}
	code = profile.error ? profile.error : write_profile_message(out, &profile);
	profile_done(&profile);
	return code;
}
