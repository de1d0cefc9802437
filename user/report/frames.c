/* SPDX-License-Identifier: GPL-2.0-only */
#include <inttypes.h>
#include <string.h>

#include "proc/proc.h"
#include "report/text.h"

#define WRAPPER_PREFIX 10 /* characters that may stand before "malloc" in a wrapper's name */

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

void frame_name(struct buf *buf, const struct frame *frame)
{
	if (frame->function) {
		text_clean(buf, frame->function);
	} else if (frame->module) {
		text_clean(buf, path_base(frame->module));
		buf_printf(buf, "+0x%" PRIx64, frame->offset);
	} else {
		buf_printf(buf, "0x%" PRIx64, frame->address);
	}
}

void frame_place(struct buf *buf, const struct frame *frame, bool full)
{
	const char *path = frame->file ? frame->file : frame->module;

	if (!path || (!frame->file && !frame->function))
		return;
	text_clean(buf, full ? path : path_base(path));
	if (frame->file && frame->line > 0)
		buf_printf(buf, ":%d", frame->line);
}

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Is the code of the frame nobody's to repair: allocators, language libraries, their headers? */
static bool frame_is_library(const struct frame *frame)
{
	if (frame->file && (starts_with(frame->file, "/usr/include/") ||
			    starts_with(frame->file, "/usr/lib/gcc/")))
		return true;
	return frame->module && module_is_library(frame->module);
}

/* Is the function a program's own wrapper of the allocator: zmalloc, g_try_malloc, xstrdup? */
static bool frame_is_wrapper(const struct frame *frame)
{
	static const char *const names[] = { "malloc", "calloc", "realloc", "strdup" };
	size_t i;

	for (i = 0; frame->function && i < ARRAY_SIZE(names); i++) {
		const char *found = strcasestr(frame->function, names[i]);

		if (found && found - frame->function < WRAPPER_PREFIX)
			return true;
	}
	return false;
}

const struct frame *stack_where(const struct stack *stack)
{
	const struct frame *wrapper = NULL;
	size_t i;

	if (!stack || stack->nr_frames == 0)
		return NULL;
	for (i = 0; i < stack->nr_frames; i++) {
		const struct frame *frame = &stack->frames[i];

		if (frame_is_library(frame))
			continue;
		if (!frame_is_wrapper(frame))
			return frame;
		if (!wrapper)
			wrapper = frame;
	}
	return wrapper ? wrapper : &stack->frames[0];
}

void text_where(struct buf *buf, const struct finding *finding)
{
	const struct frame *frame = stack_where(finding->stack);
	size_t before;

	if (!frame) {
		buf_puts(buf, "(stack unknown)");
		return;
	}
	frame_name(buf, frame);
	buf_puts(buf, " ");
	before = buf->len;
	frame_place(buf, frame, false);
	if (buf->len == before && before > 0)
		buf->data[--buf->len] = '\0';
}
