/* SPDX-License-Identifier: GPL-2.0-only */
/* The sentence that says why a verdict is what it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"
#include "report/text.h"

/* A finding whose generations kept objects. */
static struct finding kept_finding(enum verdict verdict, enum doubt doubt)
{
	return (struct finding){ .verdict = verdict,
				 .nr_stacks = 1,
				 .site = { .opened_count = 10, .closed_count = 5 },
				 .residue = { .nr_judged = 12,
					      .nr_stuck = 12,
					      .kept_min = 48,
					      .kept_max = 52,
					      .undrained_s = 240,
					      .quiet_s = 10,
					      .doubt = doubt } };
}

static void assert_why(const struct finding *finding, const char *wanted)
{
	struct buf why __cleanup_buf = { 0 };

	text_why(&why, finding);
	assert_string_equal(why.data ? why.data : "", wanted);
}

#define KEPT "12 of 12 generations kept 48-52 objects each, none drained in 4 min 0 s"

static void what_is_kept(void **state)
{
	struct finding finding = kept_finding(VERDICT_LEAKING, DOUBT_NONE);

	(void)state;
	assert_why(&finding, KEPT);
	finding.nr_stacks = 7;
	assert_why(&finding, "7 stacks together: " KEPT);
	finding.nr_stacks = 1;
	finding.site.closed_count = 1;
	assert_why(&finding, KEPT "; hardly any object was ever closed");
	finding.site.closed_count = 5;
	finding.site.key.kind = LB_KIND_THREAD;
	assert_why(&finding, KEPT "; goroutines in C code and in system calls (state syscall) "
				  "keep their threads, locked ones do, too");
	finding.site.key.kind = LB_KIND_HEAP;
	finding.site.estimated = true;
	finding.residue.kept_max = 48;
	finding.residue.nr_stuck = 8;
	finding.residue.nr_empty = 3;
	finding.residue.nr_draining = 1;
	assert_why(&finding, "8 of 12 generations kept about 48 objects each, 3 none, 1 may still "
			     "drain");
	finding.residue.kept_min = finding.residue.kept_max = 1;
	finding.site.estimated = false;
	finding.residue.nr_draining = 0;
	assert_why(&finding, "8 of 12 generations kept 1 object each, 3 none, none drained in "
			     "4 min 0 s");
}

static void what_speaks_against_it(void **state)
{
	static const struct {
		enum doubt doubt;
		const char *wanted;
	} cases[] = {
		{ DOUBT_SPAN, KEPT "; all within less than half of the time" },
		{ DOUBT_SATURATING, KEPT "; but it slows down" },
		{ DOUBT_LEVEL, KEPT "; but the sum of all does not rise" },
		{ DOUBT_SMALL, KEPT "; too few bytes to matter" },
		{ DOUBT_NEW, KEPT "; seen only once" },
		{ DOUBT_STOPPED, "12 of 12 generations still hold objects; growth stopped 10 s "
				 "ago" },
		{ DOUBT_DRAINING, "0 of 12 generations may still drain" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct finding finding = kept_finding(VERDICT_SUSPECT, cases[i].doubt);

		assert_why(&finding, cases[i].wanted);
	}
}

static void nothing_is_known_of_generations(void **state)
{
	struct finding finding = { .verdict = VERDICT_SUSPECT };

	(void)state;
	finding.residue.doubt = DOUBT_STOPPED;
	assert_why(&finding, "growth stopped, but most of what it left is still live");
	finding.residue = (struct residue){ .nr_judged = 9, .nr_draining = 8 };
	assert_why(&finding, "8 of 9 generations may still drain");
	finding.verdict = VERDICT_STABLE;
	assert_why(&finding, "");
}

/* A proof, which may come from a file, says it all. */
static void a_proof(void **state)
{
	struct finding finding = kept_finding(VERDICT_LEAKING, DOUBT_NONE);

	(void)state;
	finding.site.proof = "no pointer\nto 5 of 5";
	assert_why(&finding, "no pointer?to 5 of 5");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_kept),
		cmocka_unit_test(what_speaks_against_it),
		cmocka_unit_test(nothing_is_known_of_generations),
		cmocka_unit_test(a_proof),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
