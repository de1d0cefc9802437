/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the user sees while watching: a screen to look around in on a terminal, lines in a log, or
 * nothing. Private to the module.
 */
#ifndef CMD_SCREEN_H
#define CMD_SCREEN_H

#include "cmd/keys.h"
#include "cmd/options.h"

enum screen_mode { SCREEN_NONE, SCREEN_LIVE, SCREEN_LINES };

struct screen {
	enum screen_mode mode;
	struct report_options look;
	struct live *live; /* of SCREEN_LIVE; owned */
	bool has_keys;
	bool wants_end; /* the user has asked for it */
	struct keys keys;
};

/* Decides by the options, standard output and TERM. 0 or -ENOMEM. */
int screen_open(struct screen *screen, const struct options *options);
/* Also gives the terminal back. */
void screen_close(struct screen *screen);
/* Shows one poll. 0 or -errno: of standard output, or -ENOMEM. */
int screen_show(struct screen *screen, const struct report *report);
/* The descriptor that keys come from; -1: none do now. */
int screen_key_fd(const struct screen *screen);
/* Does what the keys ask for that have come. As screen_show(). */
int screen_handle_keys(struct screen *screen);
/* Shows again what is to be seen, in the size that the terminal has now. As screen_show(). */
int screen_draw(struct screen *screen);
/* Gives the terminal back until the screen is drawn again, before something else is printed. */
void screen_leave(struct screen *screen);
/* Lets the shell have the terminal, as Ctrl-Z asks, until the job goes on. As screen_show(). */
int screen_suspend(struct screen *screen);
/* How the report itself is to look where it goes. */
struct report_options screen_report_options(const struct options *options);

#endif
