/* SPDX-License-Identifier: GPL-2.0-only */
/* Goroutines for people: groups like net/http/pprof's debug=1, single ones like its debug=2. */
#include <inttypes.h>

#include "cmd/goroutines.h"

#define SECONDS_SHOWN 1      /* younger ones may have begun just before we looked */
#define DAYS_FROM     172800 /* seconds: less are shown in hours */

static double age_s(const struct goroutine_view *view, uint64_t since_ns)
{
	uint64_t now = view->list->time_ns;

	return now > since_ns ? (double)(now - since_ns) / (double)NSEC_PER_SEC : 0;
}

void duration_add(struct buf *buf, double seconds)
{
	uint64_t whole = (uint64_t)seconds;

	if (whole >= DAYS_FROM)
		buf_printf(buf, "%" PRIu64 " d %" PRIu64 " h", whole / 86400, whole / 3600 % 24);
	else if (whole >= 3600)
		buf_printf(buf, "%" PRIu64 " h %" PRIu64 " min", whole / 3600, whole / 60 % 60);
	else if (whole >= 60)
		buf_printf(buf, "%" PRIu64 " min %" PRIu64 " s", whole / 60, whole % 60);
	else if (whole)
		buf_printf(buf, "%" PRIu64 " s", whole);
	else if (seconds >= 0.001)
		buf_printf(buf, "%u ms", (unsigned int)(seconds * 1e3));
	else
		buf_printf(buf, "%u us", (unsigned int)(seconds * 1e6));
}

static void add_place(struct buf *buf, const char *before, const struct frame *frame,
		      const char *between)
{
	buf_puts(buf, before);
	if (frame->function)
		text_clean(buf, frame->function);
	else
		buf_printf(buf, "0x%" PRIx64, frame->address);
	buf_puts(buf, between);
	if (frame->file) {
		text_clean(buf, frame->file);
		buf_printf(buf, ":%d", frame->line);
	} else {
		buf_puts(buf, "?");
	}
	buf_puts(buf, "\n");
}

/* NULL: it has a stack to show. */
static const char *missing_stack(const struct goroutine *goroutine)
{
	if (goroutine->stack)
		return goroutine->stack->nr_frames ? NULL : "no Go function: in C code";
	return goroutine->state == GOROUTINE_RUNNING
		       ? "goroutine running on other thread; stack unavailable"
		       : "stack unavailable: it changed while it was being read";
}

/* --- groups --- */

static void add_group_head(struct buf *buf, const struct goroutine_view *view,
			   const struct goroutine_group *group)
{
	const struct goroutine *first = group->members[0];
	double age = age_s(view, first->since_ns);

	buf_printf(buf, "%zu [", group->nr_members);
	text_clean(buf, group->name ? (group->name[0] ? group->name : "none") : first->reason);
	if (age >= SECONDS_SHOWN) {
		buf_puts(buf, ", oldest ");
		duration_add(buf, age);
	}
	buf_puts(buf, "]");
	if (group->waits_on && group->nr_members > 1)
		buf_printf(buf, " %zu on 0x%" PRIx64, group->nr_waits_on, group->waits_on);
	else if (group->waits_on)
		buf_printf(buf, " on 0x%" PRIx64, group->waits_on);
	if (group->nr_leaked)
		buf_printf(buf, " %zu leaked", group->nr_leaked);
	if (!group->name && first->labels) {
		buf_puts(buf, " {");
		text_clean(buf, first->labels);
		buf_puts(buf, "}");
	}
	buf_puts(buf, "\n");
}

static void add_group_stack(struct buf *buf, const struct goroutine *goroutine)
{
	const struct stack *stack = goroutine->stack;

	for (size_t i = 0; stack && i < stack->nr_frames; i++)
		add_place(buf, "#\t", &stack->frames[i], "\t");
	if (stack && stack->flags)
		buf_puts(buf, "#\t...\n");
	if (missing_stack(goroutine))
		buf_printf(buf, "#\t%s\n", missing_stack(goroutine));
	if (!stack && goroutine->start)
		add_place(buf, "#\tstarted as ", goroutine->start, "\t");
	if (goroutine->creator && goroutine->id != 1)
		add_place(buf, "#\tcreated by ", goroutine->creator, "\t");
}

