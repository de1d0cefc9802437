/* SPDX-License-Identifier: GPL-2.0-only */
#include "cmd/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/output.h"
#include "cmd/terminal.h"

#define ESCAPE_MS 25 /* the rest of an escape sequence takes no longer */

static bool wants_colour(void)
{
	const char *no_color = getenv("NO_COLOR");

	return terminal_is_there() && !(no_color && *no_color);
}

struct report_options screen_report_options(const struct options *options)
{
	return (struct report_options){
		.format = options->format,
		.all_sites = options->all_sites,
		.top = options->top,
		.colour = !options->output && wants_colour(),
		.verbose = options->verbose > 0,
	};
}

/* Standard output is free for showing polls unless it gets a report for programs. A program that
 * was started has the terminal for itself, and so has the job in the foreground. */
static enum screen_mode choose_mode(const struct options *options)
{
	bool is_free = options->format == REPORT_TEXT ||
		       (options->output && strcmp(options->output, "-") != 0);

	if (options->quiet || options->record_only || !is_free)
		return SCREEN_NONE;
	if (!terminal_is_there() || terminal_is_others() || options->command)
		return SCREEN_LINES;
	return SCREEN_LIVE;
}

int screen_open(struct screen *screen, const struct options *options)
{
	*screen = (struct screen){
		.mode = choose_mode(options),
		.look = screen_report_options(options),
		.has_keys = terminal_has_keys(),
	};
	screen->look.colour = wants_colour();
	if (screen->mode != SCREEN_LIVE)
		return 0;
	screen->live = live_new(&screen->look, screen->has_keys);
	return screen->live ? 0 : -ENOMEM;
}

void screen_close(struct screen *screen)
{
	screen_leave(screen);
	screen->live = live_free(screen->live);
	screen->mode = SCREEN_NONE;
}

void screen_leave(struct screen *screen)
{
	if (screen->mode == SCREEN_LIVE)
		terminal_leave();
}

int screen_draw(struct screen *screen)
{
	struct buf frame __cleanup_buf = { 0 };
	unsigned int rows, columns;
	int code;

	if (screen->mode != SCREEN_LIVE)
		return 0;
	rows = terminal_size(&columns);
	live_resize(screen->live, rows, columns);
	code = live_frame(screen->live, &frame);
	if (code)
		return code;
	terminal_enter(screen->has_keys);
	return terminal_draw(frame.data);
}

int screen_show(struct screen *screen, const struct report *report)
{
	int code;

	if (screen->mode == SCREEN_NONE)
		return 0;
	if (screen->mode == SCREEN_LINES)
		return report_lines(output_stdout(), report, &screen->look);
	code = live_update(screen->live, report);
	return code ? code : screen_draw(screen);
}

int screen_key_fd(const struct screen *screen)
{
	return screen->mode == SCREEN_LIVE && screen->has_keys && terminal_is_taken() ? STDIN_FILENO
										      : -1;
}

static void press(struct screen *screen, int key)
{
	if (key != LIVE_KEY_NONE && !live_press(screen->live, key))
		screen->wants_end = true;
}

static bool more_comes(void)
{
	struct pollfd fd = { .fd = STDIN_FILENO, .events = POLLIN };

	return poll(&fd, 1, ESCAPE_MS) > 0;
}

int screen_handle_keys(struct screen *screen)
{
	unsigned char bytes[64];
	ssize_t nr = read(STDIN_FILENO, bytes, sizeof(bytes)), i;

	if (nr < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (nr <= 0) {
		screen->has_keys = false; /* whoever pressed them has gone */
		return 0;
	}
	for (i = 0; i < nr; i++)
		press(screen, keys_take(&screen->keys, bytes[i]));
	if (screen->keys.len > 0 && !more_comes())
		press(screen, keys_end(&screen->keys));
	return screen->wants_end ? 0 : screen_draw(screen);
}

int screen_suspend(struct screen *screen)
{
	sigset_t set;

	screen_leave(screen);
	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	raise(SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &set, NULL); /* stops here */
	sigprocmask(SIG_BLOCK, &set, NULL);
	return screen_draw(screen);
}
