/* SPDX-License-Identifier: GPL-2.0-only */
/* What of the live screen can be scrolled: which sites, in which order, and where the cursor is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "report/live.h"

/* Begins a line; its text is to be added next, then end_line(). */
static bool begin_line(struct live_body *body, size_t site, unsigned int part)
{
	void *lines = body->lines;
	int err = vec_reserve(&lines, &body->capacity, body->nr_lines + 1, sizeof(*body->lines));

	body->lines = lines;
	if (err) {
		body->error = err;
		return false;
	}
	body->lines[body->nr_lines++] = (struct live_line){
		.site = site,
		.part = part,
		.start = body->text.len,
	};
	return true;
}

static void end_line(struct live_body *body)
{
	buf_add(&body->text, "", 1);
	if (body->text.error)
		body->error = body->text.error;
}

/* How many bytes of @text, which is not empty, go on a line: up to the last blank that fits, or as
 * much as fits. */
static size_t wrap_at(const char *text, unsigned int width)
{
	size_t at = 0, blank = 0;
	unsigned int used = 0;

	while (text[at]) {
		uint32_t character;
		size_t len = utf8_decode(text + at, &character);

		used += character_columns(character);
		if (used > width && at > 0)
			return blank ? blank : at;
		if (character == ' ' && at > 0 && text[at - 1] != ' ')
			blank = at;
		at += len;
	}
	return at;
}

unsigned int live_add_wrapped(struct live *live, size_t site, unsigned int part, const char *text,
			      unsigned int indent)
{
	struct live_body *body = &live->body;
	unsigned int first = part, width;

	indent = MIN(indent, live->columns / 3);
	width = MAX(live->columns, indent + 2) - 1 - indent;
	do {
		size_t len = *text ? wrap_at(text, part == first ? width + indent : width) : 0;

		if (!begin_line(body, site, part))
			return part;
		if (part > first)
			buf_printf(&body->text, "%*s", (int)indent, "");
		buf_add(&body->text, text, len);
		end_line(body);
		text += len;
		while (*text == ' ')
			text++;
		part++;
	} while (*text);
	return part;
}

/* --- which sites --- */

static bool matches_filter(const struct live *live, const struct live_site *site)
{
	size_t i;

	if (!live->filter[0])
		return true;
	for (i = 0; i < site->stack.nr_frames; i++) {
		const char *function = site->stack.frames[i].function;

		if (function && strcasestr(function, live->filter))
			return true;
	}
	return false;
}

static bool is_wanted(const struct live *live, const struct live_site *site)
{
	const struct finding *finding = &site->finding;

	if (live->kind != LIVE_ALL && (uint32_t)live->kind != finding->site.key.kind)
		return false;
	if (live->findings_only && finding->verdict == VERDICT_STABLE)
		return false;
	if (finding->site.live_count == 0 && !live->look.all_sites)
		return false;
	return matches_filter(live, site);
}

static uint64_t bytes_of(const struct finding *finding)
{
	return kind_has_bytes((enum lb_kind)finding->site.key.kind) ? finding->site.live_bytes : 0;
}

/* The most first; what is equal stays in the order of alarm. */
static int compare_sites(const void *first, const void *second, void *context)
{
	size_t i = *(const size_t *)first, j = *(const size_t *)second;
	const struct live *live = context;
	const struct finding *a = &live->data.sites[i].finding, *b = &live->data.sites[j].finding;
	double x = 0, y = 0;

	if (live->sort == LIVE_BY_COUNT) {
		x = (double)a->site.live_count;
		y = (double)b->site.live_count;
	} else if (live->sort == LIVE_BY_BYTES) {
		x = (double)bytes_of(a);
		y = (double)bytes_of(b);
	} else if (live->sort == LIVE_BY_AGE) {
		x = a->oldest_s;
		y = b->oldest_s;
	}
	if (x != y)
		return x > y ? -1 : 1;
	return (i > j) - (i < j);
}

static void add_site(struct live *live, size_t at)
{
	struct live_body *body = &live->body;

	if (!begin_line(body, at, 0))
		return;
	live_row(live, &live->data.sites[at], &body->text);
	end_line(body);
	if (live->data.sites[at].is_open)
		live_details(live, at);
}

static void add_nothing(struct live *live)
{
	const char *text = "No site holds anything yet.";

	if (live->data.nr_sites > 0)
		text = live->filter[0]        ? "No site goes through such a function."
		       : !live->findings_only ? "No such site holds anything."
		       : live->data.judged    ? "Nothing grows. Press a for all sites."
					      : "No verdict yet. Press a for all sites.";
	live_add_wrapped(live, LIVE_NO_SITE, 0, text, 0);
}

static void add_sites(struct live *live)
{
	size_t *order = calloc(live->data.nr_sites + 1, sizeof(*order)), nr = 0, i;

	if (!order) {
		live->body.error = -ENOMEM;
		return;
	}
	for (i = 0; i < live->data.nr_sites; i++) {
		if (is_wanted(live, &live->data.sites[i]))
			order[nr++] = i;
	}
	if (nr > 0)
		qsort_r(order, nr, sizeof(*order), compare_sites, live);
	if (live->look.top)
		nr = MIN(nr, live->look.top);
	live->nr_shown = nr;
	for (i = 0; i < nr; i++)
		add_site(live, order[i]);
	if (nr == 0)
		add_nothing(live);
	free(order);
}

/* --- the cursor --- */

/* The line that the cursor follows, or the last one of its site before it; when the site has gone,
 * where the cursor was. */
static size_t find_followed(const struct live *live)
{
	const struct live_body *body = &live->body;
	size_t found = live->cursor, i;

	for (i = 0; i < body->nr_lines; i++) {
		const struct live_line *line = &body->lines[i];

		if (line->site != LIVE_NO_SITE && line->part <= live->followed_part &&
		    site_key_compare(&live->data.sites[line->site].finding.site.key,
				     &live->followed) == 0)
			found = i;
	}
	return found;
}

/* The last line of what the cursor's line belongs to. */
static size_t last_of_site(const struct live *live)
{
	const struct live_line *lines = live->body.lines;
	size_t last = live->cursor;

	while (last + 1 < live->body.nr_lines && lines[last + 1].part > 0)
		last++;
	return last;
}

/* The furthest that the body can be scrolled. */
static size_t last_top(const struct live *live)
{
	size_t room = live_room(live->rows).body, nr = live->body.nr_lines;

	return nr > room ? nr - room : 0;
}

/* Scrolls as little as it takes to see the cursor. */
static void scroll(struct live *live)
{
	size_t room = live_room(live->rows).body;
	size_t wanted = live->reveals ? last_of_site(live) : live->cursor;

	live->reveals = false;
	if (wanted >= live->top + room)
		live->top = wanted + 1 - MIN(room, wanted + 1);
	live->top = MIN(live->top, MIN(live->cursor, last_top(live)));
}

void live_layout(struct live *live)
{
	struct live_body *body = &live->body;

	if (!live->is_stale)
		return;
	live->is_stale = false;
	body->nr_lines = 0;
	body->error = 0;
	buf_reset(&body->text);
	if (live->mode == LIVE_HELP) {
		live_help(live);
		live->top = MIN(live->help_top, last_top(live));
		return;
	}
	add_sites(live);
	if (!live->follows)
		live->cursor = 0;
	else
		live->cursor = MIN(find_followed(live), MAX(body->nr_lines, 1) - 1);
	scroll(live);
}
