/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The catalogue: every function known to open or close heap blocks and mappings.
 *
 * Names are those of the C library, the C++ operators (Itanium ABI, 64-bit size_t), and what the
 * allocators add: jemalloc 5.3 (jemalloc.h: *allocx), gperftools 2.10 (tcmalloc.h: tc_*), mimalloc
 * 2.0 (mimalloc.h: mi_*). Left out on purpose: calls that resize in place without moving
 * (xallocx, mi_expand), so the old size stays on the books; those that release a whole arena at
 * once (mi_heap_destroy, mallctl arena.*.reset); and those whose size is not an argument
 * (mi_strdup).
 */
#include <stdlib.h>
#include <string.h>

#include "probe/probe.h"

#define NONE (-1)

/* A call with its three arguments, and the flags that it has. */
#define CALL(symbol, verb, resource, first, second, third, ...)                                    \
	{ .name = (symbol),                                                                        \
	  .call = (verb),                                                                          \
	  .kind = (resource),                                                                      \
	  .a = (first),                                                                            \
	  .b = (second),                                                                           \
	  .c = (third),                                                                            \
	  __VA_ARGS__ }
#define RETURNS .needs_return = true
#define PRODUCT .multiply = true

#define ALLOC(symbol, size) CALL(symbol, LB_CALL_ALLOC, LB_KIND_HEAP, size, NONE, NONE, RETURNS)
/* The same, where a failure is thrown as an exception. */
#define ALLOC_OR_THROW(symbol, size)                                                               \
	CALL(symbol, LB_CALL_ALLOC, LB_KIND_HEAP, size, NONE, NONE, RETURNS, .throws = true)
#define ALLOC_ARRAY(symbol, count, size)                                                           \
	CALL(symbol, LB_CALL_ALLOC, LB_KIND_HEAP, count, size, NONE, RETURNS, PRODUCT)
#define REALLOC(symbol, old, size)                                                                 \
	CALL(symbol, LB_CALL_REALLOC, LB_KIND_HEAP, old, size, NONE, RETURNS)
#define REALLOC_ARRAY(symbol, old, count, size)                                                    \
	CALL(symbol, LB_CALL_REALLOC, LB_KIND_HEAP, old, count, size, RETURNS, PRODUCT)
/* The same, where it may only check for overflow and go on to realloc. */
#define REALLOC_CHECKED(symbol, old, count, size)                                                  \
	CALL(symbol, LB_CALL_REALLOC, LB_KIND_HEAP, old, count, size, RETURNS, PRODUCT,            \
	     .checks_first = true)
#define MEMALIGN(symbol) CALL(symbol, LB_CALL_MEMALIGN, LB_KIND_HEAP, 0, 2, NONE, RETURNS)
#define FREE(symbol)     CALL(symbol, LB_CALL_FREE, LB_KIND_HEAP, 0, NONE, NONE, .needs_return = false)
#define MAPPING(symbol, verb, first, second, third)                                                \
	CALL(symbol, verb, LB_KIND_MMAP, first, second, third, RETURNS)

