/* SPDX-License-Identifier: GPL-2.0-only */
/* Private to probe/: the tracer and what it has attached. */
#ifndef PROBE_TRACER_H
#define PROBE_TRACER_H

#include "probe/link.h"
#include "probe/unwinder.h"

#include "leakbpf.skel.h" /* needs the types of leakbpf.h */

#define ATTACHMENT_LINKS 10 /* entry and exit of heap, mmap, shelter; free; loader; Go's two */

/* What is attached in one file for one process. */
struct attachment {
	pid_t pid;
	uint64_t dev, inode;
	char *open_path;   /* owned */
	uint64_t *offsets; /* every place of the file; owned */
	uint32_t nr_offsets;
	struct link links[ATTACHMENT_LINKS];
	size_t nr_links;
};

struct tracer {
	struct leakbpf *skeleton;
	struct ring_buffer *events;
	struct unwinder *unwinder; /* NULL: frame pointers only */
	uint64_t unmapped_ns;      /* when a walk had last met an unknown mapping */
	uint64_t patience_ns;      /* how long to wait before looking for it again */
	enum attach_mode mode;
	bool may_throw; /* calls that throw may be probed: only the few that can fail are left out */
	struct attachment *attachments;
	size_t nr_attachments;
	size_t capacity;
	void (*handle)(const struct lb_event *event, void *context); /* while events are read */
	void *context;
};

void attachment_done(struct attachment *attachment);
/* NULL: nothing is attached for @pid in that file yet. */
struct attachment *tracer_find(struct tracer *tracer, pid_t pid, uint64_t dev, uint64_t inode);
/* Takes over @attachment on success. */
int tracer_keep(struct tracer *tracer, struct attachment *attachment);

/* --- verify.c --- */
/* What places are checked against: the process's mappings and memory. */
struct verifier {
	const struct maps *maps; /* not owned */
	int memory_fd;
	bool traced; /* by a debugger */
};

int verifier_open(pid_t pid, const struct maps *maps, struct verifier *ret_verifier);
void verifier_done(struct verifier *verifier);
/* 0: the memory holds the instruction of the file, or what a uprobe leaves of it; -ENOENT: not;
 * -ESRCH: it is no more, since the process has ended, replaced its program or unmapped the file. */
int verifier_check(const struct verifier *verifier, uint64_t dev, uint64_t inode,
		   const struct placement *placement);

/* --- loader.c --- */
/* Attaches to the function that the dynamic linker calls when its list of objects has changed. */
int loader_attach(struct tracer *tracer, pid_t pid, const struct verifier *verifier);

#endif
