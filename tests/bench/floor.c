/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * bench_floor PROGRAM MODE PID: attaches bare programs to process PID at the places and in the way
 * that leakbpf would choose, says "ready MODE PLACES" and keeps them there until its input ends.
 *
 * PROGRAM: floor    empty, entry and return of all that allocates and entry of all that frees
 *          entries  empty, entry of all that allocates and frees
 *          entry    empty, entry of malloc alone
 *          stackid  the same with bpf_get_stackid()
 *          exit     empty, return of malloc alone
 *          walk     the same with leakbpf's own stack walk
 * MODE: auto, session, multi or perf.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe/link.h"
#include "probe/unwinder.h"
#include "proc/proc.h"

#include "bench_floor.skel.h"

#define MAX_LINKS  64
#define MAX_PLACES 64 /* in one file */

struct bench {
	struct bench_floor *skeleton;
	struct unwinder *unwinder; /* NULL: nothing is unwound */
	struct plan_cache *cache;
	struct plan plan;
	enum attach_mode mode;
	pid_t pid;
	struct link links[MAX_LINKS];
	size_t nr_links;
	unsigned int nr_places;
	struct error error;
};

/* Which places of a file a program goes to. */
enum choice { CHOICE_ALLOCATES, CHOICE_FREES, CHOICE_MALLOC };

static void bench_done(struct bench *bench)
{
	for (size_t i = 0; i < bench->nr_links; i++)
		link_done(&bench->links[i]);
	plan_done(&bench->plan);
	plan_cache_free(bench->cache);
	unwinder_free(bench->unwinder);
	bench_floor__destroy(bench->skeleton);
}

static int choose_mode(const char *wanted, struct bench *bench)
{
	for (enum attach_mode mode = ATTACH_SESSION; mode <= ATTACH_PERF; mode++) {
		if (strcmp(wanted, "auto") != 0 && strcmp(wanted, attach_mode_name(mode)) != 0)
			continue;
		if (!selftest_run(mode)) {
			bench->mode = mode;
			return 0;
		}
	}
	return error_set(&bench->error, -ENOTSUP, "no probes of mode %s on this kernel", wanted);
}

static int make_plan(struct bench *bench)
{
	struct maps maps __attribute__((cleanup(maps_done))) = { 0 };
	int error = maps_read(bench->pid, &maps);

	if (error)
		return error_set(&bench->error, error, "cannot read the mappings of PID %d: %s",
				 bench->pid, strerror(-error));
	bench->cache = plan_cache_new();
	if (!bench->cache)
		return error_set(&bench->error, -ENOMEM, "out of memory");
	return plan_build(bench->cache, bench->pid, &maps, 1U << LB_KIND_HEAP, &bench->plan,
			  &bench->error);
}

/* Chooses the programs that are called one of @names. */
static void choose_programs(struct bench *bench, const char *const *names, size_t nr_names)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, bench->skeleton->obj)
	{
		unsigned int type = attach_mode_type(bench->mode, program);
		bool wanted = false;

		for (size_t i = 0; i < nr_names; i++)
			wanted |= !strcmp(bpf_program__name(program), names[i]);
		bpf_program__set_autoload(program, wanted);
		if (wanted)
			bpf_program__set_expected_attach_type(program, (enum bpf_attach_type)type);
	}
}

static int load(struct bench *bench, const char *const *names, size_t nr_names)
{
	int error;

	bench->skeleton = bench_floor__open();
	if (!bench->skeleton)
		return error_set(&bench->error, -errno, "cannot open the programs: %s",
				 strerror(errno));
	choose_programs(bench, names, nr_names);
#if defined(__x86_64__)
	bench->skeleton->rodata->config.unwind_tables = 1;
#endif
	error = bench_floor__load(bench->skeleton);
	if (error)
		return error_set(&bench->error, error, "cannot load the programs: %s",
				 strerror(-error));
	return 0;
}

/* Brings the unwind tables of the process into the kernel, as the tracer does. */
static int open_unwinder(struct bench *bench)
{
	struct bench_floor *skeleton = bench->skeleton;
	struct unwinder_maps maps = UNWINDER_MAPS(skeleton);
	int error;

	if (!skeleton->rodata->config.unwind_tables)
		return 0;
	bench->unwinder = unwinder_new(&maps);
	error = bench->unwinder ? unwinder_refresh(bench->unwinder, bench->pid) : -ENOMEM;
	if (error < 0)
		return error_set(&bench->error, error, "cannot make unwind tables of PID %d: %s",
				 bench->pid, strerror(-error));
	return 0;
}

static bool is_chosen(const struct site_probe *probe, enum choice choice)
{
	if (choice == CHOICE_MALLOC)
		return !strcmp(probe->symbol, "malloc");
	return probe->call->needs_return == (choice == CHOICE_ALLOCATES);
}

