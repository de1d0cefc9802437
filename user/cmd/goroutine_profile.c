/* SPDX-License-Identifier: GPL-2.0-only */
/* Goroutines at one moment as a profile: what runtime/pprof's goroutine profile has. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "cmd/goroutines.h"

static struct finding finding_of(const struct goroutine_view *view,
				 const struct goroutine_group *group)
{
	const struct goroutine *first = group->members[0];

	return (struct finding){
		.site = {
			.key = { .tgid = (uint32_t)view->target->pid, .kind = LB_KIND_GOROUTINE },
			.opened_count = group->nr_members,
			.live_count = group->nr_members,
			.live_bytes = group->nr_members,
			.state = first->reason,
		},
		.nr_stacks = 1,
		.stack = first->stack,
	};
}

int goroutines_print_profile(FILE *out, const struct goroutine_view *view,
			     enum report_format format)
{
	struct finding *findings = calloc(view->nr_shown + 1, sizeof(*findings));
	const struct report_options options = { .format = format, .all_sites = true };
	const struct snapshot snapshot = { 0 };
	struct report report = {
		.wall_s = time(NULL),
		.nr_polls = 1,
		.targets = view->target,
		.nr_targets = 1,
		.findings = findings,
		.nr_findings = view->nr_shown,
		.nr_sites = view->nr_shown,
		.snapshot = &snapshot,
	};
	int code;

	if (!findings)
		return -ENOMEM;
	for (size_t i = 0; i < view->nr_shown; i++) {
		findings[i] = finding_of(view, &view->groups[i]);
		report.live_count += findings[i].site.live_count;
	}
	code = report_write(out, &report, &options);
	free(findings);
	return code;
}
