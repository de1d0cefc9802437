/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of golang/ share of one process. Not for other modules: they use golang.h. */
#ifndef GOLANG_PROCESS_H
#define GOLANG_PROCESS_H

#include "golang/golang.h"
#include "golang/gosym.h"
#include "golang/layout.h"
#include "golang/memory.h"
#include "golang/module.h"

#define MAX_GOROUTINES (1UL << 24) /* more than fit the memory of most machines */
#define MAX_REASONS    64

/* Where a goroutine stood when it was last looked at. */
struct tracked {
	uint64_t address;    /* of its runtime.g; first, as struct places has it */
	uint64_t sp, pc;     /* saved ones; 0: running */
	uint64_t stack_high; /* end of its stack */
	uint64_t waiting;    /* g.waiting, its first sudog */
	uint64_t labels;     /* g.labels */
	uint64_t start, creator;
	uint8_t wait_reason; /* g.waitreason */
	bool live;
	bool stack_known; /* goroutine.stack is that of this sp and pc */
	bool found;       /* it was already there, doing the same, when we came */
	struct goroutine goroutine;
};

struct golang {
	pid_t pid;
	char comm[64];
	char version[128];
	unsigned int minor; /* 1.@minor; 0: not known */
	struct memory memory;
	struct maps maps;
	struct go_module module;
	struct gosym symbols;
	const struct g_layout *layout;
	bool link_register;     /* arm64 */
	uint64_t table_address; /* of the variables with address and length of the array of all g */
	uint64_t length_address;
	const char *reasons[MAX_REASONS]; /* names of wait reasons; NULL: not known */

	/* --- private to names.c --- */
	struct strings *labels; /* texts of labels; NULL: none yet */
	size_t nr_labels;       /* times that one was interned */

	/* --- private to scan.c --- */
	bool scanned;    /* at least once */
	uint64_t *table; /* the array as it was last read */
	size_t nr_table;
	struct tracked *tracked; /* sorted by address, none twice */
	size_t nr_tracked;
	size_t *pending; /* tracked ones whose stack is to be read */
	size_t nr_pending, pending_capacity;
	size_t next_refresh;          /* the tracked one from which on stacks are read again */
	struct goroutine *goroutines; /* what was handed out */
	size_t goroutines_capacity;
	uint8_t *window; /* WINDOW_BYTES, for g's; of stacks.c as well */
};

/* --- allgs.c --- */
/* Finds where the array of all g is kept. -ENOENT: not found. */
int allgs_find(struct golang *golang);
/* Reads address and number of its elements. */
int allgs_read_extent(struct golang *golang, uint64_t *ret_address, uint64_t *ret_length);
/* Looks at three words of the program's variables at @at, which may be a slice. */
typedef void (*slice_test)(struct golang *golang, void *context, uint64_t at,
			   const uint64_t slice[3]);
/* Shows all variables to @test. 0, or -errno: none can be read any more. */
int variables_search(struct golang *golang, slice_test test, void *context);

/* --- processors.c --- */
#define MAX_PROCESSORS 4096
/* Addresses of all p, GOMAXPROCS of them; @ret_processors is owned by the caller. -ENOENT: not
 * found. */
int processors_read(struct golang *golang, uint64_t **ret_processors, size_t *ret_nr);

/* --- reasons.c: reads the names of wait reasons, as far as they can be found. --- */
int reasons_read(struct golang *golang);

/* --- labels.c --- */
/* The pprof labels at @address (g.labels) as text; NULL: none, or not to be read. */
const char *labels_read(struct golang *golang, uint64_t address);

/* --- names.c --- */
/* Forgets what was named when it has become too much; what is still in use gets its name again. */
void names_forget(struct golang *golang);
/* A copy of @labels; NULL: out of memory. */
const char *names_intern_labels(struct golang *golang, const char *labels);

/* --- stacks.c --- */
/* Reads the stacks of the pending ones. 0 or -errno when the process can not be read any more. */
int stacks_read(struct golang *golang);

/* --- running.c --- */
/* Where goroutines are that began with the function at @start, by the @samples; no goexit and no go
 * statement. NULL: too few samples are theirs. */
const struct stack *running_stack(struct golang *golang, struct cpu_samples *samples,
				  uint64_t start);

/* --- scan.c --- */
/* What the tracked one has for a stack pointer and program counter; false: it is running. */
bool g_stopped_at(const struct g *g, uint64_t *ret_sp, uint64_t *ret_pc);
void scan_done(struct golang *golang);

#endif
