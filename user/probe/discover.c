/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which functions of one file to probe, and where.
 *
 * Candidates are the symbols of the catalogue. A group of names (plain, or with one prefix) counts
 * only when it holds both malloc and free: a program may call anything of its own "free". C++
 * operators count only beside such a group, never in a plain libstdc++, whose operators call
 * malloc. One function is probed once, and one that does nothing but go on to another of the same
 * kind is not probed: it is counted there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "probe/discover.h"

/* Symbols by which implementations are known; the first one that is found names the allocator. */
static const struct mark {
	const char *symbol;
	const char *allocator;
} marks[] = {
	{ "mi_version", "mimalloc" },             /* mimalloc.h */
	{ "tc_version", "tcmalloc" },             /* gperftools tcmalloc.h */
	{ "TCMallocInternalMalloc", "tcmalloc" }, /* google/tcmalloc libc_override.h */
	{ "mallctl", "jemalloc" },                /* jemalloc.h */
	{ "__libc_malloc_impl", "musl" },         /* musl 1.2 src/malloc/mallocng/glue.h */
	{ "__simple_malloc", "musl" },            /* musl src/malloc/lite_malloc.c */
	{ "__dls2b", "musl" },                    /* musl ldso/dynlink.c */
	{ "gnu_get_libc_version", "glibc" },      /* glibc csu/version.c */
	{ "_int_malloc", "glibc" },               /* glibc malloc/malloc.c, in static programs */
};

/* How allocators begin what they complain about: by that they are known without any symbol. */
static const char *const complaints[] = {
	"<jemalloc>: ",                /* jemalloc 5.3 src/pages.c, os_pages_unmap */
	"mimalloc: error: ",           /* mimalloc 2.0 src/options.c, _mi_error_message */
	"tcmalloc: allocation failed", /* gperftools 2.10 src/tcmalloc.cc */
};
static const char *const complainers[] = { "jemalloc", "mimalloc", "tcmalloc" };
_Static_assert(ARRAY_SIZE(complaints) == ARRAY_SIZE(complainers), "one each");

static const struct runtime_heap runtime_heaps[] = {
	/* CPython 3.6-3.13, Objects/obmalloc.c; also with the values that begin so (malloc_debug) */
	{ "PyObject_Malloc", "Python's objects of up to 512 bytes", "PYTHONMALLOC=malloc" },
	/* PHP 7-8, Zend/zend_alloc.c */
	{ "zend_mm_gc", "what PHP scripts allocate", "USE_ZEND_ALLOC=0" },
	{ "rb_newobj_of", "Ruby's objects", NULL },                    /* Ruby 2-3, gc.c */
	{ "_ZN2v87Isolate8AllocateEv", "JavaScript's objects", NULL }, /* V8, v8-isolate.h */
	{ "JNI_CreateJavaVM", "Java's objects", NULL },                /* jni.h */
	{ "coreclr_initialize", "the objects of .NET", NULL },         /* coreclrhost.h */
};

#define MAX_CANDIDATES 4096 /* of one file; real ones have some hundred */

struct candidate {
	const struct call *call;
	const char *symbol; /* the image's */
	const char *prefix;
	const char *prefix_allocator;
	uint64_t vaddr, size;
	bool is_global;
	bool accepted;
};

struct gathering {
	struct candidate *candidates;
	size_t nr_candidates, capacity;
	bool marks[ARRAY_SIZE(marks)];
	bool calls_go;
	const struct runtime_heap *runtime_heap;
};

static void gathering_done(struct gathering *gathering)
{
	free(gathering->candidates);
}

#define __cleanup_gathering __attribute__((cleanup(gathering_done)))

