/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Replaces itself by itself. Phases: go (leaks at a place that depends on the image), exec.
 */
#include "workload.h"

static int second;

SITE static void leak_before_exec(void)
{
	keep(malloc(80));
}

SITE static void leak_after_exec(void)
{
	keep(malloc(160));
}

static void phase_go(long number)
{
	(void)number;
	for (unsigned int i = 0; i < LEAKS; i++) {
		if (second)
			leak_after_exec();
		else
			leak_before_exec();
	}
	if (second)
		expect("heap", "leak_after_exec", LEAKS, LEAKS * 160);
	else
		expect("heap", "leak_before_exec", LEAKS, LEAKS * 80);
}

static void phase_exec(long number)
{
	(void)number;
	execl("/proc/self/exe", "execer", "second", NULL);
	workload_die("execl");
}

static const struct workload_phase phases[] = {
	{ "go", phase_go },
	{ "exec", phase_exec },
};

int main(int argc, char **argv)
{
	second = argc > 1 && strcmp(argv[1], "second") == 0;
	return WORKLOAD_SERVE(phases);
}
