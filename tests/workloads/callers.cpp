/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Leaks through library functions that allocate for their caller, in code without frame pointers:
 * strdup, asprintf, operator new, std::string. Phase: go.
 */
#include "workload.h"

#include <string>

namespace
{

SITE void leak_strdup()
{
	keep(strdup("seventeen letters"));
}

SITE void leak_asprintf()
{
	char *text = nullptr;

	if (asprintf(&text, "%s", "seventeen letters") < 0)
		workload_die("asprintf");
	keep(text);
}

SITE void leak_new()
{
	keep(new long[10]);
}

SITE void leak_string()
{
	keep(new std::string(100, 'x'));
}

SITE void leak_malloc()
{
	keep(malloc(44));
}

SITE void call_all(unsigned int depth)
{
	if (depth > 0) {
		call_all(depth - 1);
		keep(&depth);
		return;
	}
	leak_strdup();
	leak_asprintf();
	leak_new();
	leak_string();
	leak_malloc();
}

void phase_go(long)
{
	for (unsigned int i = 0; i < LEAKS; i++)
		call_all(i % 7);
	expect("heap", "leak_strdup", LEAKS, LEAKS * 18);
	expect("heap", "leak_new", LEAKS, LEAKS * 80);
	expect("heap", "leak_string", 2 * LEAKS, LEAKS * (sizeof(std::string) + 101));
	expect("heap", "leak_malloc", LEAKS, LEAKS * 44);
}

const struct workload_phase phases[] = {
	{ "go", phase_go },
};

} // namespace

int main()
{
	return WORKLOAD_SERVE(phases);
}
