/* SPDX-License-Identifier: GPL-2.0-only */
/* What has changed between two moments, stack by stack. */
#include "report/difference.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "report/text.h"
#include "report/write.h"

int64_t difference_of(uint64_t before, uint64_t after)
{
	return (int64_t)(after - before);
}

bool change_is_shown(const struct record_change *change, const struct difference_options *options)
{
	return options->all_sites || change->before_count != change->after_count ||
	       change->before_bytes != change->after_bytes;
}

size_t changes_shown(const struct difference *difference, const struct difference_options *options)
{
	size_t shown = 0, i;

	for (i = 0; i < difference->nr_changes; i++) {
		if (options->top && shown == options->top)
			return i;
		shown += change_is_shown(&difference->changes[i], options);
	}
	return i;
}

uint64_t change_before(const struct record_change *change)
{
	return kind_has_bytes(change->kind) ? change->before_bytes : change->before_count;
}

uint64_t change_after(const struct record_change *change)
{
	return kind_has_bytes(change->kind) ? change->after_bytes : change->after_count;
}

static void add_line(struct buf *line, const struct record_change *change)
{
	folded_stack(line, change->comm ? change->comm : "?",
		     kind_has_bytes(change->kind) ? NULL : kind_name(change->kind), change->stack);
}

/* Only what grew: flame graph tools ignore negative numbers. */
static void difference_folded(FILE *out, const struct difference *difference,
			      const struct difference_options *options)
{
	size_t nr = changes_shown(difference, options), i;

	for (i = 0; i < nr; i++) {
		const struct record_change *change = &difference->changes[i];
		uint64_t before = change_before(change), after = change_after(change);
		struct buf line __cleanup_buf = { 0 };

		if (after <= before)
			continue;
		add_line(&line, change);
		if (!line.error)
			fprintf(out, "%s %" PRIu64 "\n", line.data, after - before);
	}
}

/* The input of flamegraph.pl for a difference: stack, before, after. */
static void difference_pairs(FILE *out, const struct difference *difference,
			     const struct difference_options *options)
{
	size_t nr = changes_shown(difference, options), i;

	for (i = 0; i < nr; i++) {
		const struct record_change *change = &difference->changes[i];
		struct buf line __cleanup_buf = { 0 };

		if (change_before(change) == 0 && change_after(change) == 0)
			continue;
		add_line(&line, change);
		if (!line.error)
			fprintf(out, "%s %" PRIu64 " %" PRIu64 "\n", line.data,
				change_before(change), change_after(change));
	}
}

static struct flame_stack flame_stack_of(const struct record_change *change)
{
	return (struct flame_stack){
		.stack = change->stack,
		.process = change->comm ? change->comm : "?",
		.kind = change->kind,
		.counted = !kind_has_bytes(change->kind),
		.before = change_before(change),
		.after = change_after(change),
		.count = change->after_count,
	};
}

DEFINE_CLEANUP(stacks, struct flame_stack *, free(*value))

static int difference_svg(FILE *out, const struct difference *difference,
			  const struct difference_options *options)
{
	size_t nr = changes_shown(difference, options), i;
	struct flame_stack *stacks __cleanup_of(stacks) = calloc(nr + 1, sizeof(*stacks));
	struct buf subtitle __cleanup_buf = { 0 };
	struct flame_input input = {
		.title = "leakbpf: difference",
		.note = "",
		.stacks = stacks,
		.difference = true,
	};

	if (!stacks)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		if (change_is_shown(&difference->changes[i], options))
			stacks[input.nr_stacks++] = flame_stack_of(&difference->changes[i]);
	}
	text_moments(&subtitle, difference);
	if (subtitle.error)
		return -ENOMEM;
	input.subtitle = subtitle.data;
	return flame_write(out, &input);
}

int difference_write(FILE *out, const struct difference *difference,
		     const struct difference_options *options)
{
	int code = 0;

	errno = 0;
	switch (options->format) {
	case DIFFERENCE_TEXT:
		difference_text(out, difference, options);
		break;
	case DIFFERENCE_JSON:
		difference_json(out, difference, options);
		break;
	case DIFFERENCE_FOLDED:
		difference_folded(out, difference, options);
		break;
	case DIFFERENCE_PPROF:
		code = difference_pprof(out, difference, options);
		break;
	case DIFFERENCE_SVG:
		code = difference_svg(out, difference, options);
		break;
	case DIFFERENCE_PAIRS:
		difference_pairs(out, difference, options);
		break;
	}
	if (code)
		return code;
	if (fflush(out) != 0 || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}
