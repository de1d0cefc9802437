/* SPDX-License-Identifier: GPL-2.0-only */
/* Attaching the plan of one process: verify each place, group the places by program, link. */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe/tracer.h"

#define PLACES_MAX 512 /* of one file */

/* The programs that serve one sort of call. */
struct programs {
	struct bpf_program *session, *entry, *exit; /* exit NULL: the return is not of interest */
};

/* The sorts of calls, each with programs of its own. */
enum sort { SORT_HEAP, SORT_FREE, SORT_MMAP, SORT_SHELTER, SORT_GO_OPEN, SORT_GO_CLOSE, SORT_MAX };

static enum sort sort_of(const struct site_probe *probe)
{
	const struct call *call = probe->call;

	if (call->of_go)
		return call->closes ? SORT_GO_CLOSE : SORT_GO_OPEN;
	if ((probe->cookie & 0xff) == LB_CALL_SHELTER)
		return SORT_SHELTER;
	if (call->call == LB_CALL_FREE)
		return SORT_FREE;
	return call->kind == LB_KIND_MMAP ? SORT_MMAP : SORT_HEAP;
}

static struct programs programs_of(struct leakbpf *skeleton, enum sort sort)
{
	switch (sort) {
	case SORT_FREE:
		return (struct programs){ .entry = skeleton->progs.heap_free };
	case SORT_GO_OPEN:
		return (struct programs){ .entry = skeleton->progs.go_open };
	case SORT_GO_CLOSE:
		return (struct programs){ .entry = skeleton->progs.go_close };
	case SORT_MMAP:
		return (struct programs){ skeleton->progs.mmap_session, skeleton->progs.mmap_entry,
					  skeleton->progs.mmap_exit };
	case SORT_SHELTER:
		return (struct programs){ skeleton->progs.shelter_session,
					  skeleton->progs.shelter_entry,
					  skeleton->progs.shelter_exit };
	default:
		return (struct programs){ skeleton->progs.heap_session, skeleton->progs.heap_entry,
					  skeleton->progs.heap_exit };
	}
}

/* --- links --- */

/* The places of one sort in one file. */
struct places {
	uint64_t *offsets; /* owned */
	uint64_t *cookies; /* owned */
	uint32_t nr;
};

static void places_done(struct places *places)
{
	free(places->offsets);
	free(places->cookies);
}

static int places_collect(const struct object_plan *object, const bool *verified, enum sort sort,
			  struct places *ret_places)
{
	struct places places __attribute__((cleanup(places_done))) = { 0 };

	places.offsets = calloc(object->nr_probes + 1, sizeof(*places.offsets));
	places.cookies = calloc(object->nr_probes + 1, sizeof(*places.cookies));
	if (!places.offsets || !places.cookies)
		return -ENOMEM;
	for (size_t i = 0; i < object->nr_probes; i++) {
		if (!verified[i] || sort_of(&object->probes[i]) != sort)
			continue;
		places.offsets[places.nr] = object->probes[i].placement.offset;
		places.cookies[places.nr++] = object->probes[i].cookie;
	}
	*ret_places = places;
	places = (struct places){ 0 };
	return 0;
}

static int attach_program(struct tracer *tracer, struct attachment *attachment,
			  const struct bpf_program *program, bool at_return,
			  const struct link_places *places)
{
	struct link *link = &attachment->links[attachment->nr_links];
	int error;

	if (tracer->mode == ATTACH_PERF)
		error = link_attach_perf(program, at_return, places, link);
	else
		error = link_attach_multi(program, attach_mode_type(tracer->mode, program),
					  at_return, places, link);
	if (!error)
		attachment->nr_links++;
	return error;
}

/* Returns are attached before entries: a return without its entry is ignored. */
static int attach_sort(struct tracer *tracer, struct attachment *attachment, enum sort sort,
		       const struct places *places)
{
	struct programs programs = programs_of(tracer->skeleton, sort);
	struct link_places link_places = {
		.path = attachment->open_path,
		.pid = attachment->pid,
		.offsets = places->offsets,
		.cookies = places->cookies,
		.nr = places->nr,
	};
	int error;

	if (!places->nr)
		return 0;
	if (programs.session && tracer->mode == ATTACH_SESSION)
		return attach_program(tracer, attachment, programs.session, false, &link_places);
	if (programs.exit) {
		error = attach_program(tracer, attachment, programs.exit, true, &link_places);
		if (error)
			return error;
	}
	return attach_program(tracer, attachment, programs.entry, false, &link_places);
}

static int attachment_begin(pid_t pid, const struct object_plan *object,
			    struct attachment *ret_attachment)
{
	struct attachment attachment = {
		.pid = pid,
		.dev = object->dev,
		.inode = object->inode,
		.open_path = strdup(object->open_path),
		.offsets = calloc(object->nr_probes + 1, sizeof(uint64_t)),
	};

	if (!attachment.open_path || !attachment.offsets) {
		attachment_done(&attachment);
		return -ENOMEM;
	}
	*ret_attachment = attachment;
	return 0;
}

void attachment_done(struct attachment *attachment)
{
	for (size_t i = 0; i < attachment->nr_links; i++)
		link_done(&attachment->links[i]);
	free(attachment->open_path);
	free(attachment->offsets);
	*attachment = (struct attachment){ 0 };
}

/* Which places hold the decoded instruction; the others are told as blind spots, unless there is
 * nothing left to see. */
