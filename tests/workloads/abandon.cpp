/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Leaves operator new without a return: by std::bad_alloc, by longjmp and by the end of the thread,
 * from where it asks for more memory. What is leaked afterwards must be counted all the same.
 * Phase: go NUMBER (of times).
 */
#include <csetjmp>
#include <new>
#include <pthread.h>

#include "workload.h"

namespace
{

jmp_buf escape;

SITE void leak_after()
{
	keep(malloc(130));
}

SITE void *ask_too_much()
{
	return ::operator new(opaque(SIZE_MAX / 2 - 4096));
}

SITE void leave_by_exception()
{
	std::set_new_handler(nullptr);
	try {
		keep(ask_too_much());
		workload_die("a huge operator new did not fail");
	} catch (const std::bad_alloc &) {
		keep(nullptr);
	}
}

SITE void leave_by_longjmp()
{
	std::set_new_handler([] { longjmp(escape, 1); });
	if (setjmp(escape) == 0) {
		keep(ask_too_much());
		workload_die("a huge operator new did not fail");
	}
}

void *ending_thread(void *argument)
{
	std::set_new_handler([] { pthread_exit(nullptr); });
	keep(ask_too_much());
	return argument;
}

SITE void leave_by_thread_exit()
{
	pthread_t thread;

	if (pthread_create(&thread, nullptr, ending_thread, nullptr) != 0)
		workload_die("pthread_create");
	pthread_join(thread, nullptr);
}

void phase_go(long number)
{
	static size_t nr_leaked;

	for (long i = 0; i < number; i++) {
		leave_by_exception();
		leak_after();
		leave_by_longjmp();
		leak_after();
		leave_by_thread_exit();
		leak_after();
		nr_leaked += 3;
	}
	std::set_new_handler(nullptr);
	expect("heap", "leak_after", nr_leaked, nr_leaked * 130);
	expect("heap", "ask_too_much", 0, 0);
}

/* What the C++ and C libraries keep for exceptions and for the end of a thread, they have now. */
void warm_up()
{
	leave_by_exception();
	leave_by_thread_exit();
	std::set_new_handler(nullptr);
}

const struct workload_phase phases[] = {
	{ "go", phase_go },
};

} // namespace

int main()
{
	warm_up();
	return WORKLOAD_SERVE(phases);
}
