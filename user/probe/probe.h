/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What to probe and how: the catalogue of allocator functions, the plan for one process, loading
 * and attaching the BPF programs.
 */
#ifndef PROBE_PROBE_H
#define PROBE_PROBE_H

#include "base/base.h"
#include "elf/elf.h"
#include "model.h"
#include "proc/proc.h"

struct leakbpf; /* the skeleton */

/* --- catalogue.c: which functions open and close --- */
struct call {
	const char *name; /* symbol; a prefix of the allocator may stand before it */
	enum lb_call call;
	int8_t a, b, c;    /* argument numbers of the cookie's a, b, c; -1: none */
	bool multiply;     /* the size is a product: LB_COOKIE_MULTIPLY */
	bool needs_return; /* what it did is known only when it returns */
	bool throws;       /* a failure is thrown: LB_COOKIE_THROWS */
	bool checks_first; /* may only check its arguments and go on to another one */
	bool of_go;        /* of the Go runtime: the cookie is made by gocalls.c */
	bool closes;       /* of Go: closes something */
	enum lb_kind kind;
};

/* The table; *@ret_nr rows. */
const struct call *catalogue_calls(size_t *ret_nr);
/* The call that a function named @symbol is; NULL: none. When the name has the prefix of an
 * allocator, *@ret_prefix is that and *@ret_allocator its owner, else both are NULL. */
const struct call *catalogue_find(const char *symbol, const char **ret_prefix,
				  const char **ret_allocator);
/* Bit mask of the arguments that must be readable at the probe. */
unsigned int call_args(const struct call *call);
/* The attach cookie of @call probed at @placement. */
uint64_t call_cookie(const struct call *call, const struct placement *placement);

/* --- plan.c, discover.c: where --- */
struct site_probe {
	const struct call *call;
	char *symbol; /* as found, with prefix; owned */
	struct placement placement;
	uint64_t cookie;
};

/* The code of a function in its file. */
struct code_range {
	uint64_t offset, bytes;
};

/* All probes of one file. */
struct object_plan {
	char *path;      /* how the target names it; owned */
	char *open_path; /* how the observer opens it; owned */
	uint64_t dev, inode;
	const char *allocator; /* "glibc", "musl", "jemalloc", "tcmalloc", "mimalloc", "custom";
				  NULL: none, only mappings are probed */
	struct site_probe *probes;
	size_t nr_probes;
	size_t capacity;
	struct code_range *releases; /* functions that release blocks, probed or not; owned */
	size_t nr_releases;
};

#define PLAN_MAX_ALLOCATORS 8

struct plan {
	struct object_plan *objects;
	size_t nr_objects;
	size_t capacity;
	const char
		*allocators[PLAN_MAX_ALLOCATORS]; /* names of those in use, the C library's last */
	size_t nr_allocators;
	char **blind_spots; /* sentences; owned */
	size_t nr_blind_spots;
};

/* What is known of files seen before, so that a library that many processes share is decoded only
 * once. A file is the same when device, inode, size and time of change are. */
struct plan_cache;
struct plan_cache *plan_cache_new(void); /* NULL: out of memory */
struct plan_cache *plan_cache_free(struct plan_cache *cache);

/*
 * Finds every allocator that process @pid uses and where to probe it, for the kinds of the bit
 * mask @kinds (1 << enum lb_kind). Whatever can not be seen becomes a sentence in blind_spots.
 *
 * The C library is probed even where another allocator has taken its place (then it is simply not
 * called), but named in allocators only when nothing else defines plain malloc.
 */
int plan_build(struct plan_cache *cache, pid_t pid, const struct maps *maps, unsigned int kinds,
	       struct plan *ret_plan, struct error *error);
/* Adds a sentence about what cannot be seen. 0 or -ENOMEM. */
int plan_add_blind_spot(struct plan *plan, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void plan_done(struct plan *plan);

/* --- attach.c, tracer.c --- */
enum attach_mode {
	ATTACH_AUTO,    /* the best that the self-test proves */
	ATTACH_SESSION, /* uprobe.multi session: one link for entry and return */
	ATTACH_MULTI,   /* uprobe.multi, entry and return apart */
	ATTACH_PERF,    /* perf-event uprobes, one per place */
};

struct tracer_options {
	enum attach_mode mode;
	uint32_t max_live;        /* 0: default */
	uint32_t max_sites;       /* 0: default */
	bool follow;              /* children, too */
	bool frame_pointers_only; /* do not unwind by tables */
};

struct tracer;

/* prepare and load: opens the skeleton, sizes the maps, chooses the mode, loads the programs. */
int tracer_open(const struct tracer_options *options, struct tracer **ret_tracer,
		struct error *error);
/* Adds process @pid with its plan: attaches what is not attached yet. Cheap when nothing is new,
 * so it is also called after the process has loaded a library. What could not be attached is
 * added to the blind spots of the plan. */
int tracer_attach(struct tracer *tracer, pid_t pid, struct plan *plan, struct error *error);
/* Looks after what walks met that was not known, such as code mapped meanwhile. Call it every
 * 100 ms. */
void tracer_tick(struct tracer *tracer);
/* What the unwind tables cost; all zero when there are none. */
void tracer_unwind_totals(const struct tracer *tracer, struct unwind_totals *ret_totals);
/* Counting starts. */
void tracer_activate(struct tracer *tracer);
/* Removes the probes of process @pid. */
void tracer_detach(struct tracer *tracer, pid_t pid);
/* Removes the breakpoints that forked children inherited and would go on paying for. */
int tracer_clean_children(struct tracer *tracer);
/* The descriptor to poll for process events, and reading them: calls @handle for each. */
int tracer_event_fd(const struct tracer *tracer);
int tracer_read_events(struct tracer *tracer, void (*handle)(const struct lb_event *, void *),
		       void *context);
struct leakbpf *tracer_skeleton(struct tracer *tracer);
/* The mode in use, and its name for people. */
enum attach_mode tracer_mode(const struct tracer *tracer);
const char *attach_mode_name(enum attach_mode mode);
struct tracer *tracer_free(struct tracer *tracer);

#endif
