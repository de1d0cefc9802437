/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What one file offers to probe, whatever process maps it; private to probe/.
 */
#ifndef PROBE_DISCOVER_H
#define PROBE_DISCOVER_H

#include "probe/probe.h"

/* A function that should be probed and can not be. */
struct unplaced {
	const struct call *call;
	char *symbol; /* owned */
	int error;    /* of placement_find() */
};

/* A language runtime that carves the objects of its programs out of mappings of its own. */
struct runtime_heap {
	const char *symbol;  /* a function that it exports */
	const char *objects; /* what lies there */
	const char
		*variable; /* NAME=VALUE in the environment with which it calls malloc; or NULL */
};

struct discovery {
	bool is_go;
	bool has_c;                     /* a Go program that C code is part of */
	const char *unknown_timers;     /* of Go: why they can not be watched; NULL: they can */
	const char *unknown_threads;    /* ... those that the Go runtime makes */
	const char *unknown_scheduler;  /* ... goroutines being made, and waiting */
	bool replaces_malloc;           /* defines plain malloc and is not the C library */
	const char *allocator;          /* of the plain names; NULL: it does not define malloc */
	const char *prefixed_allocator; /* of the prefixed ones; NULL: none */
	const char *nameless_allocator; /* linked in without its symbols; NULL: none is known */
	const struct runtime_heap *runtime_heap; /* NULL: none is known */
	struct site_probe *probes;
	size_t nr_probes, capacity;
	struct unplaced *unplaced;
	size_t nr_unplaced, unplaced_capacity;
	struct code_range *releases; /* functions of the allocator that release blocks */
	size_t nr_releases, releases_capacity;
};

/* Looks through the file @image. 0 or -ENOMEM. */
int discover(struct image *image, struct discovery *ret_discovery);
void discovery_done(struct discovery *discovery);
/* Adds a probe with the symbol @symbol, or a function that can not be probed. 0 or -ENOMEM. */
int discovery_add_probe(struct discovery *discovery, const char *symbol,
			const struct site_probe *found);
int discovery_add_unplaced(struct discovery *discovery, const struct call *call, const char *symbol,
			   int error);

/* gocalls.c: adds what the Go runtime in @image offers. 0 or -ENOMEM. */
int discover_go(struct image *image, struct discovery *discovery);

/* plan_cache.c: what the file at @path offers; *@ret_discovery is the cache's, valid until its
 * next use. -errno: it can not be read. */
int cache_discover(struct plan_cache *cache, const char *path,
		   const struct discovery **ret_discovery);

#endif
