/* SPDX-License-Identifier: GPL-2.0-only */
/* The BPF programs from opening to the end: prepare, load, activate. */
#include "probe/tracer.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define DEFAULT_MAX_LIVE  (1U << 20)
#define DEFAULT_MAX_SITES (1U << 17)
#define FRAMES_PER_SITE   24 /* room in the frames array; stacks are shared between processes */

/* Unwind tables are made for x86-64; elsewhere frame pointers are followed. */
#if defined(__x86_64__)
#define UNWIND_TABLES 1
#else
#define UNWIND_TABLES 0
#endif

/* A walk that leaves the known mappings has the mappings read again, at first soon. */
#define PATIENCE_MIN_NS (NSEC_PER_SEC / 10)
#define PATIENCE_MAX_NS (30 * NSEC_PER_SEC)

/* The inode of the initial pid namespace: Linux 6.18, include/uapi/linux/nsfs.h, PID_NS_INIT_INO. */
#define PID_NAMESPACE_INITIAL "pid:[4026531836]"

DEFINE_CLEANUP(tracer, struct tracer *, tracer_free(*value))

/* The BPF side numbers processes as the initial pid namespace does. */
static int check_pid_namespace(struct error *error)
{
	char name[64] = "";

	if (readlink("/proc/self/ns/pid", name, sizeof(name) - 1) > 0 &&
	    strcmp(name, PID_NAMESPACE_INITIAL))
		return error_set(error, -EPERM,
				 "leakbpf runs in a pid namespace of its own (%s): run it in the "
				 "host's (container: --pid=host, pod: hostPID: true)",
				 name);
	return 0;
}

static int check_btf(struct error *error)
{
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		return error_set(error, -ENOENT,
				 "no kernel type information (/sys/kernel/btf/vmlinux): leakbpf "
				 "needs a kernel built with CONFIG_DEBUG_INFO_BTF=y");
	return 0;
}

