/* SPDX-License-Identifier: GPL-2.0-only */
/* The live screen: polls and keys -> what is shown. It knows no terminal. */
#include <stdlib.h>
#include <string.h>

#include "report/live.h"

#define KEY_BACKSPACE    0x7f
#define KEY_CTRL_H       0x08
#define KEY_CTRL_U       0x15
#define STANDARD_ROWS    24
#define STANDARD_COLUMNS 80

struct live *live_new(const struct report_options *options, bool has_keys)
{
	struct live *live = calloc(1, sizeof(*live));

	if (!live)
		return NULL;
	*live = (struct live){
		.look = *options,
		.has_keys = has_keys,
		.rows = STANDARD_ROWS,
		.columns = STANDARD_COLUMNS,
		.kind = LIVE_ALL,
		.is_stale = true,
	};
	return live;
}

struct live *live_free(struct live *live)
{
	if (!live)
		return NULL;
	live_data_done(&live->data);
	live_data_done(&live->held);
	free(live->body.lines);
	buf_done(&live->body.text);
	free(live);
	return NULL;
}

void live_resize(struct live *live, unsigned int rows, unsigned int columns)
{
	live->is_stale |= live->rows != MAX(rows, 1) || live->columns != MAX(columns, 1);
	live->rows = MAX(rows, 1);
	live->columns = MAX(columns, 1);
}

static struct live_site *find_site(struct live_data *data, const struct lb_site_key *key)
{
	size_t i;

	for (i = 0; i < data->nr_sites; i++) {
		if (site_key_compare(&data->sites[i].finding.site.key, key) == 0)
			return &data->sites[i];
	}
	return NULL;
}

/* Shows @data, which it takes over, from now on. What was open stays open. */
static void show_data(struct live *live, struct live_data *data)
{
	size_t i;

	for (i = 0; i < live->data.nr_sites; i++) {
		const struct live_site *old = &live->data.sites[i];
		struct live_site *site =
			old->is_open ? find_site(data, &old->finding.site.key) : NULL;

		if (site)
			site->is_open = true;
	}
	live_data_done(&live->data);
	live->data = *data;
	*data = (struct live_data){ 0 };
	live->is_stale = true;
}

int live_update(struct live *live, const struct report *report)
{
	struct live_data data;
	int code = live_data_copy(report, &data);

	if (code)
		return code;
	live_data_done(&live->held);
	if (live->is_paused)
		live->held = data;
	else
		show_data(live, &data);
	return 0;
}

/* --- keys --- */

static void pause_or_go_on(struct live *live)
{
	live->is_paused = !live->is_paused;
	if (!live->is_paused && live->held.sites)
		show_data(live, &live->held);
}

static void next_kind(struct live *live)
{
	unsigned int present = 0;
	size_t i;

	for (i = 0; i < live->data.nr_sites; i++)
		present |= 1U << live->data.sites[i].finding.site.key.kind;
	do
		live->kind++;
	while (live->kind < LB_KIND_MAX && !(present & 1U << live->kind));
	if (live->kind >= LB_KIND_MAX)
		live->kind = LIVE_ALL;
}

/* From now on the cursor stays with what it is at; on the first line it stays at the top. */
static void follow_cursor(struct live *live)
{
	const struct live_line *line = &live->body.lines[live->cursor];

	live->follows = live->cursor > 0 && line->site != LIVE_NO_SITE;
	if (!live->follows)
		return;
	live->followed = live->data.sites[line->site].finding.site.key;
	live->followed_part = line->part;
}

/* Moves by so many lines, as far as there are any. */
static void move(struct live *live, long by)
{
	long last = (long)live->body.nr_lines - 1;

	if (last < 0)
		return;
	live->cursor = (size_t)MIN(MAX((long)live->cursor + by, 0), last);
	follow_cursor(live);
}

enum opening { OPEN, CLOSE, EITHER };

