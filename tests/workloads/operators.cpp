/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every form of operator new leaks LEAKS objects, each at a function of its own, amid every form of
 * operator delete. Phase: go.
 */
#include <new>

#include "workload.h"

namespace
{

struct alignas(64) wide {
	char bytes[192];
};

SITE void leak_new()
{
	keep(::operator new(33));
}

SITE void leak_new_array()
{
	keep(new char[47]);
}

SITE void leak_new_nothrow()
{
	keep(::operator new(51, std::nothrow));
}

SITE void leak_new_array_nothrow()
{
	keep(new (std::nothrow) char[67]);
}

SITE void leak_new_aligned()
{
	keep(new wide);
}

SITE void leak_new_array_aligned()
{
	keep(new wide[2]);
}

SITE void leak_new_aligned_nothrow()
{
	keep(new (std::nothrow) wide);
}

SITE void leak_new_big()
{
	keep(new char[400000]);
}

SITE void fail_new_nothrow()
{
	void *block = ::operator new(opaque(SIZE_MAX / 2 - 4096), std::nothrow);

	if (block)
		workload_die("a huge operator new did not fail");
}

/* Every delete there is; nothing of it may stay. */
SITE void churn()
{
	::operator delete(::operator new(40));
	::operator delete(::operator new(41), static_cast<std::size_t>(41));
	::operator delete[](::operator new[](42));
	::operator delete[](::operator new[](43), static_cast<std::size_t>(43));
	::operator delete(::operator new(44, std::nothrow), std::nothrow);
	::operator delete[](::operator new[](45, std::nothrow), std::nothrow);
	constexpr std::align_val_t alignment{ 64 };
	::operator delete(::operator new(64, alignment), alignment);
	::operator delete(::operator new(64, alignment), static_cast<std::size_t>(64), alignment);
	::operator delete[](::operator new[](128, alignment), alignment);
	::operator delete[](::operator new[](128, alignment), static_cast<std::size_t>(128),
			    alignment);
	::operator delete(::operator new(64, alignment, std::nothrow), alignment, std::nothrow);
	::operator delete(::operator new(3000000));
}

const struct {
	const char *name;
	void (*leak)();
	size_t bytes;
	size_t count;
} sites[] = {
	{ "leak_new", leak_new, 33, LEAKS },
	{ "leak_new_array", leak_new_array, 47, LEAKS },
	{ "leak_new_nothrow", leak_new_nothrow, 51, LEAKS },
	{ "leak_new_array_nothrow", leak_new_array_nothrow, 67, LEAKS },
	{ "leak_new_aligned", leak_new_aligned, 192, LEAKS },
	{ "leak_new_array_aligned", leak_new_array_aligned, 384, LEAKS },
	{ "leak_new_aligned_nothrow", leak_new_aligned_nothrow, 192, LEAKS },
	{ "leak_new_big", leak_new_big, 400000, LEAKS },
	{ "fail_new_nothrow", fail_new_nothrow, 0, 0 },
};

void phase_go(long)
{
	for (size_t round = 0; round < LEAKS; round++) {
		for (const auto &site : sites) {
			churn();
			site.leak();
		}
	}
	for (const auto &site : sites)
		expect("heap", site.name, site.count, site.count * site.bytes);
	expect("heap", "churn", 0, 0);
}

const struct workload_phase phases[] = {
	{ "go", phase_go },
};

} // namespace

int main()
{
	fail_new_nothrow(); /* lets the C++ library build what it keeps for exceptions */
	return WORKLOAD_SERVE(phases);
}
