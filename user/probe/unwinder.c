/* SPDX-License-Identifier: GPL-2.0-only */
#include "probe/unwinder.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unwind.h"

/* Since Linux 5.10: include/uapi/linux/bpf.h. Arrays in a map of maps may differ in length. */
#ifndef BPF_F_INNER_MAP
#define BPF_F_INNER_MAP (1U << 12)
#endif

struct space {
	pid_t pid;
	bool stale; /* what the kernel has is older than this */
	struct unwind_space space;
};

struct unwinder {
	struct unwinder_maps maps;
	struct unwind_tables tables;
	struct space *spaces;
	size_t nr_spaces;
	size_t capacity;
	uint32_t nr_wides;
};

struct unwinder *unwinder_new(const struct unwinder_maps *maps)
{
	struct unwinder *unwinder = calloc(1, sizeof(*unwinder));

	if (unwinder)
		unwinder->maps = *maps;
	return unwinder;
}

struct unwinder *unwinder_free(struct unwinder *unwinder)
{
	if (!unwinder)
		return NULL;
	for (size_t i = 0; i < unwinder->nr_spaces; i++)
		unwind_space_done(&unwinder->spaces[i].space);
	free(unwinder->spaces);
	unwind_tables_done(&unwinder->tables);
	free(unwinder);
	return NULL;
}

static struct space *space_find(struct unwinder *unwinder, pid_t pid)
{
	for (size_t i = 0; i < unwinder->nr_spaces; i++)
		if (unwinder->spaces[i].pid == pid)
			return &unwinder->spaces[i];
	return NULL;
}

static struct space *space_get(struct unwinder *unwinder, pid_t pid)
{
	struct space *space = space_find(unwinder, pid);

	if (space)
		return space;
	if (vec_reserve((void **)&unwinder->spaces, &unwinder->capacity, unwinder->nr_spaces + 1,
			sizeof(*space)))
		return NULL;
	space = &unwinder->spaces[unwinder->nr_spaces++];
	*space = (struct space){ .pid = pid };
	return space;
}

/* --- tables --- */

/* Puts the wide rules of a table behind those of the others. Returns the index of the first one;
 * -ENOSPC: there is no room, rows that need them are to stop the unwinder. */
static int load_wides(struct unwinder *unwinder, const struct unwind_rows *rows)
{
	uint32_t first = unwinder->nr_wides;

	if (rows->nr_wide > unwinder->maps.max_wides - first)
		return -ENOSPC;
	for (uint32_t i = 0; i < rows->nr_wide; i++) {
		uint32_t index = first + i;

		if (bpf_map_update_elem(unwinder->maps.wides_fd, &index, &rows->wide[i], BPF_ANY))
			return -errno;
	}
	unwinder->nr_wides += (uint32_t)rows->nr_wide;
	return (int)first;
}

static __u32 rule_in_kernel(__u32 rule, int first_wide)
{
	if (LB_RULE_TYPE(rule) != LB_RULE_WIDE)
		return rule;
	return first_wide < 0 ? (__u32)LB_RULE_BAD : LB_RULE_REBASE(rule, (__u32)first_wide);
}

/* Copies the rows into the memory of an array map, behind their number. */
static int fill_rows(int map_fd, const struct unwind_rows *rows, int first_wide)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes = (rows->nr_rows + 1) * sizeof(struct lb_row);
	size_t mapped = (bytes + page - 1) & ~(page - 1);
	struct lb_row *target = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);

	if (target == MAP_FAILED)
		return -errno;
	target[0] = (struct lb_row){ .pc = (__u32)rows->nr_rows };
	for (size_t i = 0; i < rows->nr_rows; i++)
		target[i + 1] = (struct lb_row){
			.pc = rows->rows[i].pc,
			.rule = rule_in_kernel(rows->rows[i].rule, first_wide),
		};
	munmap(target, mapped);
	return 0;
}

/* The rows are only kept in the kernel. */
static void drop_rows(struct unwind_rows *rows)
{
	free(rows->rows);
	free(rows->wide);
	rows->rows = NULL;
	rows->wide = NULL;
}

