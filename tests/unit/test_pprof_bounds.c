/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Profiles stay small enough for those who store them, and lose nothing by it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pprof_reader.h"

#define NR_MANY 20000

struct crowd {
	struct finding findings[NR_MANY];
	struct stack stacks[NR_MANY];
	struct frame frames[NR_MANY];
	char names[NR_MANY][16];
};

/* Sites of which the first quarter is alarming and later ones are larger, each with a function of
 * its own. */
static struct crowd *crowd_new(void)
{
	struct crowd *crowd = calloc(1, sizeof(*crowd));
	size_t i;

	assert_non_null(crowd);
	for (i = 0; i < NR_MANY; i++) {
		snprintf(crowd->names[i], sizeof(crowd->names[i]), "f%zu", i);
		crowd->frames[i].function = crowd->names[i];
		crowd->frames[i].address = i + 1;
		crowd->stacks[i] = (struct stack){ .nr_frames = 1, .frames = &crowd->frames[i] };
		crowd->findings[i] = (struct finding){
			.site = { .key = { 4242, LB_KIND_HEAP, i + 1 },
				  .opened_count = 2 * i,
				  .opened_bytes = 16 * i,
				  .live_count = i,
				  .live_bytes = 8 * i },
			.verdict = i < 5000 ? VERDICT_SUSPECT : VERDICT_STABLE,
			.stack = &crowd->stacks[i],
		};
	}
	return crowd;
}

static void assert_sums(const profile_message *profile)
{
	const int64_t all = (int64_t)NR_MANY * (NR_MANY - 1) / 2;
	int64_t sums[4] = { 0 };
	size_t i, k;

	for (i = 0; i < profile->n_sample; i++) {
		for (k = 0; k < 4; k++)
			sums[k] += profile->sample[i]->value[k];
	}
	assert_int_equal(sums[0], 2 * all);
	assert_int_equal(sums[1], 16 * all);
	assert_int_equal(sums[2], all);
	assert_int_equal(sums[3], 8 * all);
}

static void too_many_are_summed(void **state)
{
	struct crowd *crowd = crowd_new();
	struct report report = report_of(crowd->findings, NR_MANY);
	profile_message *profile = read_back(&report, 0);
	const sample_message *last = profile->sample[profile->n_sample - 1];

	(void)state;
	assert_int_equal(profile->n_sample, MAX_SAMPLES);
	assert_string_equal(function_at(profile, profile->sample[0], 0, 0), "f1");
	assert_string_equal(function_at(profile, profile->sample[4998], 0, 0), "f4999");
	assert_string_equal(function_at(profile, profile->sample[4999], 0, 0), "f19999");
	assert_string_equal(function_at(profile, last, 0, 0), "[truncated]");
	assert_int_equal(last->n_label, 0);
	assert_string_equal(string_at(profile, profile->comment[1]),
			    "12000 sites found no room and are summed in [truncated]");
	assert_sums(profile);
	done(profile);
	free(crowd);
}

static void as_many_as_fit_are_not(void **state)
{
	struct crowd *crowd = crowd_new();
	struct report report = report_of(&crowd->findings[1], MAX_SAMPLES);
	profile_message *profile = read_back(&report, 0);
	const sample_message *last = profile->sample[MAX_SAMPLES - 1];

	(void)state;
	assert_int_equal(profile->n_sample, MAX_SAMPLES);
	assert_string_equal(function_at(profile, last, 0, 0), "f5000");
	assert_int_equal(profile->n_comment, 1);
	done(profile);
	free(crowd);
}

/* Long names, one of them too long for any profile: what fits behind it is there. */
static void too_large_is_summed(void **state)
{
	struct crowd *crowd = crowd_new();
	struct report report = report_of(crowd->findings, NR_MANY);
	char *huge = malloc(MAX_RAW_BYTES + 1), *files = malloc((size_t)NR_MANY * 1024);
	profile_message *profile;
	size_t i;

	(void)state;
	assert_non_null(huge);
	assert_non_null(files);
	memset(huge, 'x', MAX_RAW_BYTES);
	huge[MAX_RAW_BYTES] = '\0';
	crowd->frames[2].function = huge;
	for (i = 0; i < NR_MANY; i++) {
		char *file = files + i * 1024;

		snprintf(file, 1024, "%0*zu", 1023, i);
		crowd->frames[i].file = file;
	}
	profile = read_back(&report, 0);
	assert_in_range(profile->n_sample, 1500, 2100);
	assert_string_equal(function_at(profile, profile->sample[0], 0, 0), "f1");
	assert_string_equal(function_at(profile, profile->sample[1], 0, 0), "f3");
	assert_string_equal(function_at(profile, profile->sample[profile->n_sample - 1], 0, 0),
			    "[truncated]");
	assert_sums(profile);
	done(profile);
	free(crowd);
	free(huge);
	free(files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(too_many_are_summed),
		cmocka_unit_test(as_many_as_fit_are_not),
		cmocka_unit_test(too_large_is_summed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