/* Sorted by name (strcmp) for binary search. */
/* clang-format off */
static const struct call calls[] = {
	FREE("_ZdaPv"),
	FREE("_ZdaPvRKSt9nothrow_t"),
	FREE("_ZdaPvSt11align_val_t"),
	FREE("_ZdaPvSt11align_val_tRKSt9nothrow_t"),
	FREE("_ZdaPvm"),
	FREE("_ZdaPvmSt11align_val_t"),
	FREE("_ZdlPv"),
	FREE("_ZdlPvRKSt9nothrow_t"),
	FREE("_ZdlPvSt11align_val_t"),
	FREE("_ZdlPvSt11align_val_tRKSt9nothrow_t"),
	FREE("_ZdlPvm"),
	FREE("_ZdlPvmSt11align_val_t"),
	ALLOC_OR_THROW("_Znam", 0),
	ALLOC("_ZnamRKSt9nothrow_t", 0),
	ALLOC_OR_THROW("_ZnamSt11align_val_t", 0),
	ALLOC("_ZnamSt11align_val_tRKSt9nothrow_t", 0),
	ALLOC_OR_THROW("_Znwm", 0),
	ALLOC("_ZnwmRKSt9nothrow_t", 0),
	ALLOC_OR_THROW("_ZnwmSt11align_val_t", 0),
	ALLOC("_ZnwmSt11align_val_tRKSt9nothrow_t", 0),
	ALLOC("aligned_alloc", 1),
	MAPPING("brk", LB_CALL_BRK, -1, -1, -1),
	ALLOC_ARRAY("calloc", 0, 1),
	FREE("cfree"),
	FREE("dallocx"),
	FREE("free"),
	FREE("free_aligned_sized"),
	FREE("free_sized"),
	ALLOC("malloc", 0),
	ALLOC("mallocx", 0),
	ALLOC("memalign", 1),
	ALLOC_ARRAY("mi_calloc_aligned", 0, 1),
	ALLOC_ARRAY("mi_calloc_aligned_at", 0, 1),
	FREE("mi_free_aligned"),
	FREE("mi_free_size"),
	FREE("mi_free_size_aligned"),
	ALLOC("mi_heap_alloc_new", 1),
	ALLOC_ARRAY("mi_heap_alloc_new_n", 1, 2),
	ALLOC_ARRAY("mi_heap_calloc", 1, 2),
	ALLOC_ARRAY("mi_heap_calloc_aligned", 1, 2),
	ALLOC_ARRAY("mi_heap_calloc_aligned_at", 1, 2),
	ALLOC("mi_heap_malloc", 1),
	ALLOC("mi_heap_malloc_aligned", 1),
	ALLOC("mi_heap_malloc_aligned_at", 1),
	ALLOC("mi_heap_malloc_small", 1),
	ALLOC_ARRAY("mi_heap_mallocn", 1, 2),
	REALLOC("mi_heap_realloc", 1, 2),
	REALLOC("mi_heap_realloc_aligned", 1, 2),
	REALLOC("mi_heap_realloc_aligned_at", 1, 2),
	REALLOC_ARRAY("mi_heap_reallocn", 1, 2, 3),
	REALLOC_ARRAY("mi_heap_recalloc", 1, 2, 3),
	REALLOC_ARRAY("mi_heap_recalloc_aligned", 1, 2, 3),
	REALLOC_ARRAY("mi_heap_recalloc_aligned_at", 1, 2, 3),
	REALLOC("mi_heap_rezalloc", 1, 2),
	REALLOC("mi_heap_rezalloc_aligned", 1, 2),
	REALLOC("mi_heap_rezalloc_aligned_at", 1, 2),
	ALLOC("mi_heap_zalloc", 1),
	ALLOC("mi_heap_zalloc_aligned", 1),
	ALLOC("mi_heap_zalloc_aligned_at", 1),
	ALLOC("mi_malloc_aligned", 0),
	ALLOC("mi_malloc_aligned_at", 0),
	ALLOC("mi_malloc_small", 0),
	ALLOC_ARRAY("mi_mallocn", 0, 1),
	ALLOC_OR_THROW("mi_new", 0),
	ALLOC_OR_THROW("mi_new_aligned", 0),
	ALLOC("mi_new_aligned_nothrow", 0),
	ALLOC_ARRAY("mi_new_n", 0, 1),
	ALLOC("mi_new_nothrow", 0),
	REALLOC("mi_new_realloc", 0, 1),
	REALLOC_ARRAY("mi_new_reallocn", 0, 1, 2),
	REALLOC("mi_realloc_aligned", 0, 1),
	REALLOC("mi_realloc_aligned_at", 0, 1),
	REALLOC_ARRAY("mi_reallocn", 0, 1, 2),
	REALLOC_ARRAY("mi_recalloc", 0, 1, 2),
	REALLOC_ARRAY("mi_recalloc_aligned", 0, 1, 2),
	REALLOC_ARRAY("mi_recalloc_aligned_at", 0, 1, 2),
	REALLOC("mi_rezalloc", 0, 1),
	REALLOC("mi_rezalloc_aligned", 0, 1),
	REALLOC("mi_rezalloc_aligned_at", 0, 1),
	ALLOC("mi_zalloc", 0),
	ALLOC("mi_zalloc_aligned", 0),
	ALLOC("mi_zalloc_aligned_at", 0),
	ALLOC("mi_zalloc_small", 0),
	MAPPING("mmap", LB_CALL_MMAP, 1, 0, 3),
	MAPPING("mmap64", LB_CALL_MMAP, 1, 0, 3),
	MAPPING("mremap", LB_CALL_MREMAP, 0, 1, 2),
	MAPPING("munmap", LB_CALL_MUNMAP, 0, 1, -1),
	MEMALIGN("posix_memalign"),
	MAPPING("pthread_create", LB_CALL_SHELTER, -1, -1, -1),
	ALLOC("pvalloc", 0),
	REALLOC("rallocx", 0, 1),
	REALLOC("realloc", 0, 1),
	REALLOC_CHECKED("reallocarray", 0, 1, 2),
	MAPPING("sbrk", LB_CALL_BRK, -1, -1, -1),
	FREE("sdallocx"),
	FREE("tc_delete"),
	FREE("tc_delete_aligned"),
	FREE("tc_delete_aligned_nothrow"),
	FREE("tc_delete_nothrow"),
	FREE("tc_delete_sized"),
	FREE("tc_delete_sized_aligned"),
	FREE("tc_deletearray"),
	FREE("tc_deletearray_aligned"),
	FREE("tc_deletearray_aligned_nothrow"),
	FREE("tc_deletearray_nothrow"),
	FREE("tc_deletearray_sized"),
	FREE("tc_deletearray_sized_aligned"),
	ALLOC("tc_malloc_skip_new_handler", 0),
	ALLOC_OR_THROW("tc_new", 0),
	ALLOC_OR_THROW("tc_new_aligned", 0),
	ALLOC("tc_new_aligned_nothrow", 0),
	ALLOC("tc_new_nothrow", 0),
	ALLOC_OR_THROW("tc_newarray", 0),
	ALLOC_OR_THROW("tc_newarray_aligned", 0),
	ALLOC("tc_newarray_aligned_nothrow", 0),
	ALLOC("tc_newarray_nothrow", 0),
	MAPPING("thrd_create", LB_CALL_SHELTER, -1, -1, -1),
	ALLOC("valloc", 0),
};
/* clang-format on */

