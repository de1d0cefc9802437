/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A leak behind an inlined call and behind a name that needs demangling. Phase: go.
 */
#include "workload.h"

namespace shop
{

inline __attribute__((always_inline)) void *take_from_shelf(std::size_t size)
{
	void *block = malloc(size); /* the leaking line */

	keep(block);
	return block;
}

template <typename T> class basket
{
      public:
	SITE void fill(const T &first)
	{
		last = take_from_shelf(static_cast<std::size_t>(first) + 10);
		keep(last);
	}

      private:
	void *last = nullptr;
};

} // namespace shop

namespace
{

void phase_go(long)
{
	static shop::basket<unsigned long> basket;

	for (unsigned int i = 0; i < LEAKS; i++)
		basket.fill(300UL);
	expect("heap", "fill", LEAKS, LEAKS * 310);
}

const struct workload_phase phases[] = {
	{ "go", phase_go },
};

} // namespace

int main()
{
	return WORKLOAD_SERVE(phases);
}
