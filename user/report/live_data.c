/* SPDX-License-Identifier: GPL-2.0-only */
/* What the live screen keeps of a poll: names live no longer than a target may. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "report/live.h"

void live_data_done(struct live_data *data)
{
	strings_free(data->strings);
	free(data->sites);
	free(data->frames);
	buf_done(&data->status);
	buf_done(&data->doubts);
	*data = (struct live_data){ 0 };
}

/* How bad, what, since when: "leakbpf: 1 leaking site in PID 12 (server), 45 s". */
static void add_status(struct buf *line, const struct report *report)
{
	size_t before;

	buf_puts(line, "leakbpf: ");
	before = line->len;
	text_verdicts(line, report);
	if (line->len > before)
		buf_puts(line, " in ");
	else
		buf_puts(line, report->judged ? "nothing grows in " : "no verdict yet on ");
	text_targets(line, report);
	buf_puts(line, ", ");
	text_seconds(line, report->duration_s);
}

/* What is not exact, or that all is; blind spots. */
static void add_doubts(struct buf *line, const struct report *report)
{
	struct buf text __cleanup_buf = { 0 };
	size_t nr_blind = 0, i;

	text_incomplete(&text, report);
	for (i = 0; i < report->nr_targets; i++)
		nr_blind += report->targets[i].nr_blind_spots;
	buf_puts(line,
		 text.len ? text.data + strlen("; ") : "exact: nothing sampled, nothing lost");
	if (nr_blind) {
		buf_puts(line, "; ");
		text_count(line, nr_blind, "blind spot");
		buf_puts(line, " (see the final report)");
	}
}

/* Copies a string; of what does not fit memory nothing is known. */
static const char *keep(struct live_data *data, const char *string)
{
	return strings_intern(data->strings, string);
}

static void copy_frames(struct live_data *data, const struct stack *stack, struct frame *frames)
{
	size_t i;

	for (i = 0; i < stack->nr_frames; i++) {
		frames[i] = stack->frames[i];
		frames[i].function = keep(data, frames[i].function);
		frames[i].file = keep(data, frames[i].file);
		frames[i].module = keep(data, frames[i].module);
		frames[i].mapping = NULL;
	}
}

static size_t count_frames(const struct report *report)
{
	size_t nr = 0, i;

	for (i = 0; i < report->nr_findings; i++)
		nr += report->findings[i].stack ? report->findings[i].stack->nr_frames : 0;
	return nr;
}

static unsigned int kind_width(const struct finding *finding)
{
	return (unsigned int)strlen(kind_name((enum lb_kind)finding->site.key.kind));
}

static void copy_sites(struct live_data *data, const struct report *report)
{
	struct frame *frames = data->frames;
	size_t i;

	for (i = 0; i < report->nr_findings; i++) {
		struct live_site *site = &data->sites[i];
		const struct stack *stack = report->findings[i].stack;

		site->finding = report->findings[i];
		site->finding.site.cohorts = NULL;
		site->finding.site.state = keep(data, site->finding.site.state);
		site->finding.site.proof = keep(data, site->finding.site.proof);
		data->kind_width = MAX(data->kind_width, kind_width(&site->finding));
		if (!stack)
			continue;
		site->stack = *stack;
		site->stack.frames = frames;
		copy_frames(data, stack, frames);
		frames += stack->nr_frames;
		site->finding.stack = &site->stack;
	}
	data->nr_sites = report->nr_findings;
}

int live_data_copy(const struct report *report, struct live_data *ret_data)
{
	struct live_data data = {
		.strings = strings_new(),
		.sites = calloc(report->nr_findings + 1, sizeof(*data.sites)),
		.frames = calloc(count_frames(report) + 1, sizeof(*data.frames)),
		.nr_all = report->nr_sites,
		.nr_polls = report->nr_polls,
		.polls_needed = report->polls_needed,
		.judged = report->judged,
		.many_targets = report->nr_targets > 1,
	};

	if (data.strings && data.sites && data.frames) {
		copy_sites(&data, report);
		add_status(&data.status, report);
		add_doubts(&data.doubts, report);
	}
	if (!data.sites || !data.frames || !data.strings || data.status.error ||
	    data.doubts.error) {
		live_data_done(&data);
		return -ENOMEM;
	}
	*ret_data = data;
	return 0;
}
