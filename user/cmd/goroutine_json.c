/* SPDX-License-Identifier: GPL-2.0-only */
/* Goroutines for programs. Unknown values are null. */
#include <inttypes.h>

#include "cmd/goroutines.h"

void json_add_string(struct buf *buf, const char *name, const char *text)
{
	struct buf clean __cleanup_buf = { 0 };

	buf_printf(buf, "%s\"%s\":", buf->data[buf->len - 1] == '{' ? "" : ",", name);
	if (!text) {
		buf_puts(buf, "null");
		return;
	}
	buf_puts(&clean, "");
	text_clean(&clean, text);
	buf_puts(buf, "\"");
	for (const char *c = clean.data; c && *c; c++)
		buf_printf(buf, "%s%c", *c == '"' || *c == '\\' ? "\\" : "", *c);
	buf_puts(buf, "\"");
}

static void add_address(struct buf *buf, const char *name, uint64_t address)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, address);
	json_add_string(buf, name, address ? text : NULL);
}

void json_add_frame(struct buf *buf, const struct frame *frame)
{
	if (!frame) {
		buf_puts(buf, "null");
		return;
	}
	buf_puts(buf, "{");
	json_add_string(buf, "function", frame->function);
	json_add_string(buf, "file", frame->file);
	if (frame->line)
		buf_printf(buf, ",\"line\":%d", frame->line);
	else
		buf_puts(buf, ",\"line\":null");
	json_add_string(buf, "module", frame->module);
	add_address(buf, "address", frame->address);
	buf_printf(buf, ",\"inlined\":%s}", frame->inlined ? "true" : "false");
}

static double age_s(const struct goroutine_view *view, uint64_t since_ns)
{
	uint64_t now = view->list->time_ns;

	return now > since_ns ? (double)(now - since_ns) / (double)NSEC_PER_SEC : 0;
}

/* What groups and single goroutines have in common. */
static void add_common(struct buf *buf, const struct goroutine_view *view,
		       const struct goroutine *goroutine)
{
	const struct stack *stack = goroutine->stack;

	json_add_string(buf, "state", goroutine->reason);
	buf_printf(buf, ",\"leaked\":%s,\"waiting_s\":%.3f",
		   goroutine->state == GOROUTINE_LEAKED ? "true" : "false",
		   age_s(view, goroutine->since_ns));
	json_add_string(buf, "labels", goroutine->labels);
	buf_puts(buf, ",\"start\":");
	json_add_frame(buf, goroutine->start);
	buf_puts(buf, ",\"created_by\":");
	json_add_frame(buf, goroutine->id == 1 ? NULL : goroutine->creator);
	if (!stack) {
		buf_puts(buf, ",\"stack\":null,\"stack_complete\":false");
		return;
	}
	buf_puts(buf, ",\"stack\":[");
	for (size_t i = 0; i < stack->nr_frames; i++) {
		buf_puts(buf, i ? "," : "");
		json_add_frame(buf, &stack->frames[i]);
	}
	buf_printf(buf, "],\"stack_complete\":%s", stack->flags ? "false" : "true");
}

static void add_group(struct buf *buf, const struct goroutine_view *view,
		      const struct goroutine_group *group)
{
	buf_puts(buf, "{");
	json_add_string(buf, "name", group->name);
	buf_printf(buf, ",\"count\":%zu", group->nr_members);
	add_address(buf, "waits_on", group->waits_on);
	buf_printf(buf, ",\"waits_on_count\":%zu,\"leaked_count\":%zu,", group->nr_waits_on,
		   group->nr_leaked);
	buf_puts(buf, "\"longest\":{");
	buf_printf(buf, "\"id\":%" PRIu64, group->members[0]->id);
	add_common(buf, view, group->members[0]);
	buf_puts(buf, "}}");
}

static void add_goroutine(struct buf *buf, const struct goroutine_view *view,
			  const struct goroutine *goroutine)
{
	buf_printf(buf, "{\"id\":%" PRIu64, goroutine->id);
	if (goroutine->parent_id)
		buf_printf(buf, ",\"parent_id\":%" PRIu64, goroutine->parent_id);
	else
		buf_puts(buf, ",\"parent_id\":null");
	buf_printf(buf, ",\"system\":%s", goroutine->system ? "true" : "false");
	add_address(buf, "waits_on", goroutine->waits_on);
	add_common(buf, view, goroutine);
	buf_puts(buf, "}");
}

static void print_head(FILE *out, const struct goroutine_view *view)
{
	const struct goroutine_list *list = view->list;
	struct buf buf __cleanup_buf = { 0 };

	buf_puts(&buf, "{\"schema\":\"leakbpf/1\"");
	buf_printf(&buf, ",\"pid\":%d", view->target->pid);
	json_add_string(&buf, "comm", view->target->comm);
	json_add_string(&buf, "exe", view->target->exe);
	json_add_string(&buf, "go_version", view->go_version[0] ? view->go_version : NULL);
	buf_printf(&buf,
		   ",\"goroutine_count\":%zu,\"chosen_count\":%zu,\"dead_count\":%zu,"
		   "\"unreadable_count\":%zu,\"stackless_count\":%zu,\"table_calls\":%" PRIu64
		   ",\"stack_calls\":%" PRIu64,
		   list->nr_goroutines, view->nr_chosen, list->nr_dead, list->nr_unreadable,
		   list->nr_stackless, list->table_calls, list->stack_calls);
	fprintf(out, "%s,\n\"%s\":[", buf.data, view->groups ? "groups" : "goroutines");
}

void goroutines_print_json(FILE *out, const struct goroutine_view *view)
{
	struct buf buf __cleanup_buf = { 0 };

	print_head(out, view);
	for (size_t i = 0; i < view->nr_shown; i++) {
		buf_reset(&buf);
		buf_puts(&buf, i ? ",\n" : "\n");
		if (view->groups)
			add_group(&buf, view, &view->groups[i]);
		else
			add_goroutine(&buf, view, view->chosen[i]);
		fputs(buf.data, out);
	}
	buf_reset(&buf);
	timers_add_json(&buf, view);
	fprintf(out, "\n],\n\"timers\":%s}\n", buf.data);
}
