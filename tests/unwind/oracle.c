/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Compares the unwinder with libdwfl: starts a program, stops its threads at calls of malloc, and
 * lets libdwfl unwind the same stopped thread. Every frame must be equal.
 *
 *	oracle [-n SAMPLES] [-e EVERY] [-s SECONDS] [-l LOAD] [-m MB] [-d] PROGRAM [ARGUMENTS...]
 *
 * -e: one of EVERY calls is compared; -l: a command that makes PROGRAM work; -m: the unwind tables
 * of the process may take that many megabytes (default 30); -d: stacks may be
 * deeper than what is kept of them. Exit status 0: all equal and complete.
 */
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe/link.h"
#include "probe/unwinder.h"

#include "oracle.h"

#include "unwind_oracle.skel.h"

#define ORACLE_FRAMES 1024 /* a longer chain than that is not followed */
#define SHOWN_MAX     3    /* differences printed */

extern char **environ;

struct arguments {
	unsigned long samples, every, seconds, table_mb;
	const char *load;
	bool deep;
	char **command;
};

/* A stack by libdwfl, beginning with the stopped instruction itself. */
struct truth {
	uint64_t pcs[ORACLE_FRAMES];
	size_t nr;
	bool failed;
};

struct oracle {
	struct unwind_oracle *skeleton;
	struct unwinder *unwinder;
	struct arguments arguments;
	pid_t pid;
	Dwfl *dwfl;
	unsigned long compared, equal, complete, truncated, skipped, disturbed, frames;
	unsigned long shown;
};

