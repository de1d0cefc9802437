/* SPDX-License-Identifier: GPL-2.0-only */
/* What reading something hostile may take: memory is limited, and measured, between two calls. */
#ifndef MEMORY_LIMIT_H
#define MEMORY_LIMIT_H

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/base.h"

#define MAX_ADDRESS_BYTES  (512UL << 20) /* asked of the kernel */
#define MAX_RESIDENT_BYTES (64UL << 20)  /* written to */

/* An address sanitizer takes memory of its own: nothing is limited then. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEMORY_IS_OURS 0
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_IS_OURS 0
#endif
#ifndef MEMORY_IS_OURS
#define MEMORY_IS_OURS 1
#endif

struct allowance {
	struct rlimit before;
	long resident_kib; /* at most, so far */
};

static inline long max_resident_kib(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_maxrss;
}

/* From here on allocations fail that exceed what there is by MAX_ADDRESS_BYTES. */
static inline struct allowance memory_limit(void)
{
	struct allowance allowance = { .resident_kib = max_resident_kib() };
	char *statm __cleanup_string = NULL;
	struct rlimit limit;
	size_t len;

	assert_int_equal(getrlimit(RLIMIT_AS, &allowance.before), 0);
	assert_int_equal(io_read_file("/proc/self/statm", 4096, &statm, &len), 0);
	limit = allowance.before;
	limit.rlim_cur = strtoul(statm, NULL, 10) * (size_t)getpagesize() + MAX_ADDRESS_BYTES;
	if (MEMORY_IS_OURS)
		assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
	return allowance;
}

/* As before; fails the test if more than MAX_RESIDENT_BYTES were in use meanwhile. */
static inline void memory_unlimit(const struct allowance *allowance)
{
	long grown_kib = max_resident_kib() - allowance->resident_kib;

	assert_int_equal(setrlimit(RLIMIT_AS, &allowance->before), 0);
	if (MEMORY_IS_OURS && grown_kib > (long)(MAX_RESIDENT_BYTES >> 10))
		fail_msg("%ld KiB more memory was in use", grown_kib);
}

#endif
