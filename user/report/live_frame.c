/* SPDX-License-Identifier: GPL-2.0-only */
/* The live screen, line by line from the top. */
#include "report/live.h"
#include "trend/trend.h"

#define PLAIN     ""
#define BOLD      "\033[1m"
#define UNDERLINE "\033[4m"
#define REVERSE   "\033[7m"

struct live_room live_room(unsigned int rows)
{
	struct live_room room = {
		.status = rows >= 2,
		.footer = rows >= 4,
		.titles = rows >= 5,
		.view = rows >= 7,
		.doubts = rows >= 8,
	};

	room.body = rows - (room.status + room.footer + room.titles + room.view + room.doubts);
	return room;
}

/* The state of the screen: "4 of 120 sites, heap only, by count, through 'parse', poll 9". */
static void add_view(const struct live *live, struct buf *line)
{
	static const char *const sorts[] = { "verdict", "count", "bytes", "age" };

	_Static_assert(ARRAY_SIZE(sorts) == LIVE_SORT_MAX, "a name for each order");
	if (live->is_paused)
		buf_puts(line, "PAUSED: ");
	buf_printf(line, "%zu of ", live->nr_shown);
	text_count(line, live->data.nr_all, "site");
	if (live->findings_only)
		buf_puts(line, ", findings only");
	if (live->kind != LIVE_ALL)
		buf_printf(line, ", %s only", kind_name((enum lb_kind)live->kind));
	buf_printf(line, ", by %s", sorts[live->sort]);
	if (live->filter[0]) {
		buf_puts(line, ", through '");
		text_clean(line, live->filter);
		buf_puts(line, "'");
	}
	buf_printf(line, ", poll %u", live->data.nr_polls);
	if (!live->data.judged)
		buf_printf(line, " of %u", live->data.polls_needed);
}

/* Appends a line of the screen, cut to its width; @mark is an escape sequence or PLAIN. */
static void put(const struct live *live, struct buf *frame, const char *text, const char *mark)
{
	struct buf fitted __cleanup_buf = { 0 };
	bool marked = live->look.colour && *mark;
	unsigned int used;

	if (frame->len > 0)
		buf_puts(frame, "\n");
	used = text_fit(&fitted, text, live->columns);
	buf_printf(frame, "%s%s", marked ? mark : "", fitted.data ? fitted.data : "");
	if (marked)
		buf_printf(frame, "%*s\033[0m", (int)(live->columns - MIN(used, live->columns)),
			   "");
	if (fitted.error)
		frame->error = fitted.error;
}

static void put_buf(const struct live *live, struct buf *frame, const struct buf *line,
		    const char *mark)
{
	put(live, frame, line->data ? line->data : "", mark);
	if (line->error)
		frame->error = line->error;
}

static const char *mark_of(const struct live *live, const struct live_line *line, bool is_cursor)
{
	if (is_cursor)
		return REVERSE;
	if (line->site == LIVE_NO_SITE || line->part > 0)
		return PLAIN;
	return verdict_colour(live->data.sites[line->site].finding.verdict);
}

/* The first column says where the cursor is, with colours or without. */
static void put_body_line(const struct live *live, struct buf *frame, size_t at)
{
	const struct live_line *line = &live->body.lines[at];
	bool is_cursor = at == live->cursor && line->site != LIVE_NO_SITE && live->has_keys;
	struct buf text __cleanup_buf = { 0 };

	buf_puts(&text, is_cursor ? ">" : " ");
	buf_puts(&text, live->body.text.data + line->start);
	put_buf(live, frame, &text, mark_of(live, line, is_cursor));
}

static void put_body(const struct live *live, struct buf *frame, size_t room)
{
	size_t i;

	for (i = 0; i < room; i++) {
		size_t at = live->top + i;

		if (at < live->body.nr_lines)
			put_body_line(live, frame, at);
		else
			put(live, frame, "", PLAIN);
	}
}

static void put_titles(const struct live *live, struct buf *frame)
{
	struct buf line __cleanup_buf = { 0 };

	if (live->mode == LIVE_HELP)
		buf_puts(&line, " KEYS");
	else
		live_titles(live, &line);
	put_buf(live, frame, &line, UNDERLINE);
}

static void put_footer(const struct live *live, struct buf *frame)
{
	struct buf line __cleanup_buf = { 0 };

	live_footer(live, &line);
	put_buf(live, frame, &line, BOLD);
}

int live_frame(struct live *live, struct buf *frame)
{
	struct live_room room = live_room(live->rows);
	struct buf view __cleanup_buf = { 0 };

	live_layout(live);
	add_view(live, &view);
	if (room.status)
		put_buf(live, frame, &live->data.status, BOLD);
	if (room.doubts)
		put_buf(live, frame, &live->data.doubts, PLAIN);
	if (room.view)
		put_buf(live, frame, &view, PLAIN);
	if (room.titles)
		put_titles(live, frame);
	if (!live->body.error)
		put_body(live, frame, room.body);
	if (room.footer)
		put_footer(live, frame);
	return frame->error ? frame->error : live->body.error;
}
