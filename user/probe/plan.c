/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The plan for one process: every file that it has mapped executable is looked through once, and
 * what was found is put together for the kinds that are wanted.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probe/discover.h"

/* What goes into one plan and what it is made from. */
struct building {
	struct plan_cache *cache;
	pid_t pid;
	unsigned int kinds;
	struct plan plan;
	size_t nr_unreadable;
	size_t nr_go;      /* files with Go code */
	size_t nr_pure_go; /* files of Go code only */
	bool malloc_replaced;
	const char *libc;
};

static bool wants(const struct building *building, enum lb_kind kind)
{
	return building->kinds & (1U << kind);
}

/*
 * How @probe is to be used for the kinds wanted. When only mappings are, those that allocators
 * make for themselves must still be known as such: their calls become shelters.
 * Returns whether it is needed at all.
 */
static bool probe_cookie(const struct building *building, const struct site_probe *probe,
			 uint64_t *ret_cookie)
{
	*ret_cookie = probe->cookie;
	if (wants(building, probe->call->kind))
		return true;
	if (probe->call->kind != LB_KIND_HEAP || !probe->call->needs_return ||
	    !wants(building, LB_KIND_MMAP))
		return false;
	*ret_cookie = (probe->cookie & ~0xffULL) | LB_CALL_SHELTER;
	return true;
}

static void object_done(struct object_plan *object)
{
	for (size_t i = 0; i < object->nr_probes; i++)
		free(object->probes[i].symbol);
	free(object->probes);
	free(object->releases);
	free(object->path);
	free(object->open_path);
}

static int object_add_probe(struct object_plan *object, const struct site_probe *found,
			    uint64_t cookie)
{
	struct site_probe probe = *found;

	if (vec_reserve((void **)&object->probes, &object->capacity, object->nr_probes + 1,
			sizeof(probe)) < 0)
		return -ENOMEM;
	probe.symbol = strdup(found->symbol);
	if (!probe.symbol)
		return -ENOMEM;
	probe.cookie = cookie;
	object->probes[object->nr_probes++] = probe;
	log_write(LOG_DEBUG, "%s: %s at 0x%llx, %s", object->path, probe.symbol,
		  (unsigned long long)probe.placement.offset,
		  probe.placement.kind == PLACEMENT_CHEAP ? "emulated" : "single-stepped");
	return 0;
}

static int object_add_releases(struct object_plan *object, const struct discovery *discovery)
{
	if (!discovery->nr_releases)
		return 0;
	object->releases = calloc(discovery->nr_releases, sizeof(*object->releases));
	if (!object->releases)
		return -ENOMEM;
	object->nr_releases = discovery->nr_releases;
	memcpy(object->releases, discovery->releases,
	       object->nr_releases * sizeof(*object->releases));
	return 0;
}

/* Fills @object, which the caller releases also on failure. */
static int object_fill(const struct building *building, const struct mapping *mapping,
		       const char *open_path, const struct discovery *discovery,
		       struct object_plan *object)
{
	uint64_t cookie;
	int err = object_add_releases(object, discovery);

	object->path = strdup(mapping->path);
	object->open_path = strdup(open_path);
	object->dev = mapping->dev;
	object->inode = mapping->inode;
	object->allocator =
		discovery->allocator ? discovery->allocator : discovery->prefixed_allocator;
	if (!object->path || !object->open_path)
		return -ENOMEM;
	for (size_t i = 0; !err && i < discovery->nr_probes; i++)
		if (probe_cookie(building, &discovery->probes[i], &cookie))
			err = object_add_probe(object, &discovery->probes[i], cookie);
	return err;
}

/* Adds the probes of the file that @mapping maps and @open_path opens, if there are any. */
static int add_object(struct building *building, const struct mapping *mapping,
		      const char *open_path, const struct discovery *discovery)
{
	struct plan *plan = &building->plan;
	struct object_plan object = { 0 };
	int err = object_fill(building, mapping, open_path, discovery, &object);

	if (!err && object.nr_probes) {
		err = vec_reserve((void **)&plan->objects, &plan->capacity, plan->nr_objects + 1,
				  sizeof(object));
		if (!err) {
			plan->objects[plan->nr_objects++] = object;
			return 0;
		}
	}
	object_done(&object);
	return err;
}

/* Says which functions of the file could not be probed and what follows from that. */
static int add_unplaced(struct building *building, const char *path,
			const struct discovery *discovery)
{
	int err = 0;

	for (size_t i = 0; !err && i < discovery->nr_unplaced; i++) {
		const struct unplaced *unplaced = &discovery->unplaced[i];

		if (!wants(building, unplaced->call->kind))
			continue;
		err = plan_add_blind_spot(
			&building->plan, "%s of %s can not be probed (%s): %s", unplaced->symbol,
			path,
			unplaced->error == -EPERM     ? "it is Go code"
			: unplaced->error == -ENOTSUP ? "no instruction is passed exactly once "
							"with its arguments intact"
						      : "its code can not be decoded",
			unplaced->call->call == LB_CALL_FREE ||
					unplaced->call->call == LB_CALL_MUNMAP
				? "what it releases looks as if it were never released"
				: "what it allocates is not seen");
	}
	return err;
}

