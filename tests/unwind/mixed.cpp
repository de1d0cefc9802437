/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Allocates in every place that makes unwinding hard, without frame pointers: threads, exceptions,
 * callbacks of std::sort and qsort, a signal handler, alloca, virtual calls, std::function.
 */
#include <alloca.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

static void touch(size_t bytes)
{
	void *block = malloc(bytes);

	memset(block, 1, bytes);
	free(block);
}

static void on_signal(int)
{
	touch(40);
}

static int compare_allocating(const void *a, const void *b)
{
	touch(24);
	return *static_cast<const int *>(a) - *static_cast<const int *>(b);
}

static void sort_with_callbacks()
{
	std::vector<int> numbers(64);

	for (size_t i = 0; i < numbers.size(); i++)
		numbers[i] = static_cast<int>((i * 7919) % 101);
	std::sort(numbers.begin(), numbers.end(), [](int a, int b) {
		std::string text(48, 'x');
		return a < b && text.size() == 48;
	});
	qsort(numbers.data(), numbers.size(), sizeof(int), compare_allocating);
}

static void throw_from(unsigned int depth)
{
	std::string text(100 + depth, 'y');

	if (depth == 0)
		throw std::runtime_error(text);
	throw_from(depth - 1);
}

static void use_exceptions()
{
	try {
		throw_from(5);
	} catch (const std::exception &caught) {
		touch(strlen(caught.what()));
	}
}

static void use_alloca(size_t bytes)
{
	char *memory = static_cast<char *>(alloca(bytes));

	memset(memory, 1, bytes);
	touch(bytes);
}

struct alignas(64) aligned {
	char bytes[64];
};

static void use_aligned_stack(size_t n)
{
	volatile aligned local = {};

	local.bytes[n % 64] = 1;
	delete new aligned();
	touch(64 + local.bytes[n % 64]);
}

static void use_containers()
{
	std::map<std::string, std::unique_ptr<std::string>> map;
	std::function<void(int)> call = [&map](int i) {
		map["a key that is not short at all " + std::to_string(i)] =
			std::make_unique<std::string>("a value that is not short either");
	};

	for (int i = 0; i < 20; i++)
		call(i);
}

static void work()
{
	for (size_t round = 0;; round++) {
		sort_with_callbacks();
		use_exceptions();
		use_alloca(64 + round % 1000);
		use_aligned_stack(round);
		use_containers();
		raise(SIGUSR1);
		free(strdup("duplicated"));
	}
}

int main()
{
	std::vector<std::thread> threads;

	signal(SIGUSR1, on_signal);
	for (int i = 0; i < 3; i++)
		threads.emplace_back(work);
	for (std::thread &thread : threads)
		thread.join();
	return 0;
}
