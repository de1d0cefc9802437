/* SPDX-License-Identifier: GPL-2.0-only */
/* Keeps a compiler busy for a while. */
#include <algorithm>
#include <functional>
#include <map>
#include <regex>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

template <int N> struct tower {
	using type = std::tuple<typename tower<N - 1>::type, std::variant<int, std::string>>;
	static int call(const std::vector<int> &numbers)
	{
		std::map<std::string, std::vector<std::function<int(int)>>> table;

		table[std::to_string(N)].push_back([&numbers](int i) { return numbers[i] + N; });
		return tower<N - 1>::call(numbers) + table.begin()->second[0](N % 3);
	}
};

template <> struct tower<0> {
	using type = std::tuple<int>;
	static int call(const std::vector<int> &numbers)
	{
		return numbers[0];
	}
};

int use(const std::vector<int> &numbers, const std::string &text)
{
	std::regex expression("([a-z]+)([0-9]*)?(x|y|z){1,5}");
	std::unordered_map<std::string, tower<40>::type> table;

	return std::regex_match(text, expression) + tower<200>::call(numbers) +
	       static_cast<int>(table.count(text));
}