static void add_allocator(struct plan *plan, const char *allocator)
{
	for (size_t i = 0; i < plan->nr_allocators; i++)
		if (strcmp(plan->allocators[i], allocator) == 0)
			return;
	if (plan->nr_allocators < PLAN_MAX_ALLOCATORS)
		plan->allocators[plan->nr_allocators++] = allocator;
}

/* Remembers the allocators of a file; the C library's waits for what else is there. */
static void note_allocators(struct building *building, const struct discovery *discovery)
{
	if (discovery->prefixed_allocator)
		add_allocator(&building->plan, discovery->prefixed_allocator);
	if (discovery->replaces_malloc) {
		add_allocator(&building->plan, discovery->allocator);
		building->malloc_replaced = true;
	} else if (discovery->allocator) {
		building->libc = discovery->allocator;
	}
}

/* Starts with the magic of ELF? Others that are mapped executable are code of JIT compilers. */
static bool is_elf(const char *path)
{
	int fd __cleanup_fd = -1;
	char magic[4];
	struct stat status;

	if (stat(path, &status) < 0 || !S_ISREG(status.st_mode))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd >= 0 && io_pread_full(fd, magic, sizeof(magic), 0) == 0 &&
	       memcmp(magic, "\177ELF", sizeof(magic)) == 0;
}

/* The file could not be read; one that is no ELF file at all holds no allocator. */
static int add_unreadable(struct building *building, const char *path, const char *open_path,
			  int error)
{
	if (error == -ENOMEM)
		return error;
	if (error == -ENOEXEC && !is_elf(open_path))
		return 0;
	building->nr_unreadable++;
	return plan_add_blind_spot(
		&building->plan, "%s can not be read (%s): an allocator in it is not seen", path,
		error == -ENOEXEC ? "damaged, or not for 64-bit x86 or ARM" : strerror(-error));
}

/*
 * The dynamic linker of glibc has a malloc of its own for the time before libc is there. That of
 * musl is its libc.
 */
static bool is_dynamic_linker(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	return strncmp(name, "ld-linux", 8) == 0 || strncmp(name, "ld-2.", 5) == 0 ||
	       strncmp(name, "ld64.so", 7) == 0;
}

static bool is_device(const char *path)
{
	return strncmp(path, "/dev/", 5) == 0 && strncmp(path, "/dev/shm/", 9) != 0;
}

/* Tells what of the Go runtime in the file @path is not watched. */
static int add_go_gaps(struct building *building, const struct discovery *discovery,
		       const char *path)
{
	struct plan *plan = &building->plan;
	int err = 0;

	if (discovery->unknown_timers && wants(building, LB_KIND_TIMER))
		err = plan_add_blind_spot(plan, "the timers of %s are not watched: %s", path,
					  discovery->unknown_timers);
	if (!err && discovery->unknown_threads && wants(building, LB_KIND_THREAD))
		err = plan_add_blind_spot(plan,
					  "the threads that the Go runtime makes in %s are not "
					  "watched: %s",
					  path, discovery->unknown_threads);
	if (!err && discovery->unknown_scheduler &&
	    (wants(building, LB_KIND_NEWPROC) || wants(building, LB_KIND_GOPARK)))
		err = plan_add_blind_spot(plan,
					  "how goroutines are made and wait in %s is not watched, "
					  "or not all of it: %s",
					  path, discovery->unknown_scheduler);
	return err;
}

/* Tells that objects of a language are not seen, unless the process was started without its heap. */
static int add_runtime_heap(struct building *building, const char *path,
			    const struct runtime_heap *heap)
{
	if (!heap || !wants(building, LB_KIND_HEAP) ||
	    (heap->variable && target_has_variable(building->pid, heap->variable) == 1))
		return 0;
	return plan_add_blind_spot(
		&building->plan,
		"%s lie in mappings that %s makes: a leak of them shows at most as a mapping%s%s%s",
		heap->objects, path, heap->variable ? "; with " : "",
		heap->variable ? heap->variable : "",
		heap->variable ? " in its environment each object is seen" : "");
}

/* Takes in one mapped file. */
static int add_file(struct building *building, const struct mapping *mapping)
{
	const struct discovery *discovery;
	char open_path[PATH_MAX];
	int err;

	if (is_dynamic_linker(mapping->path) || is_device(mapping->path))
		return 0;
	err = mapping_open_path(building->pid, mapping, open_path, sizeof(open_path));
	if (err < 0)
		return add_unreadable(building, mapping->path, "", err);
	err = cache_discover(building->cache, open_path, &discovery);
	if (err < 0)
		return add_unreadable(building, mapping->path, open_path, err);
	note_allocators(building, discovery);
	if (discovery->is_go) {
		building->nr_go++;
		building->nr_pure_go += !discovery->has_c;
		if (wants(building, LB_KIND_HEAP))
			err = plan_add_blind_spot(&building->plan,
						  "the heap of the Go runtime in %s is not watched "
						  "by kind heap",
						  mapping->path);
	}
	if (!err && discovery->nameless_allocator && wants(building, LB_KIND_HEAP))
		err = plan_add_blind_spot(
			&building->plan,
			"%s seems to hold %s without its symbols: the blocks that "
			"it hands out are not seen, only its mappings",
			mapping->path, discovery->nameless_allocator);
	if (!err)
		err = add_runtime_heap(building, mapping->path, discovery->runtime_heap);
	if (!err && discovery->is_go)
		err = add_go_gaps(building, discovery, mapping->path);
	if (!err)
		err = add_unplaced(building, mapping->path, discovery);
	return err < 0 ? err : add_object(building, mapping, open_path, discovery);
}

