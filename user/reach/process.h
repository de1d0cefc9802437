/* SPDX-License-Identifier: GPL-2.0-only */
/* What a scan reads of a process, private to the module. */
#ifndef REACH_PROCESS_H
#define REACH_PROCESS_H

#include "proc/proc.h"
#include "reach/graph.h"

/* --- kept.c: pointers that only the kernel has --- */
/* Takes in those that /proc tells of: what epoll and timers hand back to the program. Returns 1 when
 * there are more that it does not tell of (io_uring), else 0. */
int kept_feed(pid_t pid, struct graph *graph);

/* --- pages.c: the memory that may hold pointers --- */
struct pages {
	pid_t pid;
	int pagemap; /* descriptor of /proc/PID/pagemap */
	size_t page_bytes;
	char *buffer; /* owned */
	struct maps maps;
	size_t mapping;    /* the next window is in this one ... */
	uint64_t position; /* ... and begins here; 0: where it begins */
	uint64_t read_bytes;
	uint64_t swapped_bytes;
	bool asynchronous; /* it has a ring of the kernel's asynchronous I/O */
};

/* 0 or -errno. pages_done() is due in any case. */
int pages_open(struct pages *pages, pid_t pid);
void pages_done(struct pages *pages);
/* Begins again with the mappings of now. */
int pages_begin(struct pages *pages);
/* Feeds the next resident pages. 1: there are no more, 0: call again, -errno. */
int pages_feed(struct pages *pages, struct graph *graph);

#endif
