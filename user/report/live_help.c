/* SPDX-License-Identifier: GPL-2.0-only */
/* What the live screen says of its keys. */
#include <string.h>

#include "report/live.h"

#define KEY_COLUMNS 20

static const struct {
	const char *keys, *what;
} help[] = {
	{ "Up Down k j", "move the cursor, through open stacks too" },
	{ "PgUp PgDn Home End", "move it by a screen, to the first and the last line" },
	{ "Enter Right Left", "open or close the stack of the site: why, numbers, frames; * marks "
			      "the frame that the row names" },
	{ "s", "sort by the next of verdict (then growth), count, bytes, age" },
	{ "t Tab", "show the next kind of those that are there, or all" },
	{ "a", "only what has a verdict, or all sites that hold something" },
	{ "/", "only sites that go through a function whose name has this text in it; Enter keeps "
	       "the text, Esc clears it" },
	{ "p", "pause: the screen stands still, the watch goes on" },
	{ "q Ctrl-C", "end: the final report" },
	{ "?", "this help; any key leaves it" },
};

void live_help(struct live *live)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(help); i++) {
		struct buf text __cleanup_buf = { 0 };

		buf_printf(&text, "%-*s %s", KEY_COLUMNS, help[i].keys, help[i].what);
		live_add_wrapped(live, LIVE_NO_SITE, 0, text.data ? text.data : "",
				 live->columns > 2 * KEY_COLUMNS ? KEY_COLUMNS + 1 : 2);
	}
}

/* Appends "key what" when all of it fits. */
static void add_key(const struct live *live, struct buf *line, const char *key, const char *what)
{
	size_t len = strlen(key) + strlen(what) + 1 + (line->len ? 2 : 0);

	if (line->len + len <= live->columns)
		buf_printf(line, "%s%s %s", line->len ? "  " : "", key, what);
}

static void add_table_keys(const struct live *live, struct buf *line)
{
	add_key(live, line, "?", "help");
	add_key(live, line, "q", "quit");
	add_key(live, line, "Enter", "stack");
	add_key(live, line, "s", "sort");
	add_key(live, line, "t", "kind");
	add_key(live, line, "a", live->findings_only ? "all" : "findings");
	add_key(live, line, "/", "filter");
	add_key(live, line, "p", live->is_paused ? "go on" : "pause");
	add_key(live, line, "j k", "move");
}

void live_footer(const struct live *live, struct buf *line)
{
	if (!live->has_keys) {
		buf_puts(line, "Ctrl-C: report");
	} else if (live->mode == LIVE_FILTER) {
		buf_puts(line, "/");
		text_clean(line, live->filter);
		buf_puts(line, "_  Enter keep  Esc clear");
	} else if (live->mode == LIVE_HELP) {
		add_key(live, line, "any key", "back");
		add_key(live, line, "j k", "scroll");
		add_key(live, line, "q", "quit");
	} else {
		add_table_keys(live, line);
	}
}
