/* SPDX-License-Identifier: GPL-2.0-only */
#include "cmd/screen.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_ROWS  24
#define DEFAULT_WIDTH 80

static bool is_terminal(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
}

static bool wants_colour(void)
{
	const char *no_color = getenv("NO_COLOR");

	return is_terminal() && !(no_color && *no_color);
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

/* Standard output is free for showing polls unless it gets a report for programs. */
static enum screen_mode choose_mode(const struct options *options)
{
	bool is_free = options->format == REPORT_TEXT ||
		       (options->output && strcmp(options->output, "-") != 0);

	if (options->quiet || options->record_only || !is_free)
		return SCREEN_NONE;
	return is_terminal() ? SCREEN_TABLE : SCREEN_LINES;
}

struct screen screen_open(const struct options *options)
{
	struct screen screen = {
		.mode = choose_mode(options),
		.look = screen_report_options(options),
	};

	screen.look.colour = wants_colour();
	return screen;
}

static unsigned int terminal_size(unsigned int *ret_width)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) {
		*ret_width = DEFAULT_WIDTH;
		return DEFAULT_ROWS;
	}
	*ret_width = size.ws_col;
	return size.ws_row;
}

void screen_clear(struct screen *screen)
{
	if (screen->drawn > 0)
		printf("\033[%uA\r\033[J", screen->drawn);
	screen->drawn = 0;
}

int screen_show(struct screen *screen, const struct report *report)
{
	unsigned int rows;
	int result;

	if (screen->mode == SCREEN_NONE)
		return 0;
	if (screen->mode == SCREEN_LINES)
		return report_lines(stdout, report, &screen->look);
	screen_clear(screen);
	rows = terminal_size(&screen->look.width);
	result = report_live(stdout, report, &screen->look, rows);
	if (result < 0)
		return result;
	screen->drawn = (unsigned int)result;
	return 0;
}
