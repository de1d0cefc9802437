/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "elf/elf.h"

static void assert_demangled(const char *name, const char *wanted)
{
	char *text = symbol_demangle(name);

	assert_string_equal(text, wanted);
	free(text);
}

static void cxx_names(void **state)
{
	(void)state;
	assert_demangled("_ZN4shop4Cart4fillEi", "shop::Cart::fill(int)");
	assert_demangled("_Znwm", "operator new(unsigned long)");
	assert_demangled("_ZdlPvm", "operator delete(void*, unsigned long)");
	assert_demangled("_ZNSt6vectorIiSaIiEE9push_backERKi",
			 "std::vector<int, std::allocator<int> >::push_back(int const&)");
	assert_demangled("_ZN3FooC1Ev", "Foo::Foo()");
	assert_demangled("_ZZ4mainENKUlvE_clEv", "main::{lambda()#1}::operator()() const");
	assert_demangled("_Z4growIiEvT_", "grow<int>(int)"); /* without the return type */
	assert_demangled("_ZL6hiddeni.constprop.0", "hidden(int) [clone .constprop.0]");
}

static void rust_legacy_names(void **state)
{
	(void)state;
	assert_demangled("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE",
			 "core::fmt::Formatter::pad");
	assert_demangled("_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$"
			 "$GT$3bar17h930b740aa94f1d3aE",
			 "<Test + 'static as foo::Bar<Test>>::bar");
}

static void rust_v0_names(void **state)
{
	(void)state;
	assert_demangled("_RNvCs1234_7mycrate4leak", "mycrate::leak");
	assert_demangled("_RNvMsr_NtCs3ssYzQotkvD_3std4pathNtB5_7PathBuf3newCs15kBYyAo9fc_7mycrate",
			 "<std::path::PathBuf>::new");
	assert_demangled("_RNvC6_123foo3bar", "123foo::bar");
}

static void other_names_stay(void **state)
{
	(void)state;
	assert_demangled("malloc", "malloc");
	assert_demangled("", "");
	assert_demangled("main.leak", "main.leak"); /* Go */
	assert_demangled("_Z", "_Z");
	assert_demangled("_ZN", "_ZN");
	assert_demangled("_R", "_R");
	assert_demangled("_ZNnonsense", "_ZNnonsense");
	assert_demangled("caml_main\n;x", "caml_main\n;x");
}

/* Each further pair of arguments doubles the text: 2^60 bytes if one let it. */
static void exponential_names_are_cut_off(void **state)
{
	struct buf name __cleanup_buf = { 0 };

	(void)state;
	buf_puts(&name, "_Z1fSt4pairIiiES_IS0_S0_E");
	for (int i = 1; i < 33; i++) {
		static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

		buf_printf(&name, "S_IS%c_S%c_E", digits[i], digits[i]);
	}
	assert_demangled(name.data, name.data);
}

static void deep_and_long_names_are_survived(void **state)
{
	const size_t len = 1 << 20;
	char *name = malloc(len + 1), *text;

	(void)state;
	assert_non_null(name);
	memset(name, 'P', len);
	memcpy(name, "_Z1f", 4);
	name[len] = '\0';
	assert_demangled(name, name);
	name[4000] = '\0'; /* short enough to be tried */
	text = symbol_demangle(name);
	assert_non_null(text);
	free(text);
	memset(name, 'N', 4000);
	memcpy(name, "_R", 2);
	text = symbol_demangle(name);
	assert_string_equal(text, name);
	free(text);
	free(name);
}

/* Bits of real names, put together at random: no crash, no hang, always a string. */
static void random_names_are_survived(void **state)
{
	static const char *const parts[] = {
		"_Z",   "_R",      "N",   "St",  "S_", "S0_", "I",  "E",  "4core", "3fmt",
		"Nv",   "Cs1234_", "7my", "B5_", "B_", "T_",  "L_", "C1", "17h0",  "K",
		"R",    "P",       "F",   "v",   "dp", "sr",  "cv", "X",  "J",     "u2b",
		"$GT$", "i",       "Ul",  "D_",  "M",  "Y",   "p",  "j",  "h0_",   "Kj1",
		"_",    "9",       "u",   "x",   "z",  "A",   "G",  "Dv",
	};
	uint32_t seed = 7;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		char name[256] = "";
		char *text;

		strcpy(name, i % 2 ? "_Z" : "_R");
		for (int k = 0; k < 30; k++) {
			seed = seed * 1664525 + 1013904223;
			strcat(name, parts[(seed >> 10) % ARRAY_SIZE(parts)]);
		}
		text = symbol_demangle(name);
		assert_non_null(text);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cxx_names),
		cmocka_unit_test(rust_legacy_names),
		cmocka_unit_test(rust_v0_names),
		cmocka_unit_test(other_names_stay),
		cmocka_unit_test(exponential_names_are_cut_off),
		cmocka_unit_test(deep_and_long_names_are_survived),
		cmocka_unit_test(random_names_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
