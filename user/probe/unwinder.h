/* SPDX-License-Identifier: GPL-2.0-only */
/* Private to probe/: brings unwind tables into the kernel (bpf/unwind.bpf.c reads them). */
#ifndef PROBE_UNWINDER_H
#define PROBE_UNWINDER_H

#include "proc/proc.h"

/* The kernel side of it; nothing is owned. */
struct unwinder_maps {
	int spaces_fd, tables_fd, wides_fd;
	uint32_t max_wides;
	struct lb_control *control;
};

/* Those of a loaded skeleton of any object that bpf/ is linked into. */
#define UNWINDER_MAPS(skeleton)                                                                    \
	{                                                                                          \
		.spaces_fd = bpf_map__fd((skeleton)->maps.spaces),                                 \
		.tables_fd = bpf_map__fd((skeleton)->maps.tables),                                 \
		.wides_fd = bpf_map__fd((skeleton)->maps.wides),                                   \
		.max_wides = bpf_map__max_entries((skeleton)->maps.wides),                         \
		.control = &(skeleton)->bss->control,                                              \
	}

struct unwinder;

struct unwinder *unwinder_new(const struct unwinder_maps *maps); /* NULL: out of memory */
struct unwinder *unwinder_free(struct unwinder *unwinder);
/* (Re-)reads what process @pid has mapped. 1: something changed and is in the kernel now, 0: nothing
 * did, or -errno. */
int unwinder_refresh(struct unwinder *unwinder, pid_t pid);
/* The same for every process it knows. */
int unwinder_refresh_all(struct unwinder *unwinder);
void unwinder_forget(struct unwinder *unwinder, pid_t pid);
void unwinder_totals(const struct unwinder *unwinder, struct unwind_totals *ret_totals);

#endif