__attribute__((format(printf, 2, 0))) static int silent(enum libbpf_print_level level,
							const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

/* What libbpf says, and why the kernel refused a program. */
__attribute__((format(printf, 2, 0))) static int to_log(enum libbpf_print_level level,
							const char *format, va_list arguments)
{
	log_write_args(level == LIBBPF_DEBUG ? LOG_DEBUG : LOG_VERBOSE, format, arguments);
	return 0;
}

static int error_no_mode(struct error *error, int code, enum attach_mode wanted)
{
	if (code == -EPERM || code == -EACCES)
		return error_set(
			error, code,
			"no right to use BPF and uprobes (uid %u): run leakbpf with sudo, or "
			"give it CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE (kernels without "
			"uprobe.multi: CAP_SYS_ADMIN)",
			(unsigned int)geteuid());
	return error_set(
		error, code,
		"probes of mode %s do not work on this kernel (%s): try --attach auto, and "
		"leakbpf doctor for the reason",
		attach_mode_name(wanted), strerror(-code));
}

/* The first mode, from the best, that the self-test proves. */
static int choose_mode(enum attach_mode wanted, enum attach_mode *ret_mode, struct error *error)
{
	int code = 0;

	for (enum attach_mode mode = ATTACH_SESSION; mode <= ATTACH_PERF; mode++) {
		if (wanted != ATTACH_AUTO && wanted != mode)
			continue;
		code = selftest_run(mode);
		log_write(LOG_VERBOSE, "self-test of %s probes: %s", attach_mode_name(mode),
			  code ? strerror(-code) : "ok");
		if (!code) {
			*ret_mode = mode;
			return 0;
		}
	}
	return error_no_mode(error, code, wanted);
}

/* Does the kernel promise only memory that it has? Then any allocation may fail
 * (Documentation/mm/overcommit-accounting.rst). */
static bool overcommit_is_strict(void)
{
	char *text __cleanup_string = NULL;
	size_t len;

	return io_read_file("/proc/sys/vm/overcommit_memory", 64, &text, &len) || text[0] == '2';
}

static uint64_t memory_bytes(void)
{
	struct sysinfo info;

	return sysinfo(&info) ? 0 : (info.totalram + info.totalswap) * (uint64_t)info.mem_unit;
}

static int size_maps(struct leakbpf *skeleton, const struct tracer_options *options)
{
	uint32_t live = options->max_live ? options->max_live : DEFAULT_MAX_LIVE;
	uint32_t sites = options->max_sites ? options->max_sites : DEFAULT_MAX_SITES;
	uint32_t frames =
		sites > UINT32_MAX / FRAMES_PER_SITE ? UINT32_MAX : sites * FRAMES_PER_SITE;
	struct bpf_map *per_site[] = {
		skeleton->maps.sites,      skeleton->maps.site_index, skeleton->maps.survivors,
		skeleton->maps.free_slots, skeleton->maps.stacks,
	};
	int error = bpf_map__set_max_entries(skeleton->maps.live, live);

	for (size_t i = 0; !error && i < ARRAY_SIZE(per_site); i++)
		error = bpf_map__set_max_entries(per_site[i], sites);
	if (!error)
		error = bpf_map__set_max_entries(skeleton->maps.frames, frames);
	skeleton->rodata->config.max_sites = sites;
	skeleton->rodata->config.max_frames = frames;
	skeleton->rodata->config.unwind_tables = UNWIND_TABLES && !options->frame_pointers_only;
	skeleton->rodata->config.follow = options->follow;
	skeleton->rodata->config.page_bytes = (__u64)sysconf(_SC_PAGESIZE);
	skeleton->rodata->config.memory_bytes = memory_bytes();
	return error;
}

static bool ends_with(const char *string, const char *end)
{
	size_t len = strlen(string), end_len = strlen(end);

	return len >= end_len && !strcmp(string + len - end_len, end);
}

/* Session programs load only where the kernel knows sessions, and then stand for the pairs of entry
 * and exit. The self-test's are not needed any more. */
static bool program_is_needed(const char *name, enum attach_mode mode)
{
	if (!strncmp(name, "selftest_", strlen("selftest_")))
		return false;
	if (ends_with(name, "_session"))
		return mode == ATTACH_SESSION;
	if (ends_with(name, "_entry") || ends_with(name, "_exit"))
		return mode != ATTACH_SESSION || !strcmp(name, "task_exit");
	return true;
}

static void choose_programs(struct leakbpf *skeleton, enum attach_mode mode)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, skeleton->obj)
	{
		bool needed = program_is_needed(bpf_program__name(program), mode);

		bpf_program__set_autoload(program, needed);
		if (needed &&
		    !strncmp(bpf_program__section_name(program), "uprobe", strlen("uprobe")))
			bpf_program__set_expected_attach_type(
				program, (enum bpf_attach_type)attach_mode_type(mode, program));
	}
}

static int on_event(void *context, void *data, size_t size)
{
	struct tracer *tracer = context;

	if (size >= sizeof(struct lb_event) && tracer->handle)
		tracer->handle(data, tracer->context);
	return 0;
}

/* fork, exec and exit of targets. */
static int attach_tasks(struct leakbpf *skeleton)
{
	skeleton->links.task_fork = bpf_program__attach(skeleton->progs.task_fork);
	if (!skeleton->links.task_fork)
		return -errno;
	skeleton->links.task_exec = bpf_program__attach(skeleton->progs.task_exec);
	if (!skeleton->links.task_exec)
		return -errno;
	skeleton->links.task_exit = bpf_program__attach(skeleton->progs.task_exit);
	return skeleton->links.task_exit ? 0 : -errno;
}

static int open_unwinder(struct tracer *tracer)
{
	struct leakbpf *skeleton = tracer->skeleton;
	struct unwinder_maps maps = UNWINDER_MAPS(skeleton);

	if (!skeleton->rodata->config.unwind_tables)
		return 0;
	tracer->patience_ns = PATIENCE_MIN_NS;
	tracer->unwinder = unwinder_new(&maps);
	return tracer->unwinder ? 0 : -ENOMEM;
}

