/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What this kernel's probes can do is found out, not looked up by version: a function of our own
 * is probed for our own process, called from two threads, and every call must be counted.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "probe/link.h"
#include "proc/proc.h"

#include "leakbpf.skel.h"

#define CALLS_PER_THREAD 5
#define NR_THREADS       2

DEFINE_CLEANUP(skeleton, struct leakbpf *, leakbpf__destroy(*value))

/* The function that is probed; its first instruction is one that the kernel emulates. */
void selftest_target(void);
#if defined(__x86_64__)
__asm__(".pushsection .text\n"
	".globl selftest_target\n"
	".type selftest_target, @function\n"
	"selftest_target:\n"
	"	nop\n"
	"	ret\n"
	".size selftest_target, . - selftest_target\n"
	".popsection\n");
#elif defined(__aarch64__)
__asm__(".pushsection .text\n"
	".globl selftest_target\n"
	".type selftest_target, %function\n"
	"selftest_target:\n"
	"	nop\n"
	"	ret\n"
	".size selftest_target, . - selftest_target\n"
	".popsection\n");
#endif

static void *call_target(void *unused)
{
	for (int i = 0; i < CALLS_PER_THREAD; i++)
		selftest_target();
	return unused;
}

static int call_from_threads(void)
{
	pthread_t threads[NR_THREADS];
	int nr = 0, error = 0;

	while (nr < NR_THREADS && !error) {
		error = -pthread_create(&threads[nr], NULL, call_target, NULL);
		nr += !error;
	}
	while (nr > 0)
		pthread_join(threads[--nr], NULL);
	return error;
}

/* The offset of selftest_target() in the file that is mapped there. */
static int target_offset(uint64_t *ret_offset)
{
	struct maps maps __attribute__((cleanup(maps_done))) = { 0 };
	uint64_t address = (uint64_t)(uintptr_t)selftest_target;
	const struct mapping *mapping;
	int error = maps_read(getpid(), &maps);

	if (error)
		return error;
	mapping = maps_find(&maps, address);
	if (!mapping)
		return -ENXIO;
	*ret_offset = address - mapping->start + mapping->file_offset;
	return 0;
}

/* Opens the skeleton with nothing to load but @name and what it needs. */
static struct leakbpf *open_alone(const char *name, unsigned int attach_type)
{
	struct leakbpf *skeleton = leakbpf__open();
	struct bpf_program *program;
	struct bpf_map *map;

	if (!skeleton)
		return NULL;
	bpf_object__for_each_program(program, skeleton->obj)
		bpf_program__set_autoload(program, !strcmp(bpf_program__name(program), name));
	bpf_object__for_each_map(map, skeleton->obj) if (!bpf_map__is_internal(map))
		bpf_map__set_autocreate(map, false);
	program = bpf_object__find_program_by_name(skeleton->obj, name);
	if (program)
		bpf_program__set_expected_attach_type(program, (enum bpf_attach_type)attach_type);
	return skeleton;
}

static int attach(const struct bpf_program *program, enum attach_mode mode, uint64_t offset,
		  struct link *ret_link)
{
	uint64_t cookie = 0;
	struct link_places places = {
		.path = "/proc/self/exe",
		.pid = getpid(),
		.offsets = &offset,
		.cookies = &cookie,
		.nr = 1,
	};

	if (mode == ATTACH_PERF)
		return link_attach_perf(program, false, &places, ret_link);
	return link_attach_multi(program, attach_mode_type(mode, program), false, &places,
				 ret_link);
}

int selftest_run(enum attach_mode mode)
{
	const char *name = mode == ATTACH_SESSION ? "selftest_session" : "selftest_entry";
	unsigned int type = mode == ATTACH_PERF      ? 0
			    : mode == ATTACH_SESSION ? LINK_TYPE_SESSION
						     : LINK_TYPE_MULTI;
	struct link link __attribute__((cleanup(link_done))) = { .fd = -1 };
	const __u64 expected = CALLS_PER_THREAD * NR_THREADS;
	uint64_t offset;
	int error = target_offset(&offset);

	if (error)
		return error;
	struct leakbpf *skeleton __cleanup_of(skeleton) = open_alone(name, type);
	if (!skeleton)
		return -errno;
	error = leakbpf__load(skeleton);
	if (!error)
		error = attach(bpf_object__find_program_by_name(skeleton->obj, name), mode, offset,
			       &link);
	if (!error)
		error = call_from_threads();
	if (error)
		return error;
	if (skeleton->bss->selftest_hits[0] != expected)
		return -EPROTO;
	if (mode == ATTACH_SESSION && skeleton->bss->selftest_hits[1] != expected)
		return -EPROTO;
	return 0;
}
