/* SPDX-License-Identifier: GPL-2.0-only */
/* Private to probe/: one attached BPF program. */
#ifndef PROBE_LINK_H
#define PROBE_LINK_H

#include <bpf/libbpf.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "probe/probe.h"

/* Attach types of uprobe.multi, Linux 6.6 and 6.13: include/uapi/linux/bpf.h, enum
 * bpf_attach_type. Older headers lack them. */
#define LINK_TYPE_MULTI   48
#define LINK_TYPE_SESSION 57

/* Places in one file, all for the same program. */
struct link_places {
	const char *path; /* how the observer opens the file */
	pid_t pid;        /* only hits of this process */
	const uint64_t *offsets;
	const uint64_t *cookies;
	uint32_t nr;
};

/* An attached program: a uprobe.multi link, or the perf-event links of all places. */
struct link {
	int fd;                 /* -1: none */
	struct bpf_link **perf; /* owned */
	size_t nr_perf;
};

/* Attaches @program, which was loaded for @attach_type, at the entry of each place (at its return
 * with @at_return). The one place that attaches probes on returns. */
int link_attach_multi(const struct bpf_program *program, unsigned int attach_type, bool at_return,
		      const struct link_places *places, struct link *ret_link);
/* The same by perf-event uprobes. */
int link_attach_perf(const struct bpf_program *program, bool at_return,
		     const struct link_places *places, struct link *ret_link);
void link_done(struct link *link);

/* Proves on functions and threads of our own that @mode counts every hit. -errno: it does not. */
int selftest_run(enum attach_mode mode);

/* Where probes of @mode want their programs loaded for. */
unsigned int attach_mode_type(enum attach_mode mode, const struct bpf_program *program);

#endif
