/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A profile in the making (profile.proto): each string, function, mapping and location stands in it
 * once, and its id is its place, from 1 up without a gap. Private to the module.
 */
#ifndef REPORT_PROFILE_H
#define REPORT_PROFILE_H

#include "base/base.h"
#include "model.h"
#include "profile.pb-c.h"
#include "report/table.h"

/* After an out of memory error further calls do nothing and return 0 or NULL. */
struct profile {
	Perftools__Profiles__Profile *message; /* owned, with all that is in it */
	struct table strings, functions, mappings, locations, samples;
	size_t raw_bytes; /* what is in it takes at most that many, packed */
	int error;        /* 0 or -ENOMEM */
};

void profile_begin(struct profile *profile);
void profile_done(struct profile *profile);

/* The index of @text, made printable and valid UTF-8. */
int64_t profile_string(struct profile *profile, const char *text);
void profile_add_type(struct profile *profile, const char *type, const char *unit);
void profile_set_period(struct profile *profile, const char *type, const char *unit);
void profile_add_comment(struct profile *profile, const char *text);

/* The id of the mapping of a file. @mapping NULL: where it lies is not known. */
uint64_t profile_mapping(struct profile *profile, const struct code_mapping *mapping,
			 const char *path);
/* The id of the place where frames[0] is called, with the *@ret_nr - 1 callers it was inlined
 * into; at most @nr frames are looked at. */
uint64_t profile_location(struct profile *profile, const struct frame *frames, size_t nr,
			  size_t *ret_nr);
/* The id of a place that is only a name. */
uint64_t profile_pseudo_location(struct profile *profile, const char *name);

/* A new sample, whose values are 0, with room for @nr_locations ids; at least 1. Once complete it is
 * to be ended. NULL: out of memory. */
Perftools__Profiles__Sample *profile_add_sample(struct profile *profile, size_t nr_locations);
/* @stack NULL: unknown. It must have no more frames than the sample has room for. */
void profile_add_stack(struct profile *profile, Perftools__Profiles__Sample *sample,
		       const struct stack *stack);
void profile_label_text(struct profile *profile, Perftools__Profiles__Sample *sample,
			const char *key, const char *text);
void profile_label_number(struct profile *profile, Perftools__Profiles__Sample *sample,
			  const char *key, int64_t number);
void profile_end_sample(struct profile *profile, const Perftools__Profiles__Sample *sample);

/* At least as many bytes as the frames of a stack can add. */
size_t profile_stack_bytes(const struct stack *stack);

#endif