static int verify_places(const struct verifier *verifier, struct plan *plan,
			 const struct object_plan *object, bool *verified)
{
	for (size_t i = 0; i < object->nr_probes; i++) {
		int code = verifier_check(verifier, object->dev, object->inode,
					  &object->probes[i].placement);

		verified[i] = code == 0;
		if (code && code != -ESRCH &&
		    plan_add_blind_spot(
			    plan,
			    "%s in %s is not watched: the code in memory is not that of "
			    "the file",
			    object->probes[i].symbol, object->path))
			return -ENOMEM;
	}
	return 0;
}

/*
 * Do the functions of @object that throw do so only when the kernel refuses memory? Others cannot
 * be foreseen: an allocator of the program's own, and tcmalloc when it was given a limit
 * (gperftools 2.10, src/page_heap.cc, FLAGS_tcmalloc_heap_limit_mb).
 */
static bool fails_with_kernel(pid_t pid, const struct object_plan *object)
{
	if (!object->allocator || !strcmp(object->allocator, "custom"))
		return false;
	return strcmp(object->allocator, "tcmalloc") != 0 ||
	       target_has_variable(pid, "TCMALLOC_HEAP_LIMIT_MB=") == 0;
}

/* An exception cannot pass a probed return (bpf/limits.bpf.h). Where calls that may fail cannot be
 * left out one by one, functions that throw are left out altogether, and that is told. */
static int spare_throwers(const struct tracer *tracer, pid_t pid, struct plan *plan,
			  const struct object_plan *object, bool *verified)
{
	size_t nr = 0;

	if (tracer->may_throw && fails_with_kernel(pid, object))
		return 0;
	for (size_t i = 0; i < object->nr_probes; i++) {
		if (!object->probes[i].call->throws)
			continue;
		verified[i] = false;
		nr++;
	}
	return nr ? plan_add_blind_spot(
			    plan,
			    "C++ allocations by operator new of %s are not watched: it "
			    "throws when it fails, and an exception cannot pass a probe "
			    "on its return (calls that may fail can be told apart with "
			    "session probes, without strict overcommit, for jemalloc, mimalloc "
			    "and tcmalloc without a limit of its own)",
			    object->path)
		  : 0;
}

/* Attaches the verified places of each sort. */
static int attach_sorts(struct tracer *tracer, const struct object_plan *object,
			const bool *verified, struct attachment *attachment)
{
	int error = 0;

	for (enum sort sort = 0; !error && sort < SORT_MAX; sort++) {
		struct places places __attribute__((cleanup(places_done))) = { 0 };

		error = places_collect(object, verified, sort, &places);
		if (error)
			break;
		memcpy(attachment->offsets + attachment->nr_offsets, places.offsets,
		       places.nr * sizeof(*places.offsets));
		attachment->nr_offsets += places.nr;
		error = attach_sort(tracer, attachment, sort, &places);
	}
	return error;
}

/* What is attached already only has its blind spots told again. */
static int attach_object(struct tracer *tracer, pid_t pid, const struct verifier *verifier,
			 struct plan *plan, const struct object_plan *object)
{
	struct attachment attachment __attribute__((cleanup(attachment_done))) = { 0 };
	bool verified[PLACES_MAX];
	int error;

	if (object->nr_probes > ARRAY_SIZE(verified))
		return -E2BIG;
	error = verify_places(verifier, plan, object, verified);
	if (!error)
		error = spare_throwers(tracer, pid, plan, object, verified);
	if (error || tracer_find(tracer, pid, object->dev, object->inode))
		return error;
	error = attachment_begin(pid, object, &attachment);
	if (!error)
		error = attach_sorts(tracer, object, verified, &attachment);
	if (!error)
		error = tracer_keep(tracer, &attachment);
	if (!error)
		attachment = (struct attachment){ 0 };
	return error;
}

static int attach_objects(struct tracer *tracer, pid_t pid, const struct verifier *verifier,
			  struct plan *plan, struct error *error)
{
	int code = 0;

	for (size_t i = 0; !code && i < plan->nr_objects; i++) {
		const struct object_plan *object = &plan->objects[i];

		code = attach_object(tracer, pid, verifier, plan, object);
		if (code)
			error_set(error, code, "cannot attach to %s in PID %d: %s", object->path,
				  pid, strerror(-code));
	}
	return code;
}

static int attach_all(struct tracer *tracer, pid_t pid, const struct maps *maps, struct plan *plan,
		      struct error *error)
{
	struct verifier verifier __attribute__((cleanup(verifier_done))) = { .memory_fd = -1 };
	int code = verifier_open(pid, maps, &verifier);

	if (code)
		return error_set(error, code, "cannot read the memory of PID %d: %s", pid,
				 strerror(-code));
	code = attach_objects(tracer, pid, &verifier, plan, error);
	if (!code)
		code = loader_attach(tracer, pid, &verifier);
	if (code)
		return error_set(error, code, "cannot watch the dynamic linker of PID %d: %s", pid,
				 strerror(-code));
	return 0;
}

int tracer_attach(struct tracer *tracer, pid_t pid, struct plan *plan, struct error *error)
{
	struct maps maps __attribute__((cleanup(maps_done))) = { 0 };
	__u32 tgid = (__u32)pid, one = 1;
	int code = maps_read(pid, &maps);

	if (code)
		return error_set(error, code, "cannot read the mappings of PID %d: %s", pid,
				 strerror(-code));
	if (bpf_map_update_elem(bpf_map__fd(tracer->skeleton->maps.targets), &tgid, &one, BPF_ANY))
		return error_set(error, -errno, "too many processes are watched: %s",
				 strerror(errno));
	if (tracer->unwinder)
		code = MIN(unwinder_refresh(tracer->unwinder, pid), 0);
	if (code)
		return error_set(error, code, "cannot prepare unwinding of PID %d: %s", pid,
				 strerror(-code));
	return attach_all(tracer, pid, &maps, plan, error);
}