static void die(const char *what, int error)
{
	fprintf(stderr, "oracle: %s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(1);
}

/* --- the other unwinder --- */

static char no_debuginfo[] = "";
static char *debuginfo_path = no_debuginfo;

static const Dwfl_Callbacks dwfl_callbacks = {
	.find_elf = dwfl_linux_proc_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.debuginfo_path = &debuginfo_path,
};

static int truth_frame(Dwfl_Frame *frame, void *context)
{
	struct truth *truth = context;
	Dwarf_Addr pc;
	bool activation;

	if (!dwfl_frame_pc(frame, &pc, &activation)) {
		truth->failed = true;
		return DWARF_CB_ABORT;
	}
	if (truth->nr == ORACLE_FRAMES)
		return DWARF_CB_ABORT;
	truth->pcs[truth->nr++] = pc;
	return DWARF_CB_OK;
}

static void dwfl_report(struct oracle *oracle)
{
	if (oracle->dwfl)
		dwfl_end(oracle->dwfl);
	oracle->dwfl = dwfl_begin(&dwfl_callbacks);
	if (!oracle->dwfl || dwfl_linux_proc_report(oracle->dwfl, oracle->pid) ||
	    dwfl_report_end(oracle->dwfl, NULL, NULL) ||
	    dwfl_linux_proc_attach(oracle->dwfl, oracle->pid, false))
		die(dwfl_errmsg(-1), 0);
}

static void truth_of(struct oracle *oracle, pid_t tid, struct truth *truth)
{
	*truth = (struct truth){ .nr = 0 };
	if (dwfl_getthread_frames(oracle->dwfl, tid, truth_frame, truth) < 0)
		truth->failed = true;
}

/* --- comparing --- */

static void show(const struct sample *sample, const struct truth *truth)
{
	size_t nr = MAX(truth->nr, (size_t)sample->nr_frames + 1);

	printf("difference: %u frames, flags %u; libdwfl %zu%s\n", sample->nr_frames, sample->flags,
	       truth->nr, truth->failed ? " and then failed" : "");
	for (size_t i = 1; i < nr; i++)
		printf("  %2zu %16llx %16llx\n", i,
		       i <= sample->nr_frames ? (unsigned long long)sample->frames[i - 1] : 0ULL,
		       i < truth->nr ? (unsigned long long)truth->pcs[i] : 0ULL);
}

/* The number of frames that are equal from the innermost on. */
static size_t nr_equal(const struct sample *sample, const struct truth *truth)
{
	size_t i = 0;

	while (i < sample->nr_frames && i + 1 < truth->nr && sample->frames[i] == truth->pcs[i + 1])
		i++;
	return i;
}

/* Another observer's probe of returns, for whatever process, also replaces return addresses here.
 * Then libdwfl meets the trampoline, which it cannot unwind. */
static bool is_disturbed(const struct oracle *oracle, const struct truth *truth)
{
	struct maps maps __attribute__((cleanup(maps_done))) = { 0 };
	const struct mapping *mapping;

	if (maps_read(oracle->pid, &maps))
		return true;
	for (size_t i = 1; i < truth->nr; i++) {
		mapping = maps_find(&maps, truth->pcs[i]);
		if (mapping && !strcmp(mapping->path, "[uprobes]"))
			return true;
	}
	return false;
}

static void compare(struct oracle *oracle, const struct sample *sample)
{
	struct truth truth;
	size_t equal;
	bool truncated = sample->flags & LB_STACK_TRUNCATED;

	truth_of(oracle, (pid_t)sample->tid, &truth);
	if (truth.nr < 2 || truth.pcs[0] - sample->ip > 16) {
		oracle->skipped++; /* stopped later than at the probe */
		return;
	}
	if (is_disturbed(oracle, &truth)) {
		oracle->disturbed++;
		return;
	}
	equal = nr_equal(sample, &truth);
	oracle->compared++;
	oracle->frames += sample->nr_frames;
	oracle->complete += !sample->flags;
	oracle->truncated += truncated;
	if (equal == sample->nr_frames && (truncated || equal + 1 == truth.nr))
		oracle->equal++;
	else if (oracle->shown++ < SHOWN_MAX)
		show(sample, &truth);
}

/* --- stopping and going on --- */

static char state_of(pid_t tid)
{
	char path[64];
	char *text __cleanup_string = NULL;
	const char *end;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	if (io_read_file(path, 4096, &text, &len))
		return 0;
	end = strrchr(text, ')');
	return end && end[1] ? end[2] : 0;
}

static bool wait_for_stop(pid_t tid)
{
	for (int i = 0; i < 5000; i++) {
		char state = state_of(tid);

		if (state == 'T')
			return true;
		if (!state || state == 'Z')
			return false;
		usleep(200);
	}
	return false;
}

static int on_sample(void *context, void *data, size_t size)
{
	struct oracle *oracle = context;
	const struct sample *sample = data;

	if (size < sizeof(*sample))
		return 0;
	if (wait_for_stop((pid_t)sample->tid)) {
		/* A library that came since is unknown to both: both learn of it. */
		if (unwinder_refresh(oracle->unwinder, oracle->pid) > 0) {
			dwfl_report(oracle);
			oracle->skipped++;
		} else {
			compare(oracle, sample);
		}
	}
	oracle->skeleton->bss->oracle_armed = 1;
	kill(oracle->pid, SIGCONT);
	return 0;
}

/* --- setting up --- */

static void load_programs(struct oracle *oracle)
{
	struct unwind_oracle *skeleton = unwind_oracle__open();
	struct unwinder_maps maps;
	struct bpf_program *program;
	int error;

	if (!skeleton)
		die("cannot open the programs", errno);
	bpf_object__for_each_program(program, skeleton->obj)
		bpf_program__set_autoload(program, program == skeleton->progs.oracle_entry);
	bpf_program__set_expected_attach_type(skeleton->progs.oracle_entry,
					      (enum bpf_attach_type)LINK_TYPE_MULTI);
	skeleton->rodata->config.unwind_tables = 1;
	error = unwind_oracle__load(skeleton);
	if (error)
		die("cannot load the programs", error);
	skeleton->data->oracle_every = oracle->arguments.every;
	maps = (struct unwinder_maps)UNWINDER_MAPS(skeleton);
	oracle->skeleton = skeleton;
	oracle->unwinder = unwinder_new(&maps);
}

static pid_t start(char *const *command)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int error;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	error = posix_spawnp(&pid, command[0], &actions, NULL, command, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (error)
		die(command[0], error);
	return pid;
}

/* The place of the first allocator's malloc; false: none is mapped yet. */
static bool find_malloc(pid_t pid, struct plan_cache *cache, char *ret_path, size_t size,
			uint64_t *ret_offset)
{
	struct maps maps __attribute__((cleanup(maps_done))) = { 0 };
	struct plan plan __attribute__((cleanup(plan_done))) = { 0 };
	struct error error = { 0 };
	const char *wanted;

	if (maps_read(pid, &maps) ||
	    plan_build(cache, pid, &maps, 1U << LB_KIND_HEAP, &plan, &error) || !plan.nr_allocators)
		return false;
	wanted = plan.allocators[0];
	for (size_t i = 0; i < plan.nr_objects; i++) {
		const struct object_plan *object = &plan.objects[i];

		if (!object->allocator || strcmp(object->allocator, wanted) != 0)
			continue;
		for (size_t j = 0; j < object->nr_probes; j++) {
			if (strcmp(object->probes[j].symbol, "malloc") != 0)
				continue;
			snprintf(ret_path, size, "%s", object->open_path);
			*ret_offset = object->probes[j].placement.offset;
			return true;
		}
	}
	return false;
}

static void attach(struct oracle *oracle, struct link *ret_link)
{
	struct plan_cache *cache = plan_cache_new();
	uint64_t offset = 0, cookie = 0;
	char path[4096];
	struct link_places places = {
		.path = path, .pid = oracle->pid, .offsets = &offset, .cookies = &cookie, .nr = 1
	};
	int error = -ENOENT;

	for (int i = 0; i < 6000 && error; i++) {
		usleep(10000);
		if (find_malloc(oracle->pid, cache, path, sizeof(path), &offset))
			error = link_attach_multi(oracle->skeleton->progs.oracle_entry,
						  LINK_TYPE_MULTI, false, &places, ret_link);
	}
	plan_cache_free(cache);
	if (error)
		die("cannot attach to malloc", error);
}

/* --- the run --- */

static void run(struct oracle *oracle)
{
	struct ring_buffer *samples = ring_buffer__new(bpf_map__fd(oracle->skeleton->maps.samples),
						       on_sample, oracle, NULL);
	uint64_t end_ns = clock_monotonic_ns() + oracle->arguments.seconds * NSEC_PER_SEC;

	if (!samples)
		die("cannot read samples", errno);
	oracle->skeleton->bss->oracle_armed = 1;
	while (oracle->compared < oracle->arguments.samples && clock_monotonic_ns() < end_ns &&
	       waitpid(oracle->pid, NULL, WNOHANG) == 0)
		ring_buffer__poll(samples, 100);
	oracle->skeleton->bss->oracle_armed = 0;
	ring_buffer__free(samples);
}

static int report(const struct oracle *oracle)
{
	const struct unwind_oracle *skeleton = oracle->skeleton;
	struct unwind_totals totals;
	unsigned long ended = oracle->complete + (oracle->arguments.deep ? oracle->truncated : 0);
	bool good = oracle->compared >= oracle->arguments.samples &&
		    oracle->equal == oracle->compared && ended == oracle->compared &&
		    !skeleton->bss->oracle_wrong;

	printf("%s: %lu stacks compared, %lu equal, %lu complete, %lu truncated; "
	       "average depth %.1f; %lu skipped, %lu disturbed\n",
	       oracle->arguments.command[0], oracle->compared, oracle->equal, oracle->complete,
	       oracle->truncated,
	       oracle->compared ? (double)oracle->frames / (double)oracle->compared : 0.0,
	       oracle->skipped, oracle->disturbed);
	printf("  %llu calls, %llu recognised without a walk, %llu of them wrongly\n",
	       skeleton->bss->oracle_hits, skeleton->bss->oracle_recognised,
	       skeleton->bss->oracle_wrong);
	unwinder_totals(oracle->unwinder, &totals);
	printf("  unwind tables: %zu files, %zu rows, %.2f MB, made in %.1f ms\n", totals.nr_tables,
	       totals.nr_rows, (double)totals.row_bytes / 1e6, (double)totals.parse_ns / 1e6);
	return good && totals.row_bytes < oracle->arguments.table_mb * 1000000 ? 0 : 1;
}

static int parse(int argc, char **argv, struct arguments *ret_arguments)
{
	struct arguments arguments = {
		.samples = 1000, .every = 1, .seconds = 120, .table_mb = 30
	};
	int option;

	while ((option = getopt(argc, argv, "+n:e:s:l:m:d")) != -1) {
		if (option == 'n')
			arguments.samples = strtoul(optarg, NULL, 10);
		else if (option == 'e')
			arguments.every = strtoul(optarg, NULL, 10);
		else if (option == 's')
			arguments.seconds = strtoul(optarg, NULL, 10);
		else if (option == 'm')
			arguments.table_mb = strtoul(optarg, NULL, 10);
		else if (option == 'l')
			arguments.load = optarg;
		else if (option == 'd')
			arguments.deep = true;
		else
			return -EINVAL;
	}
	arguments.command = argv + optind;
	*ret_arguments = arguments;
	return optind < argc && arguments.every ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
	struct link link = { .fd = -1 };
	struct oracle oracle = { 0 };
	pid_t load = 0;
	int status;

	if (parse(argc, argv, &oracle.arguments)) {
		fprintf(stderr,
			"usage: oracle [-n SAMPLES] [-e EVERY] [-s SECONDS] [-l LOAD] [-m MB] [-d] "
			"PROGRAM [ARGUMENTS...]\n");
		return 2;
	}
	if (geteuid()) {
		printf("skipped: loading BPF programs needs root\n");
		return 77;
	}
	load_programs(&oracle);
	oracle.pid = start(oracle.arguments.command);
	attach(&oracle, &link);
	if (unwinder_refresh(oracle.unwinder, oracle.pid) < 0)
		die("cannot make unwind tables", EIO);
	dwfl_report(&oracle);
	if (oracle.arguments.load)
		load = start((char *const[]){ (char[]){ "sh" }, (char[]){ "-c" },
					      (char *)oracle.arguments.load, NULL });
	run(&oracle);
	link_done(&link);
	kill(oracle.pid, SIGKILL);
	kill(oracle.pid, SIGCONT);
	if (load > 0) {
		kill(load, SIGKILL);
		waitpid(load, NULL, 0);
	}
	waitpid(oracle.pid, NULL, 0);
	status = report(&oracle);
	dwfl_end(oracle.dwfl);
	unwinder_free(oracle.unwinder);
	unwind_oracle__destroy(oracle.skeleton);
	return status;
}
