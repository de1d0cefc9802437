/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of allocator functions: its order, its look-up, and the cookies made from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "probe/probe.h"

static const struct call *find(const char *symbol)
{
	const char *prefix, *allocator;

	return catalogue_find(symbol, &prefix, &allocator);
}

static void test_sorted(void **state)
{
	size_t nr_calls;
	const struct call *calls = catalogue_calls(&nr_calls);

	(void)state;
	for (size_t i = 1; i < nr_calls; i++)
		assert_true(strcmp(calls[i - 1].name, calls[i].name) < 0);
	for (size_t i = 0; i < nr_calls; i++)
		assert_ptr_equal(find(calls[i].name), &calls[i]);
}

/* Every row says where its arguments are, as leakbpf.h defines a, b and c. */
static void test_arguments(void **state)
{
	static const int needed[LB_CALL_MAX] = {
		[LB_CALL_ALLOC] = 1,  [LB_CALL_REALLOC] = 2, [LB_CALL_MEMALIGN] = 2,
		[LB_CALL_FREE] = 1,   [LB_CALL_MMAP] = 3,    [LB_CALL_MUNMAP] = 2,
		[LB_CALL_MREMAP] = 3,
	};
	size_t nr_calls;
	const struct call *calls = catalogue_calls(&nr_calls);

	(void)state;
	for (size_t i = 0; i < nr_calls; i++) {
		int expected = needed[calls[i].call] + (calls[i].multiply ? 1 : 0);

		assert_int_equal(__builtin_popcount(call_args(&calls[i])), expected);
		assert_int_equal(calls[i].needs_return, calls[i].call != LB_CALL_FREE);
	}
}

static void test_known_calls(void **state)
{
	(void)state;
	assert_int_equal(find("malloc")->call, LB_CALL_ALLOC);
	assert_int_equal(find("_ZdaPvmSt11align_val_t")->call, LB_CALL_FREE);
	assert_int_equal(find("_ZnamSt11align_val_tRKSt9nothrow_t")->call, LB_CALL_ALLOC);
	assert_int_equal(find("posix_memalign")->call, LB_CALL_MEMALIGN);
	assert_int_equal(find("aligned_alloc")->a, 1);
	assert_int_equal(find("rallocx")->call, LB_CALL_REALLOC);
	assert_int_equal(find("mremap")->kind, LB_KIND_MMAP);
	assert_int_equal(find("pthread_create")->call, LB_CALL_SHELTER);
	assert_null(find("xallocx"));
	assert_null(find("mallo"));
	assert_null(find("mallocs"));
	assert_null(find(""));
}

static void test_prefixes(void **state)
{
	const char *prefix, *allocator;

	(void)state;
	assert_ptr_equal(catalogue_find("je_malloc", &prefix, &allocator), find("malloc"));
	assert_string_equal(prefix, "je_");
	assert_string_equal(allocator, "jemalloc");
	assert_ptr_equal(catalogue_find("_rjem_sdallocx", &prefix, &allocator), find("sdallocx"));
	assert_string_equal(allocator, "jemalloc");
	assert_ptr_equal(catalogue_find("mi_free", &prefix, &allocator), find("free"));
	assert_string_equal(allocator, "mimalloc");
	assert_non_null(catalogue_find("mi_heap_malloc", &prefix, &allocator));
	assert_string_equal(prefix, "mi_");
	assert_non_null(catalogue_find("tc_deletearray_sized", &prefix, &allocator));
	assert_string_equal(allocator, "tcmalloc");
	assert_non_null(catalogue_find("malloc", &prefix, &allocator));
	assert_null(prefix);
	assert_null(allocator);
	assert_null(find("je_mmap"));
	assert_null(find("je__Znwm"));
	assert_null(find("je_mi_zalloc"));
	assert_null(find("je_"));
	assert_null(find("xmalloc"));
}

static void test_cookie(void **state)
{
	const struct placement placement = {
		.arg_reg = { LB_REG_RET, LB_REG_ARG1, LB_REG_R10 },
		.sp_delta = 0x18,
	};

	(void)state;
	assert_int_equal(call_cookie(find("calloc"), &placement),
			 LB_CALL_ALLOC + (LB_REG_RET << LB_COOKIE_A_SHIFT) +
				 (LB_REG_ARG1 << LB_COOKIE_B_SHIFT) + LB_COOKIE_MULTIPLY +
				 (0x18ULL << LB_COOKIE_DELTA_SHIFT));
	assert_int_equal(call_cookie(find("mremap"), &placement) & 0xfffff,
			 LB_CALL_MREMAP | LB_REG_RET << LB_COOKIE_A_SHIFT |
				 LB_REG_ARG1 << LB_COOKIE_B_SHIFT |
				 LB_REG_R10 << LB_COOKIE_C_SHIFT);
	assert_int_equal(call_cookie(find("sbrk"), &placement) & 0xffffffff, LB_CALL_BRK);
	assert_int_equal(call_args(find("mmap")), 1U << 0 | 1U << 1 | 1U << 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sorted),      cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_known_calls), cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_cookie),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