/* Is this the first executable mapping of its file? */
static bool is_first_of_file(const struct maps *maps, size_t index)
{
	const struct mapping *mapping = &maps->mappings[index];

	if (!mapping->inode || mapping->perms[2] != 'x')
		return false;
	for (size_t i = 0; i < index; i++)
		if (maps->mappings[i].perms[2] == 'x' &&
		    maps->mappings[i].inode == mapping->inode &&
		    maps->mappings[i].dev == mapping->dev)
			return false;
	return true;
}

/* A program with neither an allocator nor a C library must have its own, without a name. */
static int check_found(struct building *building)
{
	char link[64], exe[PATH_MAX];
	ssize_t len;

	if (!wants(building, LB_KIND_HEAP) || building->plan.nr_allocators ||
	    building->nr_unreadable || building->nr_pure_go)
		return 0;
	snprintf(link, sizeof(link), "/proc/%d/exe", building->pid);
	len = readlink(link, exe, sizeof(exe) - 1);
	exe[MAX(len, 0)] = '\0';
	return plan_add_blind_spot(&building->plan,
				   "no allocator found in %s (statically linked and stripped?): "
				   "its heap can not be seen",
				   len > 0 ? exe : "the program");
}

/* Whoever asked for what only Go has is told when there is none. */
static int check_runtime(struct building *building)
{
	const unsigned int native = 1U << LB_KIND_HEAP | 1U << LB_KIND_MMAP;
	const unsigned int asked = 1U << LB_KIND_NEWPROC | 1U << LB_KIND_GOPARK;
	const unsigned int read = 1U << LB_KIND_GOROUTINE;

	if (building->nr_go > 1 && building->kinds & read)
		return plan_add_blind_spot(
			&building->plan,
			"%zu files with Go code are mapped (plugins, shared "
			"libraries): goroutines are seen of one of them only, and "
			"perhaps of none",
			building->nr_go);

	if (building->nr_go || (building->kinds & native && !(building->kinds & asked)))
		return 0;
	return plan_add_blind_spot(&building->plan,
				   "PID %d is no Go program: goroutines, threads and timers are "
				   "only seen in those",
				   building->pid);
}

static int build(struct building *building, const struct maps *maps, struct error *error)
{
	int err = 0;

	for (size_t i = 0; !err && i < maps->nr_mappings; i++)
		if (is_first_of_file(maps, i))
			err = add_file(building, &maps->mappings[i]);
	if (!err && building->nr_unreadable && kill(building->pid, 0) < 0 && errno == ESRCH)
		return error_set(error, -ESRCH, "PID %d has just ended", building->pid);
	if (building->libc && !building->malloc_replaced)
		add_allocator(&building->plan, building->libc);
	if (!err)
		err = check_found(building);
	if (!err)
		err = check_runtime(building);
	if (err < 0)
		return error_set(error, err, "can not plan the probes of PID %d: %s", building->pid,
				 strerror(-err));
	return 0;
}

int plan_build(struct plan_cache *cache, pid_t pid, const struct maps *maps, unsigned int kinds,
	       struct plan *ret_plan, struct error *error)
{
	struct building building = { .cache = cache, .pid = pid, .kinds = kinds };
	int err = build(&building, maps, error);

	if (err < 0) {
		plan_done(&building.plan);
		return err;
	}
	*ret_plan = building.plan;
	return 0;
}

int plan_add_blind_spot(struct plan *plan, const char *format, ...)
{
	char *sentence = NULL, **grown;
	va_list args;
	int len;

	grown = (char **)realloc((void *)plan->blind_spots,
				 (plan->nr_blind_spots + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	plan->blind_spots = grown;
	va_start(args, format);
	len = vasprintf(&sentence, format, args);
	va_end(args);
	if (len < 0)
		return -ENOMEM;
	plan->blind_spots[plan->nr_blind_spots++] = sentence;
	return 0;
}

void plan_done(struct plan *plan)
{
	for (size_t i = 0; i < plan->nr_objects; i++)
		object_done(&plan->objects[i]);
	for (size_t i = 0; i < plan->nr_blind_spots; i++)
		free(plan->blind_spots[i]);
	free(plan->objects);
	free((void *)plan->blind_spots);
	*plan = (struct plan){ 0 };
}
