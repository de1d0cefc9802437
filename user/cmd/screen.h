/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the user sees while watching: a table drawn over itself on a terminal, lines in a log,
 * or nothing. Private to the module.
 */
#ifndef CMD_SCREEN_H
#define CMD_SCREEN_H

#include "cmd/options.h"

enum screen_mode { SCREEN_NONE, SCREEN_TABLE, SCREEN_LINES };

struct screen {
	enum screen_mode mode;
	struct report_options look;
	unsigned int drawn; /* lines of the table that stand above the cursor */
};

/* Decides by the options, standard output and TERM. */
struct screen screen_open(const struct options *options);
/* Shows one poll. 0 or -errno of standard output. */
int screen_show(struct screen *screen, const struct report *report);
/* Takes the table away, before something else is printed. */
void screen_clear(struct screen *screen);
/* How the report itself is to look where it goes. */
struct report_options screen_report_options(const struct options *options);

#endif
