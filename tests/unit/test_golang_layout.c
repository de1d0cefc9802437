/* SPDX-License-Identifier: GPL-2.0-only */
/* Which release a program is read as, when its binary does not tell. It is this process itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_go.h"
#include "golang/process.h"

#define GOFUNC_120 40 /* words of moduledata */
#define GOFUNC_127 43
#define TYPES      37

/* In the data of this executable, where a Go program has it. */
static struct fake_go fake = { .table = { 1 } };

static void begin(void)
{
	memset(&fake, 0, sizeof(fake));
	fake_go(&fake);
}

/* Makes the g what it is in @layout. */
static void lay_out(struct fake_g *g, const struct g_layout *layout)
{
	struct fake_g old = *g;
	uint64_t stack, text = fake_address(fake.text);
	static uint64_t id = 100;

	memset(g, 0, sizeof(*g));
	memcpy(g->bytes, old.bytes, G_SCHED_G + 8);
	memcpy(&stack, old.bytes, sizeof(stack));
	fake_u64(g->bytes, layout->syscall_sp - 8, stack + 1024); /* the frame pointer */
	fake_u64(g->bytes, layout->status, G_WAITING);
	fake_u64(g->bytes, layout->id, id++);
	if (layout->parent_id)
		fake_u64(g->bytes, layout->parent_id, 1);
	fake_u64(g->bytes, layout->creator, text + FAKE_MAIN + 0x20);
	fake_u64(g->bytes, layout->start, text + FAKE_MAIN);
}

static struct golang *opened(void)
{
	static char path[4096], comm[] = "fake";
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	struct target target = { .pid = getpid(), .exe = path };
	struct golang *golang = NULL;
	struct error error = { 0 };

	assert_true(len > 0);
	path[len] = '\0';
	memcpy(target.comm, comm, sizeof(comm));
	if (golang_open(&target, &golang, &error))
		fail_msg("%s", error.text);
	return golang;
}

/* Every layout is told from all others by the goroutines alone. */
static void layouts_are_told_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < g_nr_layouts; i++) {
		const struct g_layout *layout = &g_layouts[i];
		unsigned int first = 0, last = 0;
		struct golang *golang;

		begin();
		memset(fake.build_info, 0, sizeof(fake.build_info));
		for (size_t g = 0; g < FAKE_NR_G; g++)
			lay_out(&fake.gs[g], layout);
		golang = opened();
		assert_ptr_equal(golang->layout, layout);
		assert_string_equal(golang_version(golang), "");
		golang_releases(golang, &first, &last);
		assert_int_equal(first, layout->first);
		assert_int_equal(last, layout->last);
		golang_free(golang);
	}
}

static void known_releases_are_believed(void **state)
{
	unsigned int first = 0, last = 0;
	struct golang *golang;

	(void)state;
	begin();
	golang = opened();
	assert_string_equal(golang_version(golang), "go1.23.9");
	golang_releases(golang, &first, &last);
	assert_int_equal(first, 23);
	assert_int_equal(last, 23);
	golang_free(golang);
}

/* Go 1.27 has more fields before moduledata.gofunc. */
static void inline_trees_are_found(void **state)
{
	struct golang *golang;

	(void)state;
	begin();
	fake.moduledata[TYPES] = 0x500000;
	fake.moduledata[TYPES + 1] = 0x600000; /* etypes */
	fake.moduledata[GOFUNC_120] = 0x700000;
	fake.moduledata[GOFUNC_127] = 0x800000;
	golang = opened();
	assert_int_equal(golang->symbols.inline_trees, 0x700000);
	golang_free(golang);
	fake.moduledata[TYPES + 1] = 0x1234; /* typedesclen */
	golang = opened();
	assert_int_equal(golang->symbols.inline_trees, 0x800000);
	golang_free(golang);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layouts_are_told_apart),
		cmocka_unit_test(known_releases_are_believed),
		cmocka_unit_test(inline_trees_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
