/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A program whose memory grows for as long as it runs, and that frees all of it on its way out.
 *
 *	tidy SECONDS
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PER_S     20
#define MAX_KEPT  100000
#define NOTE_SIZE 300

static char *kept[MAX_KEPT];
static size_t nr_kept;

static __attribute__((noinline)) void remember(void)
{
	char *note = malloc(NOTE_SIZE);

	if (!note)
		abort();
	kept[nr_kept++] = strcpy(note, "asked for, and never again");
}

int main(int argc, char **argv)
{
	const struct timespec pause = { .tv_nsec = 1000000000 / PER_S };
	size_t nr = argc > 1 ? strtoul(argv[1], NULL, 10) * PER_S : PER_S;

	while (nr_kept < nr && nr_kept < MAX_KEPT) {
		remember();
		nanosleep(&pause, NULL);
	}
	while (nr_kept > 0)
		free(kept[--nr_kept]);
	return 0;
}
