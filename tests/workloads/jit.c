/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Machine code made at run time, with frame pointers, that leaks; it names its functions in
 * /tmp/perf-PID.map as the compilers of Java, JavaScript and others do when asked to. Phase: go.
 */
#include <sys/mman.h>

#include "workload.h"

typedef void *(*allocate)(size_t size, void *(*allocator)(size_t));

/* push rbp; mov rbp, rsp; call rsi; pop rbp; ret */
static const uint8_t LEAF[] = { 0x55, 0x48, 0x89, 0xe5, 0xff, 0xd6, 0x5d, 0xc3 };

/* The same, which calls LEAF, 64 bytes before it. */
static const uint8_t CALLER[] = {
	0x55, 0x48, 0x89, 0xe5, 0xe8, 0xb7, 0xff, 0xff, 0xff, 0x5d, 0xc3
};

static char *code, map_path[64];

SITE static void call_the_code(void)
{
	allocate caller = (allocate)(void *)(code + 64);

	for (unsigned int i = 0; i < LEAKS; i++)
		keep(caller(24, malloc));
}

static void phase_go(long number)
{
	(void)number;
	call_the_code();
}

static void make_code(void)
{
	FILE *map;

	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code == MAP_FAILED)
		workload_die("mmap");
	memcpy(code, LEAF, sizeof(LEAF));
	memcpy(code + 64, CALLER, sizeof(CALLER));
	if (mprotect(code, 4096, PROT_READ | PROT_EXEC))
		workload_die("mprotect");
	snprintf(map_path, sizeof(map_path), "/tmp/perf-%d.map", getpid());
	map = fopen(map_path, "we");
	if (!map)
		workload_die(map_path);
	fprintf(map, "%lx %zx script::take\n", (unsigned long)code, sizeof(LEAF));
	fprintf(map, "%lx %zx script::serve request.js:12\n", (unsigned long)code + 64,
		sizeof(CALLER));
	fclose(map);
}

static const struct workload_phase phases[] = {
	{ "go", phase_go },
};

int main(void)
{
	int status;

	make_code();
	status = WORKLOAD_SERVE(phases);
	unlink(map_path);
	return status;
}
