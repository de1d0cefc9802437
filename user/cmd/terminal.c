/* SPDX-License-Identifier: GPL-2.0-only */
#include "cmd/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define STANDARD_ROWS    24
#define STANDARD_COLUMNS 80

/* ECMA-48 and DEC private modes as in xterm's ctlseqs: 1049 the alternate screen, 25 the cursor,
 * 7 going on in the next line; 2026 (where it is known) holds back what is only half drawn. A frame
 * may be torn apart by a signal: CAN ends the sequence that it ends in. */
#define ENTER  "\033[?1049h\033[?25l\033[?7l\033[2J"
#define LEAVE  "\030\033[0m\033[?7h\033[?25h\033[?1049l"
#define BEGIN  "\033[?2026h"
#define FINISH "\033[0m\033[?2026l"

/* Signals that end the program there and then. */
static const int fatal_signals[] = { SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE };

/* There is one terminal. What has to be undone is kept here because signal handlers and atexit()
 * take no argument. */
static struct {
	volatile sig_atomic_t is_taken, has_keys;
	bool is_registered; /* with atexit() */
	struct termios before;
	struct sigaction actions[ARRAY_SIZE(fatal_signals)];
} terminal;

bool terminal_is_there(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
}

bool terminal_has_keys(void)
{
	return isatty(STDIN_FILENO);
}

bool terminal_is_others(void)
{
	pid_t group = tcgetpgrp(STDOUT_FILENO);

	return group >= 0 && group != getpgrp();
}

unsigned int terminal_size(unsigned int *ret_columns)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) {
		*ret_columns = STANDARD_COLUMNS;
		return STANDARD_ROWS;
	}
	*ret_columns = size.ws_col;
	return size.ws_row;
}

/* write() as far as it goes: nobody could be told of an error. */
static void write_all(const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t written = write(STDOUT_FILENO, bytes, len);

		if (written < 0 && errno != EINTR)
			return;
		bytes += MAX(written, 0);
		len -= (size_t)MAX(written, 0);
	}
}

/* The terminal first; then what would have happened without this. */
static void die(int signal_number)
{
	terminal_leave();
	raise(signal_number);
}

static void catch_fatal_signals(void)
{
	struct sigaction action = { .sa_handler = die };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fatal_signals); i++)
		sigaction(fatal_signals[i], &action, &terminal.actions[i]);
}

/* Keys come one by one, unechoed. Ctrl-C and Ctrl-Z still are signals, but tear no frame apart;
 * Ctrl-S stops nothing. */
static void take_keys(void)
{
	struct termios mode;

	if (tcgetattr(STDIN_FILENO, &terminal.before) != 0)
		return;
	mode = terminal.before;
	mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ECHONL | IEXTEN);
	mode.c_lflag |= NOFLSH;
	mode.c_iflag &= ~(tcflag_t)IXON;
	mode.c_cc[VMIN] = 1;
	mode.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &mode) == 0)
		terminal.has_keys = 1;
}

void terminal_enter(bool with_keys)
{
	if (terminal.is_taken)
		return;
	if (!terminal.is_registered)
		terminal.is_registered = atexit(terminal_leave) == 0;
	fflush(stdout);
	terminal.is_taken = 1;
	catch_fatal_signals();
	if (with_keys)
		take_keys();
	write_all(ENTER, strlen(ENTER));
}

void terminal_leave(void)
{
	int saved = errno;
	size_t i;

	if (!terminal.is_taken)
		return;
	terminal.is_taken = 0;
	write_all(LEAVE, strlen(LEAVE));
	if (terminal.has_keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
	terminal.has_keys = 0;
	for (i = 0; i < ARRAY_SIZE(fatal_signals); i++)
		sigaction(fatal_signals[i], &terminal.actions[i], NULL);
	errno = saved;
}

bool terminal_is_taken(void)
{
	return terminal.is_taken;
}

/* Each line is cleared before it is written: clearing the rest of a full one would take its last
 * character away. */
int terminal_draw(const char *lines)
{
	unsigned int row = 1;

	errno = 0;
	fputs(BEGIN, stdout);
	for (;;) {
		size_t len = strcspn(lines, "\n");

		printf("\033[%u;1H\033[K", row++);
		fwrite(lines, 1, len, stdout);
		if (!lines[len])
			break;
		lines += len + 1;
	}
	fputs(FINISH, stdout);
	if (fflush(stdout) != 0 || ferror(stdout))
		return errno ? -errno : -EIO;
	return 0;
}