/* Opens or closes the site at the cursor, which goes to its row. */
static void open_site(struct live *live, enum opening how)
{
	struct live_site *site;
	size_t at = live->cursor;

	if (at >= live->body.nr_lines || live->body.lines[at].site == LIVE_NO_SITE)
		return;
	site = &live->data.sites[live->body.lines[at].site];
	if (site->is_open == (how == OPEN) && how != EITHER)
		return;
	site->is_open = !site->is_open;
	live->reveals = site->is_open;
	live->follows = true;
	live->followed = site->finding.site.key;
	live->followed_part = 0;
}

/* By how many lines the key moves the cursor, or what help shows; 0: it does something else. */
static long distance_of(const struct live *live, int key)
{
	long page = (long)MAX(live_room(live->rows).body, 2) - 1;

	switch (key) {
	case LIVE_KEY_UP:
	case 'k':
		return -1;
	case LIVE_KEY_DOWN:
	case 'j':
		return 1;
	case LIVE_KEY_PAGE_UP:
		return -page;
	case LIVE_KEY_PAGE_DOWN:
		return page;
	case LIVE_KEY_HOME:
	case 'g':
		return -(long)live->body.nr_lines;
	case LIVE_KEY_END:
	case 'G':
		return (long)live->body.nr_lines;
	default:
		return 0;
	}
}

static void press_in_help(struct live *live, int key)
{
	long by = distance_of(live, key);

	if (by == 0)
		live->mode = LIVE_TABLE;
	else
		live->help_top = (size_t)MAX((long)live->top + by, 0);
}

/* Takes away the last character of the filter. */
static void erase(char *filter)
{
	size_t len = strlen(filter);

	while (len > 0 && ((unsigned char)filter[len - 1] & 0xc0) == 0x80)
		len--;
	filter[len > 0 ? len - 1 : 0] = '\0';
}

static void press_in_filter(struct live *live, int key)
{
	size_t len = strlen(live->filter);

	if (key == '\r' || key == '\n') {
		live->mode = LIVE_TABLE;
	} else if (key == LIVE_KEY_ESCAPE) {
		live->mode = LIVE_TABLE;
		live->filter[0] = '\0';
	} else if (key == KEY_BACKSPACE || key == KEY_CTRL_H) {
		erase(live->filter);
	} else if (key == KEY_CTRL_U) {
		live->filter[0] = '\0';
	} else if (key >= ' ' && key <= UINT8_MAX && len + 1 < sizeof(live->filter)) {
		live->filter[len] = (char)key;
		live->filter[len + 1] = '\0';
	} else if (key > UINT8_MAX) {
		move(live, distance_of(live, key));
	}
}

static void press_in_table(struct live *live, int key)
{
	switch (key) {
	case '\r':
	case '\n':
		open_site(live, EITHER);
		break;
	case LIVE_KEY_RIGHT:
		open_site(live, OPEN);
		break;
	case LIVE_KEY_LEFT:
		open_site(live, CLOSE);
		break;
	case 's':
		live->sort = (live->sort + 1) % LIVE_SORT_MAX;
		break;
	case 't':
	case '\t':
		next_kind(live);
		break;
	case 'a':
		live->findings_only = !live->findings_only;
		break;
	case 'p':
		pause_or_go_on(live);
		break;
	case '/':
		live->mode = LIVE_FILTER;
		break;
	case LIVE_KEY_ESCAPE:
		live->filter[0] = '\0';
		break;
	case '?':
		live->mode = LIVE_HELP;
		live->help_top = 0;
		break;
	default:
		move(live, distance_of(live, key));
	}
}

bool live_press(struct live *live, int key)
{
	if (key == 'q' && live->mode != LIVE_FILTER)
		return false;
	live_layout(live);
	if (live->mode == LIVE_HELP)
		press_in_help(live, key);
	else if (live->mode == LIVE_FILTER)
		press_in_filter(live, key);
	else
		press_in_table(live, key);
	live->is_stale = true;
	return true;
}
