/* SPDX-License-Identifier: GPL-2.0-only */
#include <inttypes.h>
#include <string.h>

#include "proc/proc.h"
#include "report/text.h"

#define NAMED_CALLERS  4  /* frames looked at for a name */
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

/* What compilers of C append to the names of parts and copies of functions. */
static bool is_clone_suffix(const char *suffix)
{
	static const char *const suffixes[] = { "part.",     "constprop.", "isra.",     "cold",
						"lto_priv.", "llvm.",      "localalias" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(suffixes); i++) {
		if (starts_with(suffix, suffixes[i]))
			return true;
	}
	return false;
}

/* Does the function belong to a package of Go's own library? Their paths begin with one of these
 * (Go 1.23, go list std); all others but "main" begin with a host name. */
static bool is_go_library(const char *function)
{
	static const char *const roots[] = {
		"archive",  "bufio",   "bytes",    "compress", "container", "context", "crypto",
		"database", "debug",   "encoding", "errors",   "expvar",    "flag",    "fmt",
		"go",       "hash",    "html",     "image",    "internal",  "io",      "iter",
		"log",      "maps",    "math",     "mime",     "net",       "os",      "path",
		"plugin",   "reflect", "regexp",   "runtime",  "slices",    "sort",    "strconv",
		"strings",  "sync",    "syscall",  "testing",  "text",      "time",    "unicode",
		"unique",   "vendor",
	};
	size_t len, i;

	if (starts_with(function, CREATED_BY))
		function += strlen(CREATED_BY);
	len = strcspn(function, "./");
	if (!function[len] || is_clone_suffix(function + len + 1))
		return false;
	for (i = 0; i < ARRAY_SIZE(roots); i++) {
		if (strlen(roots[i]) == len && strncmp(function, roots[i], len) == 0)
			return true;
	}
	return false;
}

/* Does the function only pass a call from Go to C (Go 1.23, src/cmd/cgo/out.go, cPrefix)? */
static bool is_cgo_glue(const char *function)
{
	return strstr(function, "_Cfunc_") != NULL;
}

/* Is the code of the frame nobody's to repair: allocators, language libraries, their headers? */
static bool frame_is_library(const struct frame *frame)
{
	if (frame->file && (starts_with(frame->file, "/usr/include/") ||
			    starts_with(frame->file, "/usr/lib/gcc/")))
		return true;
	if (frame->function && (is_go_library(frame->function) || is_cgo_glue(frame->function)))
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

/* The frame to show for @frame, which is @nr frames away from the outermost: a named caller in the
 * same file tells people more than an offset. */
static const struct frame *named_instead(const struct frame *frame, size_t nr)
{
	size_t i;

	for (i = 0; i < MIN(nr, NAMED_CALLERS); i++) {
		if (frame[i].module != frame->module)
			break;
		if (frame[i].function && !frame_is_wrapper(&frame[i]))
			return &frame[i];
	}
	return frame;
}

/* Of a stack that is all libraries': the function that a goroutine was started with, or where it
 * is. */
static const struct frame *library_frame(const struct stack *stack)
{
	const struct frame *last = &stack->frames[stack->nr_frames - 1];

	if (stack->nr_frames > 1 && last->function && starts_with(last->function, CREATED_BY))
		return last - 1;
	return &stack->frames[0];
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
			return named_instead(frame, stack->nr_frames - i);
		if (!wrapper)
			wrapper = frame;
	}
	return wrapper ? wrapper : library_frame(stack);
}

void text_where(struct buf *buf, const struct finding *finding)
{
	const struct frame *frame = stack_where(finding->stack);
	size_t before;

	if (!frame) {
		buf_puts(buf, UNKNOWN_STACK);
		return;
	}
	frame_name(buf, frame);
	buf_puts(buf, " ");
	before = buf->len;
	frame_place(buf, frame, false);
	if (buf->len == before && before > 0)
		buf->data[--buf->len] = '\0';
}
