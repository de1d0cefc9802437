/* SPDX-License-Identifier: GPL-2.0-only */
/* What the live screen tells of one site below its row: why, the numbers, the stack. */
#include "report/fields.h"
#include "report/live.h"

#define INDENT 6

static unsigned int add(struct live *live, size_t site, unsigned int part, const struct buf *text)
{
	return live_add_wrapped(live, site, part, text->data ? text->data : "", INDENT);
}

static unsigned int add_why(struct live *live, size_t site, unsigned int part)
{
	const struct finding *finding = &live->data.sites[site].finding;
	struct buf text __cleanup_buf = { 0 };

	if (finding->verdict == VERDICT_STABLE)
		return part;
	buf_puts(&text, "   why: ");
	text_why(&text, finding);
	return add(live, site, part, &text);
}

/* All that may have found no room in the row. */
static unsigned int add_numbers(struct live *live, size_t site, unsigned int part)
{
	const struct finding *finding = &live->data.sites[site].finding;
	struct buf text __cleanup_buf = { 0 };

	buf_puts(&text, "   ");
	field_text(&text, FIELD_KIND, finding);
	buf_puts(&text, " in PID ");
	field_text(&text, FIELD_PID, finding);
	if (growth_is_known(finding)) {
		buf_puts(&text, ", ");
		field_text(&text, growth_field(finding), finding);
	}
	if (finding->verdict != VERDICT_STABLE) {
		buf_puts(&text, ", confidence ");
		field_text(&text, FIELD_CONFIDENCE, finding);
	}
	buf_puts(&text, ", ");
	text_numbers(&text, finding);
	if (finding->nr_history > 0) {
		buf_puts(&text, ", history ");
		live_curve(&text, finding, (unsigned int)finding->nr_history);
	}
	return add(live, site, part, &text);
}

/* "  *make_buffer  /build/server.c:17": the star is at the frame that the row names. */
static unsigned int add_frame(struct live *live, size_t site, unsigned int part,
			      const struct frame *frame)
{
	bool is_where = frame == stack_where(&live->data.sites[site].stack);
	struct buf text __cleanup_buf = { 0 };

	buf_puts(&text, is_where ? "   * " : "     ");
	frame_name(&text, frame);
	buf_puts(&text, "  ");
	frame_place(&text, frame, true);
	if (frame->inlined)
		buf_puts(&text, " (inlined)");
	while (text.len > 0 && text.data[text.len - 1] == ' ')
		text.data[--text.len] = '\0';
	return add(live, site, part, &text);
}

static const char *end_of_stack(const struct stack *stack)
{
	if (stack->nr_frames == 0)
		return "     " UNKNOWN_STACK;
	if (stack->flags & LB_STACK_TRUNCATED)
		return "     (deeper: the outer frames are cut off)";
	if (stack->flags & LB_STACK_INCOMPLETE)
		return "     (the walk ended here: code without frame pointers)";
	return NULL;
}

void live_details(struct live *live, size_t site)
{
	const struct stack *stack = &live->data.sites[site].stack;
	unsigned int part = add_numbers(live, site, add_why(live, site, 1));
	const char *end = end_of_stack(stack);
	size_t i;

	for (i = 0; i < stack->nr_frames; i++)
		part = add_frame(live, site, part, &stack->frames[i]);
	if (end)
		live_add_wrapped(live, site, part, end, INDENT);
}