static int load_table(struct unwinder *unwinder, struct unwind_table *table)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	int map_fd __cleanup_fd =
		bpf_map_create(BPF_MAP_TYPE_ARRAY, "unwind_rows", sizeof(__u32),
			       sizeof(struct lb_row), (__u32)table->rows->nr_rows + 1, &options);
	int first_wide, error;

	if (map_fd < 0)
		return -errno;
	first_wide = load_wides(unwinder, table->rows);
	if (first_wide < 0 && first_wide != -ENOSPC)
		return first_wide;
	error = fill_rows(map_fd, table->rows, first_wide);
	if (error)
		return error;
	if (bpf_map_update_elem(unwinder->maps.tables_fd, &table->id, &map_fd, BPF_ANY))
		return -errno;
	drop_rows(table->rows);
	table->loaded = true;
	return 0;
}

static int load_tables(struct unwinder *unwinder)
{
	int error = 0;

	for (struct unwind_table *table = unwinder->tables.first; table && !error;
	     table = table->next)
		if (!table->loaded && table->nr_users)
			error = load_table(unwinder, table);
	return error;
}

/* Takes tables that no process uses any more out of the kernel. */
static void sweep_tables(struct unwinder *unwinder)
{
	for (struct unwind_table *table = unwinder->tables.first; table; table = table->next)
		if (table->loaded && !table->nr_users)
			bpf_map_delete_elem(unwinder->maps.tables_fd, &table->id);
	unwind_tables_sweep(&unwinder->tables);
}

/* --- spaces --- */

static int fill_segments(int map_fd, const struct unwind_space *space)
{
	struct lb_segment head = { .start = space->nr_segments };
	__u32 index = 0;

	if (bpf_map_update_elem(map_fd, &index, &head, BPF_ANY))
		return -errno;
	while (index < space->nr_segments) {
		const struct lb_segment *segment = &space->segments[index++];

		if (bpf_map_update_elem(map_fd, &index, segment, BPF_ANY))
			return -errno;
	}
	return 0;
}

static int load_space(struct unwinder *unwinder, const struct space *space)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP);
	int map_fd __cleanup_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "unwind_segments",
						 sizeof(__u32), sizeof(struct lb_segment),
						 (__u32)space->space.nr_segments + 1, &options);
	__u32 tgid = (__u32)space->pid;
	int error;

	if (map_fd < 0)
		return -errno;
	error = fill_segments(map_fd, &space->space);
	if (error)
		return error;
	if (bpf_map_update_elem(unwinder->maps.spaces_fd, &tgid, &map_fd, BPF_ANY))
		return -errno;
	return 0;
}

int unwinder_refresh(struct unwinder *unwinder, pid_t pid)
{
	struct space *space = space_get(unwinder, pid);
	int error;

	if (!space)
		return -ENOMEM;
	error = unwind_space_refresh(&space->space, &unwinder->tables, pid);
	if (error < 0 || (!error && !space->stale))
		return error;
	space->stale = true;
	error = load_tables(unwinder);
	if (!error)
		error = load_space(unwinder, space);
	if (error)
		return error;
	space->stale = false;
	__atomic_fetch_add(&unwinder->maps.control->generation, 1, __ATOMIC_RELEASE);
	sweep_tables(unwinder);
	return 1;
}

int unwinder_refresh_all(struct unwinder *unwinder)
{
	int changed = 0;

	for (size_t i = 0; i < unwinder->nr_spaces; i++)
		if (unwinder_refresh(unwinder, unwinder->spaces[i].pid) > 0)
			changed = 1;
	return changed;
}

void unwinder_forget(struct unwinder *unwinder, pid_t pid)
{
	struct space *space = space_find(unwinder, pid);
	__u32 tgid = (__u32)pid;

	if (!space)
		return;
	bpf_map_delete_elem(unwinder->maps.spaces_fd, &tgid);
	unwind_space_done(&space->space);
	*space = unwinder->spaces[--unwinder->nr_spaces];
	sweep_tables(unwinder);
}

void unwinder_totals(const struct unwinder *unwinder, struct unwind_totals *ret_totals)
{
	unwind_tables_sum(&unwinder->tables, ret_totals);
}
