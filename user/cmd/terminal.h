/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The terminal while the live screen is on it: the alternate screen, no cursor, keys one by one.
 * However the program ends, the terminal is given back as it was. Private to the module.
 */
#ifndef CMD_TERMINAL_H
#define CMD_TERMINAL_H

#include "base/base.h"

/* Is standard output a terminal that can do more than write lines? */
bool terminal_is_there(void);
/* Do keys come from a terminal? */
bool terminal_has_keys(void);
/* Does another job have the terminal now? */
bool terminal_is_others(void);
/* Rows of standard output's terminal; its columns go to @ret_columns. */
unsigned int terminal_size(unsigned int *ret_columns);

/* Takes the terminal; @with_keys: its input, too. Does nothing when it is taken already. */
void terminal_enter(bool with_keys);
/* Gives it back. Does nothing when it is not taken; may be called by signal handlers. */
void terminal_leave(void);
bool terminal_is_taken(void);
/* Shows these lines, from the first row on, instead of what is on the screen. 0 or -errno. */
int terminal_draw(const char *lines);

#endif
