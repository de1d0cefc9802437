/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every BPF program loads in every way to attach it, and stays within the budget of instructions
 * that the verifier may have to look at (tests/verifier/budget.csv: program, verified instructions).
 * A budget is about twice what Linux 6.18 needs for what clang 19 makes; other kernels and
 * compilers differ by less. A program without a line fails, so new ones get one.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe/link.h"

#include "leakbpf.skel.h"

/* The budget of a program; 0: it has no line. */
static unsigned long budget_of(const char *name)
{
	FILE *file __cleanup_file = fopen(LEAKBPF_TESTS_DIR "/verifier/budget.csv", "re");
	char line[256], program[128];
	unsigned long budget;

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%127[^,],%lu", program, &budget) == 2 && !strcmp(program, name))
			return budget;
	return 0;
}

static int check_program(const struct bpf_program *program)
{
	const char *name = bpf_program__name(program);
	unsigned long budget = budget_of(name);
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &len)) {
		printf("%s: no information: %s\n", name, strerror(errno));
		return 1;
	}
	printf("  %-22s %7u verified, %6u translated, %6u native bytes\n", name,
	       info.verified_insns, info.xlated_prog_len, info.jited_prog_len);
	if (info.verified_insns <= budget)
		return 0;
	printf("%s: %u instructions verified, the budget is %lu\n", name, info.verified_insns,
	       budget);
	return 1;
}

static int check_mode(enum attach_mode mode)
{
	struct leakbpf *skeleton = leakbpf__open();
	struct bpf_program *program;
	int failures = 0;

	if (!skeleton)
		return 1;
	skeleton->rodata->config.unwind_tables = 1;
	bpf_object__for_each_program(program, skeleton->obj)
	{
		bool session = strstr(bpf_program__name(program), "_session");

		bpf_program__set_autoload(program, !session || mode == ATTACH_SESSION);
		if (!strncmp(bpf_program__section_name(program), "uprobe", strlen("uprobe")))
			bpf_program__set_expected_attach_type(
				program, (enum bpf_attach_type)attach_mode_type(mode, program));
	}
	if (leakbpf__load(skeleton)) {
		printf("programs of mode %d do not load: %s\n", mode, strerror(errno));
		leakbpf__destroy(skeleton);
		return 1;
	}
	bpf_object__for_each_program(program, skeleton->obj) if (bpf_program__autoload(program))
		failures += check_program(program);
	leakbpf__destroy(skeleton);
	return failures;
}

int main(void)
{
	int failures = 0;

	if (geteuid()) {
		printf("skipped: loading BPF programs needs root\n");
		return 77;
	}
	for (enum attach_mode mode = ATTACH_SESSION; mode <= ATTACH_PERF; mode++) {
		if (mode == ATTACH_SESSION && selftest_run(mode)) {
			printf("no session probes on this kernel: their programs are not "
			       "checked\n");
			continue;
		}
		printf("%s:\n", attach_mode_name(mode));
		failures += check_mode(mode);
	}
	return failures ? 1 : 0;
}