/* The prefixes that allocators are built with, and whose they are. */
static const struct {
	const char *prefix;
	const char *allocator;
} prefixes[] = {
	{ "je_", "jemalloc" },    /* --with-jemalloc-prefix, as redis and others vendor it */
	{ "_rjem_", "jemalloc" }, /* Rust: jemallocator, tikv-jemallocator */
	{ "tc_", "tcmalloc" },
	{ "mi_", "mimalloc" },
};

const struct call *catalogue_calls(size_t *ret_nr)
{
	*ret_nr = ARRAY_SIZE(calls);
	return calls;
}

static int compare_name(const void *name, const void *call)
{
	return strcmp(name, ((const struct call *)call)->name);
}

static const struct call *find_exact(const char *name)
{
	return bsearch(name, calls, ARRAY_SIZE(calls), sizeof(calls[0]), compare_name);
}

/* May stand behind a prefix: functions of C that deal with blocks. */
static bool takes_prefix(const struct call *call)
{
	return call->kind == LB_KIND_HEAP && call->name[0] != '_' &&
	       strncmp(call->name, "tc_", 3) != 0 && strncmp(call->name, "mi_", 3) != 0;
}

const struct call *catalogue_find(const char *symbol, const char **ret_prefix,
				  const char **ret_allocator)
{
	const struct call *call = find_exact(symbol);

	*ret_prefix = NULL;
	*ret_allocator = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t len = strlen(prefixes[i].prefix);

		if (strncmp(symbol, prefixes[i].prefix, len) != 0)
			continue;
		if (!call) {
			call = find_exact(symbol + len);
			if (call && !takes_prefix(call))
				call = NULL;
		}
		*ret_prefix = prefixes[i].prefix;
		*ret_allocator = prefixes[i].allocator;
	}
	return call;
}

unsigned int call_args(const struct call *call)
{
	const int8_t used[] = { call->a, call->b, call->c };
	unsigned int args = 0;

	for (size_t i = 0; i < ARRAY_SIZE(used); i++)
		if (used[i] >= 0)
			args |= 1U << used[i];
	return args;
}

/* The bits of one argument in a cookie. */
static uint64_t cookie_arg(int8_t arg, const struct placement *placement, unsigned int shift)
{
	return arg < 0 ? LB_REG_NONE : (uint64_t)placement->arg_reg[arg] << shift;
}

uint64_t call_cookie(const struct call *call, const struct placement *placement)
{
	return (uint64_t)call->call | cookie_arg(call->a, placement, LB_COOKIE_A_SHIFT) |
	       cookie_arg(call->b, placement, LB_COOKIE_B_SHIFT) |
	       cookie_arg(call->c, placement, LB_COOKIE_C_SHIFT) |
	       (call->multiply ? LB_COOKIE_MULTIPLY : 0) | (call->throws ? LB_COOKIE_THROWS : 0) |
	       (uint64_t)placement->sp_delta << LB_COOKIE_DELTA_SHIFT;
}
