/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "report/report.h"

static const char *const kind_names[] = {
	[LB_KIND_HEAP] = "heap",     [LB_KIND_MMAP] = "mmap",   [LB_KIND_GOROUTINE] = "goroutine",
	[LB_KIND_THREAD] = "thread", [LB_KIND_TIMER] = "timer", [LB_KIND_NEWPROC] = "newproc",
	[LB_KIND_GOPARK] = "gopark",
};

static const char *const count_names[] = {
	[LB_COUNT_HITS] = "hits",         [LB_COUNT_FAILED] = "failed",
	[LB_COUNT_NESTED] = "nested",     [LB_COUNT_SAMPLED_OUT] = "sampled_out",
	[LB_COUNT_CLOSES] = "closes",     [LB_COUNT_UNMATCHED] = "unmatched",
	[LB_COUNT_REPLACED] = "replaced", [LB_COUNT_PARTIAL] = "partial",
};

static const char *const loss_names[] = {
	[LB_LOSS_THREAD] = "thread",         [LB_LOSS_MAY_THROW] = "may_throw",
	[LB_LOSS_ABANDONED] = "abandoned",   [LB_LOSS_LIVE_FULL] = "live_full",
	[LB_LOSS_LIVE_NOMEM] = "live_nomem", [LB_LOSS_SITES_FULL] = "sites_full",
	[LB_LOSS_USER_READ] = "user_read",
};

static const char *const defect_names[] = {
	[LB_DEFECT_STACK_TRUNCATED] = "stack_truncated",
	[LB_DEFECT_STACK_UNSTORED] = "stack_unstored",
	[LB_DEFECT_EVENT_DROPPED] = "event_dropped",
};

static const char *const unwind_end_names[] = {
	[LB_UNWIND_COMPLETE] = "complete",
	[LB_UNWIND_TOO_DEEP] = "too_deep",
	[LB_UNWIND_NO_MAPPING] = "no_mapping",
	[LB_UNWIND_BAD_RULE] = "bad_rule",
	[LB_UNWIND_READ] = "read",
	[LB_UNWIND_NO_PROGRESS] = "no_progress",
	[LB_UNWIND_FRAME_POINTER] = "frame_pointer",
};

_Static_assert(ARRAY_SIZE(unwind_end_names) == LB_UNWIND_MAX, "a name for each end of a walk");
_Static_assert(ARRAY_SIZE(kind_names) == LB_KIND_MAX, "a name for each kind");
_Static_assert(ARRAY_SIZE(count_names) == LB_COUNT_MAX, "a name for each counter");
_Static_assert(ARRAY_SIZE(loss_names) == LB_LOSS_MAX, "a name for each loss");
_Static_assert(ARRAY_SIZE(defect_names) == LB_DEFECT_MAX, "a name for each defect");

const char *kind_name(enum lb_kind kind)
{
	return (unsigned int)kind < LB_KIND_MAX ? kind_names[kind] : "unknown";
}

int kind_parse(const char *name, enum lb_kind *ret_kind)
{
	size_t i;

	for (i = 0; i < LB_KIND_MAX; i++) {
		if (strcmp(kind_names[i], name) == 0) {
			*ret_kind = (enum lb_kind)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *count_name(enum lb_count count)
{
	return count_names[count];
}

const char *loss_name(enum lb_loss loss)
{
	return loss_names[loss];
}

const char *defect_name(enum lb_defect defect)
{
	return defect_names[defect];
}

const char *defect_sentence(enum lb_defect defect)
{
	static const char *const sentences[] = {
		[LB_DEFECT_STACK_TRUNCATED] = "stacks that are deeper than is kept",
		[LB_DEFECT_STACK_UNSTORED] = "stacks that found no room: their frames are unknown",
		[LB_DEFECT_EVENT_DROPPED] = "dropped process events: a child may be missed",
	};

	_Static_assert(ARRAY_SIZE(sentences) == LB_DEFECT_MAX, "a sentence for each defect");
	return sentences[defect];
}

const char *unwind_end_name(enum lb_unwind_end end)
{
	return (unsigned int)end < LB_UNWIND_MAX ? unwind_end_names[end] : "unknown";
}