/* Visitor: keeps the symbols that the catalogue or the marks know. */
static int gather(const struct symbol *symbol, void *context)
{
	struct gathering *gathering = context;
	struct candidate candidate = {
		.symbol = symbol->name,
		.vaddr = symbol->vaddr,
		.size = symbol->size,
		.is_global = symbol->is_global,
	};

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (strcmp(symbol->name, marks[i].symbol) == 0)
			gathering->marks[i] = true;
	for (size_t i = 0; symbol->is_global && i < ARRAY_SIZE(runtime_heaps); i++)
		if (strcmp(symbol->name, runtime_heaps[i].symbol) == 0)
			gathering->runtime_heap = &runtime_heaps[i];
	/* Go src/runtime/cgo/asm_amd64.s (1.23), likewise for other processors */
	if (strcmp(symbol->name, "crosscall2") == 0)
		gathering->calls_go = true;
	candidate.call =
		catalogue_find(symbol->name, &candidate.prefix, &candidate.prefix_allocator);
	if (!candidate.call)
		return 0;
	if (gathering->nr_candidates == MAX_CANDIDATES)
		return 1;
	if (vec_reserve((void **)&gathering->candidates, &gathering->capacity,
			gathering->nr_candidates + 1, sizeof(candidate)) < 0)
		return -ENOMEM;
	gathering->candidates[gathering->nr_candidates++] = candidate;
	return 0;
}

/* Does the group with @prefix (NULL: the plain names) define the call @name? */
static bool group_has(const struct gathering *gathering, const char *prefix, const char *name)
{
	for (size_t i = 0; i < gathering->nr_candidates; i++) {
		const struct candidate *candidate = &gathering->candidates[i];

		if (candidate->prefix == prefix && strcmp(candidate->call->name, name) == 0 &&
		    (prefix || candidate->is_global))
			return true;
	}
	return false;
}

static bool group_allocates(const struct gathering *gathering, const char *prefix)
{
	return group_has(gathering, prefix, "malloc") && group_has(gathering, prefix, "free");
}

/* Names the allocator behind the plain names. */
static const char *plain_allocator(const struct gathering *gathering)
{
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (gathering->marks[i])
			return marks[i].allocator;
	return "custom";
}

static const char *prefixed_allocator(const struct gathering *gathering)
{
	for (size_t i = 0; i < gathering->nr_candidates; i++) {
		const struct candidate *candidate = &gathering->candidates[i];

		if (candidate->prefix && group_allocates(gathering, candidate->prefix))
			return candidate->prefix_allocator;
	}
	return NULL;
}

static bool is_libc_name(const char *allocator)
{
	return strcmp(allocator, "glibc") == 0 || strcmp(allocator, "musl") == 0;
}

/* May the candidate be probed in this file? @maps_memory: its mmap is the one that programs call,
 * because it is a C library, a static program or an allocator that replaces it (tcmalloc). */
static bool is_accepted(const struct gathering *gathering, const struct candidate *candidate,
			const struct discovery *discovery, bool maps_memory)
{
	if (candidate->call->kind == LB_KIND_MMAP)
		return candidate->is_global && maps_memory;
	if (candidate->prefix)
		return group_allocates(gathering, candidate->prefix);
	if (strncmp(candidate->symbol, "_Z", 2) == 0)
		return discovery->allocator || discovery->prefixed_allocator;
	return candidate->is_global && discovery->allocator;
}

/* Which of several names of one function to show: C before C++ before prefixed, short ones first. */
static int name_rank(const struct candidate *candidate)
{
	if (candidate->prefix)
		return 2;
	return candidate->symbol[0] == '_' ? 1 : 0;
}

static int compare_candidates(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;

	if (a->vaddr != b->vaddr)
		return a->vaddr < b->vaddr ? -1 : 1;
	if (name_rank(a) != name_rank(b))
		return name_rank(a) - name_rank(b);
	if (strlen(a->symbol) != strlen(b->symbol))
		return strlen(a->symbol) < strlen(b->symbol) ? -1 : 1;
	return strcmp(a->symbol, b->symbol);
}

/* Keeps what is accepted: one candidate for each function, sorted by address. */
static void narrow(struct gathering *gathering, const struct discovery *discovery, bool maps_memory)
{
	struct candidate *candidates = gathering->candidates;
	size_t kept = 0, unique = 0;

	for (size_t i = 0; i < gathering->nr_candidates; i++)
		candidates[i].accepted =
			is_accepted(gathering, &candidates[i], discovery, maps_memory);
	for (size_t i = 0; i < gathering->nr_candidates; i++)
		if (candidates[i].accepted)
			candidates[kept++] = candidates[i];
	if (kept > 1)
		qsort(candidates, kept, sizeof(*candidates), compare_candidates);
	for (size_t i = 0; i < kept; i++)
		if (i == 0 || candidates[i].vaddr != candidates[unique - 1].vaddr)
			candidates[unique++] = candidates[i];
	gathering->nr_candidates = unique;
}

