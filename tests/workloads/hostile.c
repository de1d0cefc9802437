/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Maps the given files executable, whatever they are, as a loaded library would be, and leaks from
 * malloc: hostile FILE... . Phase: go.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "workload.h"

SITE static void leak_beside(void)
{
	keep(malloc(200));
}

static void phase_go(long number)
{
	(void)number;
	for (unsigned int i = 0; i < LEAKS; i++)
		leak_beside();
	expect("heap", "leak_beside", LEAKS, LEAKS * 200);
}

static const struct workload_phase phases[] = {
	{ "go", phase_go },
};

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		int fd = open(argv[i], O_RDONLY);

		if (fd < 0 ||
		    mmap(NULL, 65536, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED)
			workload_die(argv[i]);
		close(fd);
	}
	return WORKLOAD_SERVE(phases);
}