/* Attaches program @name at the chosen places of @object. */
static int attach_object(struct bench *bench, const struct object_plan *object, const char *name,
			 enum choice choice, bool at_return)
{
	const struct bpf_program *program =
		bpf_object__find_program_by_name(bench->skeleton->obj, name);
	uint64_t offsets[MAX_PLACES], cookies[MAX_PLACES] = { 0 };
	struct link_places places = {
		.path = object->open_path, .pid = bench->pid, .offsets = offsets, .cookies = cookies
	};
	struct link *link = &bench->links[bench->nr_links];
	int error;

	for (size_t i = 0; i < object->nr_probes && places.nr < MAX_PLACES; i++)
		if (is_chosen(&object->probes[i], choice))
			offsets[places.nr++] = object->probes[i].placement.offset;
	if (!places.nr)
		return 0;
	if (!program)
		return -ENOENT;
	if (bench->nr_links == MAX_LINKS)
		return -E2BIG;
	if (bench->mode == ATTACH_PERF)
		error = link_attach_perf(program, at_return, &places, link);
	else
		error = link_attach_multi(program, attach_mode_type(bench->mode, program),
					  at_return, &places, link);
	if (error)
		return error;
	bench->nr_links++;
	bench->nr_places += at_return && choice == CHOICE_ALLOCATES ? 0 : places.nr;
	return 0;
}

static int attach(struct bench *bench, const char *name, enum choice choice, bool at_return)
{
	for (size_t i = 0; i < bench->plan.nr_objects; i++) {
		const struct object_plan *object = &bench->plan.objects[i];
		int error = attach_object(bench, object, name, choice, at_return);

		if (error)
			return error_set(&bench->error, error, "cannot attach %s to %s: %s", name,
					 object->path, strerror(-error));
	}
	return 0;
}

/* Empty programs wherever the product has some, attached in the same order. */
static int attach_floor(struct bench *bench)
{
	static const char *const session[] = { "floor_session", "floor_entry" };
	static const char *const apart[] = { "floor_exit", "floor_entry" };
	bool is_session = bench->mode == ATTACH_SESSION;
	int error = load(bench, is_session ? session : apart, ARRAY_SIZE(session));

	if (!error && is_session) {
		error = attach(bench, "floor_session", CHOICE_ALLOCATES, false);
	} else if (!error) {
		error = attach(bench, "floor_exit", CHOICE_ALLOCATES, true);
		if (!error)
			error = attach(bench, "floor_entry", CHOICE_ALLOCATES, false);
	}
	return error ?: attach(bench, "floor_entry", CHOICE_FREES, false);
}

/* The same without any return: what is left when nothing but entries is probed. */
static int attach_entries(struct bench *bench)
{
	static const char *const names[] = { "floor_entry" };
	int error = load(bench, names, ARRAY_SIZE(names));

	if (!error)
		error = attach(bench, "floor_entry", CHOICE_ALLOCATES, false);
	return error ?: attach(bench, "floor_entry", CHOICE_FREES, false);
}

static int attach_at_malloc(struct bench *bench, const char *what)
{
	bool unwinds = !strcmp(what, "walk");
	bool at_return = unwinds || !strcmp(what, "exit");
	char name[32];
	const char *names[] = { name };
	int error;

	snprintf(name, sizeof(name), "floor_%s", what);
	error = load(bench, names, ARRAY_SIZE(names));
	if (!error && unwinds)
		error = open_unwinder(bench);
	return error ?: attach(bench, name, CHOICE_MALLOC, at_return);
}

static int run(struct bench *bench, const char *what, const char *mode)
{
	int error = choose_mode(mode, bench);

	if (!error)
		error = make_plan(bench);
	if (!error && !strcmp(what, "floor"))
		error = attach_floor(bench);
	else if (!error && !strcmp(what, "entries"))
		error = attach_entries(bench);
	else if (!error)
		error = attach_at_malloc(bench, what);
	if (!error && !bench->nr_places)
		error = error_set(&bench->error, -ENOENT, "PID %d has nothing to probe",
				  bench->pid);
	return error;
}

static void wait_for_end_of_input(void)
{
	char c;

	while (read(STDIN_FILENO, &c, 1) > 0)
		;
}

int main(int argc, char **argv)
{
	struct bench bench __attribute__((cleanup(bench_done))) = { 0 };

	if (argc != 4) {
		fprintf(stderr, "usage: bench_floor floor|entries|entry|stackid|exit|walk "
				"auto|session|multi|perf PID\n");
		return 2;
	}
	bench.pid = (pid_t)strtol(argv[3], NULL, 10);
	if (run(&bench, argv[1], argv[2])) {
		fprintf(stderr, "bench_floor: %s\n", bench.error.text);
		return 3;
	}
	printf("ready %s %u\n", attach_mode_name(bench.mode), bench.nr_places);
	fflush(stdout);
	wait_for_end_of_input();
	return 0;
}