/* Is @entry a function of the same kind as @candidate, so that calls are counted there? */
static bool is_counted_at(const struct gathering *gathering, const struct candidate *candidate,
			  const struct entry *entry)
{
	const char *prefix, *allocator;
	const struct call *call = NULL;

	if (entry->plt_name)
		call = catalogue_find(entry->plt_name, &prefix, &allocator);
	for (size_t i = 0; !call && i < gathering->nr_candidates; i++)
		if (gathering->candidates[i].vaddr == entry->vaddr)
			call = gathering->candidates[i].call;
	return call && entry->vaddr != candidate->vaddr && call->call == candidate->call->call;
}

/* Does the function only jump, or on every path go on first, to one that is probed? */
static bool is_counted_elsewhere(struct image *image, const struct gathering *gathering,
				 const struct candidate *candidate)
{
	struct entry entry;

	if (placement_resolve(image, candidate->vaddr, &entry) == 0 &&
	    is_counted_at(gathering, candidate, &entry))
		return true;
	return placement_leads_to(image, candidate->vaddr, candidate->call->checks_first, &entry) ==
		       0 &&
	       (is_counted_at(gathering, candidate, &entry) ||
		(placement_resolve(image, entry.vaddr, &entry) == 0 &&
		 is_counted_at(gathering, candidate, &entry)));
}

int discovery_add_unplaced(struct discovery *discovery, const struct call *call, const char *symbol,
			   int error)
{
	struct unplaced unplaced = { .call = call, .error = error };

	if (vec_reserve((void **)&discovery->unplaced, &discovery->unplaced_capacity,
			discovery->nr_unplaced + 1, sizeof(unplaced)) < 0)
		return -ENOMEM;
	unplaced.symbol = strdup(symbol);
	if (!unplaced.symbol)
		return -ENOMEM;
	discovery->unplaced[discovery->nr_unplaced++] = unplaced;
	return 0;
}

int discovery_add_probe(struct discovery *discovery, const char *symbol,
			const struct site_probe *found)
{
	struct site_probe probe = *found;

	if (vec_reserve((void **)&discovery->probes, &discovery->capacity, discovery->nr_probes + 1,
			sizeof(probe)) < 0)
		return -ENOMEM;
	probe.symbol = strdup(symbol);
	if (!probe.symbol)
		return -ENOMEM;
	discovery->probes[discovery->nr_probes++] = probe;
	return 0;
}

/*
 * placement_find(), but refuses Go code and what jumps there: a probe on the return kills the
 * process, because the Go runtime moves stacks and reads return addresses. C functions in the same
 * file are as safe as those of a library: they run on stacks that Go neither moves nor looks at.
 */
static int find_safe_place(struct image *image, const struct candidate *candidate,
			   struct placement *ret_placement)
{
	struct entry entry = { .vaddr = candidate->vaddr };

	placement_resolve(image, candidate->vaddr, &entry);
	if (image_may_be_go_code(image, candidate->vaddr) ||
	    image_may_be_go_code(image, entry.vaddr))
		return -EPERM;
	return placement_find(image, candidate->vaddr, candidate->size, call_args(candidate->call),
			      candidate->call->needs_return, ret_placement);
}

/* In units of a cookie. */
static uint64_t code_units(uint64_t bytes)
{
	return MIN(bytes >> LB_COOKIE_CODE_BITS, LB_COOKIE_CODE_MAX);
}

/* Where the callers of munmap are that belong to the C library. */
static uint64_t library_cookie(const struct image *image, const struct placement *placement)
{
	uint64_t before, behind;

	if (!image_code_around(image, placement->vaddr, &before, &behind))
		return 0;
	return code_units(before) << LB_COOKIE_BEFORE_SHIFT | code_units(behind)
								      << LB_COOKIE_BEHIND_SHIFT;
}