static void print_groups(FILE *out, const struct goroutine_view *view)
{
	struct buf buf __cleanup_buf = { 0 };

	for (size_t i = 0; i < view->nr_shown; i++) {
		const struct goroutine_group *group = &view->groups[i];

		buf_reset(&buf);
		buf_puts(&buf, i && !group->name ? "\n" : "");
		add_group_head(&buf, view, group);
		if (!group->name)
			add_group_stack(&buf, group->members[0]);
		fputs(buf.data, out);
	}
}

/* --- one by one --- */

static void add_head(struct buf *buf, const struct goroutine_view *view,
		     const struct goroutine *goroutine)
{
	unsigned int minutes = (unsigned int)(age_s(view, goroutine->since_ns) / 60);

	buf_printf(buf, "goroutine %" PRIu64 " [", goroutine->id);
	text_clean(buf, goroutine->reason);
	if (goroutine->state == GOROUTINE_LEAKED)
		buf_puts(buf, " (leaked)");
	if (minutes)
		buf_printf(buf, ", %u minutes", minutes);
	if (goroutine->waits_on)
		buf_printf(buf, ", on 0x%" PRIx64, goroutine->waits_on);
	if (goroutine->labels) {
		buf_puts(buf, ", labels ");
		text_clean(buf, goroutine->labels);
	}
	buf_puts(buf, "]:\n");
}

static void add_goroutine(struct buf *buf, const struct goroutine_view *view,
			  const struct goroutine *goroutine)
{
	const struct stack *stack = goroutine->stack;

	add_head(buf, view, goroutine);
	for (size_t i = 0; stack && i < stack->nr_frames; i++)
		add_place(buf, "", &stack->frames[i], "(...)\n\t");
	if (stack && stack->flags)
		buf_puts(buf, "...additional frames elided...\n");
	if (missing_stack(goroutine))
		buf_printf(buf, "\t%s\n", missing_stack(goroutine));
	if (goroutine->creator && goroutine->id != 1) {
		buf_puts(buf, "created by ");
		text_clean(buf, goroutine->creator->function);
		if (goroutine->parent_id)
			buf_printf(buf, " in goroutine %" PRIu64, goroutine->parent_id);
		buf_puts(buf, "\n\t");
		text_clean(buf, goroutine->creator->file ? goroutine->creator->file : "?");
		buf_printf(buf, ":%d\n", goroutine->creator->line);
	}
}

static void print_all(FILE *out, const struct goroutine_view *view)
{
	struct buf buf __cleanup_buf = { 0 };

	for (size_t i = 0; i < view->nr_shown; i++) {
		buf_reset(&buf);
		buf_puts(&buf, i ? "\n" : "");
		add_goroutine(&buf, view, view->chosen[i]);
		fputs(buf.data, out);
	}
}

/* What the goroutines were read as. */
static void add_release(struct buf *buf, const struct goroutine_view *view)
{
	if (view->go_version[0]) {
		text_clean(buf, view->go_version);
		return;
	}
	buf_printf(buf, "Go (release unknown, read as 1.%u", view->first_minor);
	if (view->last_minor != view->first_minor)
		buf_printf(buf, " to 1.%u", view->last_minor);
	buf_puts(buf, ")");
}

void goroutines_print_text(FILE *out, const struct goroutine_view *view)
{
	struct buf buf __cleanup_buf = { 0 };

	if (!view->groups) {
		print_all(out, view);
		return;
	}
	buf_printf(&buf, "PID %d (", view->target->pid);
	text_clean(&buf, view->target->comm);
	buf_puts(&buf, "), ");
	add_release(&buf, view);
	buf_printf(&buf, ": %zu goroutine%s in %zu group%s", view->nr_chosen,
		   view->nr_chosen == 1 ? "" : "s", view->nr_groups,
		   view->nr_groups == 1 ? "" : "s");
	if (view->nr_shown < view->nr_groups)
		buf_printf(&buf, ", the largest %zu of them", view->nr_shown);
	fprintf(out, "%s\n\n", buf.data);
	print_groups(out, view);
	timers_print_text(out, view);
}