static int load(struct tracer *tracer, const struct tracer_options *options)
{
	int error = size_maps(tracer->skeleton, options);

	if (error)
		return error;
	choose_programs(tracer->skeleton, tracer->mode);
	error = leakbpf__load(tracer->skeleton);
	if (error)
		return error;
	tracer->events = ring_buffer__new(bpf_map__fd(tracer->skeleton->maps.events), on_event,
					  tracer, NULL);
	if (!tracer->events)
		return -errno;
	error = open_unwinder(tracer);
	return error ? error : attach_tasks(tracer->skeleton);
}

static int error_load(struct error *error, int code)
{
	if (code == -ENOMEM || code == -E2BIG)
		return error_set(
			error, code,
			"the kernel gave no memory for the BPF maps: a smaller --max-live or "
			"a larger memory limit of leakbpf's cgroup helps");
	return error_set(error, code,
			 "the kernel refused the BPF programs (%s): leakbpf -v shows its reason",
			 strerror(-code));
}

int tracer_open(const struct tracer_options *options, struct tracer **ret_tracer,
		struct error *error)
{
	struct tracer *tracer __cleanup_of(tracer) = calloc(1, sizeof(*tracer));
	int code;

	if (!tracer)
		return error_set(error, -ENOMEM, "out of memory");
	code = check_pid_namespace(error);
	if (!code)
		code = check_btf(error);
	if (code)
		return code;
	libbpf_set_print(silent);
	code = choose_mode(options->mode, &tracer->mode, error);
	if (code)
		return code;
	tracer->may_throw = tracer->mode == ATTACH_SESSION && !overcommit_is_strict();
	libbpf_set_print(to_log);
	tracer->skeleton = leakbpf__open();
	code = tracer->skeleton ? load(tracer, options) : -errno;
	if (code)
		return error_load(error, code);
	*ret_tracer = take(tracer);
	return 0;
}

void tracer_activate(struct tracer *tracer)
{
	tracer->skeleton->bss->control.active = 1;
}

void tracer_tick(struct tracer *tracer)
{
	struct lb_control *control = &tracer->skeleton->bss->control;
	uint64_t now_ns = clock_monotonic_ns();

	if (!tracer->unwinder || !control->unmapped ||
	    now_ns - tracer->unmapped_ns < tracer->patience_ns)
		return;
	control->unmapped = 0;
	tracer->unmapped_ns = now_ns;
	if (unwinder_refresh_all(tracer->unwinder) > 0)
		tracer->patience_ns = PATIENCE_MIN_NS;
	else
		tracer->patience_ns = MIN(2 * tracer->patience_ns, PATIENCE_MAX_NS);
}

void tracer_unwind_totals(const struct tracer *tracer, struct unwind_totals *ret_totals)
{
	*ret_totals = (struct unwind_totals){ 0 };
	if (tracer->unwinder)
		unwinder_totals(tracer->unwinder, ret_totals);
}

int tracer_event_fd(const struct tracer *tracer)
{
	return ring_buffer__epoll_fd(tracer->events);
}

int tracer_read_events(struct tracer *tracer, void (*handle)(const struct lb_event *, void *),
		       void *context)
{
	tracer->handle = handle;
	tracer->context = context;
	return ring_buffer__consume(tracer->events);
}

struct leakbpf *tracer_skeleton(struct tracer *tracer)
{
	return tracer->skeleton;
}

enum attach_mode tracer_mode(const struct tracer *tracer)
{
	return tracer->mode;
}

const char *attach_mode_name(enum attach_mode mode)
{
	static const char *const names[] = {
		[ATTACH_AUTO] = "auto",
		[ATTACH_SESSION] = "session",
		[ATTACH_MULTI] = "multi",
		[ATTACH_PERF] = "perf",
	};

	return names[mode];
}

struct tracer *tracer_free(struct tracer *tracer)
{
	if (!tracer)
		return NULL;
	for (size_t i = 0; i < tracer->nr_attachments; i++)
		attachment_done(&tracer->attachments[i]);
	free(tracer->attachments);
	ring_buffer__free(tracer->events);
	unwinder_free(tracer->unwinder);
	leakbpf__destroy(tracer->skeleton);
	free(tracer);
	return NULL;
}