static int place(struct image *image, const struct candidate *candidate,
		 struct discovery *discovery)
{
	struct site_probe probe = { .call = candidate->call };
	int err = find_safe_place(image, candidate, &probe.placement);

	if (err == -ENOMEM)
		return err;
	if (err < 0)
		return discovery_add_unplaced(discovery, candidate->call, candidate->symbol, err);
	probe.cookie = call_cookie(candidate->call, &probe.placement);
	if (candidate->call->call == LB_CALL_MUNMAP && discovery->allocator &&
	    is_libc_name(discovery->allocator) && !image_is_static(image))
		probe.cookie |= library_cookie(image, &probe.placement);
	return discovery_add_probe(discovery, candidate->symbol, &probe);
}

/* Notes where the functions that release blocks are: what is called inside them is the allocator's.
 * 0 or -ENOMEM. */
static int find_releases(const struct image *image, const struct gathering *gathering,
			 struct discovery *discovery)
{
	for (size_t i = 0; i < gathering->nr_candidates; i++) {
		const struct candidate *candidate = &gathering->candidates[i];
		struct code_range range = { .bytes = candidate->size };

		if (candidate->call->call != LB_CALL_FREE ||
		    image_vaddr_to_offset(image, candidate->vaddr, &range.offset))
			continue;
		if (vec_reserve((void **)&discovery->releases, &discovery->releases_capacity,
				discovery->nr_releases + 1, sizeof(range)))
			return -ENOMEM;
		discovery->releases[discovery->nr_releases++] = range;
	}
	return 0;
}

/* -ENOMEM, or 0. */
static int find_nameless(const struct image *image, struct discovery *discovery)
{
	size_t found;
	int err;

	if (discovery->allocator || discovery->prefixed_allocator ||
	    (discovery->is_go && !discovery->has_c))
		return 0;
	err = image_find_constant(image, complaints, ARRAY_SIZE(complaints), &found);
	if (!err)
		discovery->nameless_allocator = complainers[found];
	return err == -ENOMEM ? err : 0;
}

/* discover() into @discovery, which the caller releases also on failure. */
static int discover_into(struct image *image, struct discovery *discovery)
{
	struct gathering gathering __cleanup_gathering = { 0 };
	int err = image_for_each_function(image, gather, &gathering);

	if (err < 0)
		return err;
	discovery->is_go = image_is_go(image);
	discovery->has_c = discovery->is_go && gathering.calls_go;
	discovery->runtime_heap = gathering.runtime_heap;
	if (group_allocates(&gathering, NULL))
		discovery->allocator = plain_allocator(&gathering);
	discovery->prefixed_allocator = prefixed_allocator(&gathering);
	discovery->replaces_malloc = discovery->allocator && !is_libc_name(discovery->allocator);
	err = find_nameless(image, discovery);
	if (err < 0)
		return err;
	narrow(&gathering, discovery, discovery->allocator || image_is_static(image));
	err = find_releases(image, &gathering, discovery);
	if (err < 0)
		return err;
	for (size_t i = 0; i < gathering.nr_candidates; i++) {
		if (is_counted_elsewhere(image, &gathering, &gathering.candidates[i]))
			continue;
		err = place(image, &gathering.candidates[i], discovery);
		if (err < 0)
			return err;
	}
	return discovery->is_go ? discover_go(image, discovery) : 0;
}

int discover(struct image *image, struct discovery *ret_discovery)
{
	struct discovery discovery = { 0 };
	int err = discover_into(image, &discovery);

	if (err < 0) {
		discovery_done(&discovery);
		return err;
	}
	*ret_discovery = discovery;
	return 0;
}

void discovery_done(struct discovery *discovery)
{
	for (size_t i = 0; i < discovery->nr_probes; i++)
		free(discovery->probes[i].symbol);
	for (size_t i = 0; i < discovery->nr_unplaced; i++)
		free(discovery->unplaced[i].symbol);
	free(discovery->probes);
	free(discovery->unplaced);
	free(discovery->releases);
}
