/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The nouns of leakbpf. Plain data; with bpf/leakbpf.h this tells the whole story:
 *
 *   a target is watched through probes; the ledger is read into a snapshot; snapshots become the
 *   history of each site; the judged history of a site is a finding; a report shows findings.
 */
#ifndef MODEL_H
#define MODEL_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "leakbpf.h"

/* A mapping that a program counter of the target lies in. */
struct code_mapping {
	uint64_t start, end;
	uint64_t file_offset; /* of its start */
	const char *build_id; /* GNU build-id of the file in hexadecimal, interned; NULL: none */
};

#define CREATED_BY "created by " /* stands before the function in the frame of a go statement */
/* One line of a stack as people read it. Strings are interned and outlive the frame. */
struct frame {
	const char *function; /* demangled; NULL: unknown */
	const char *file;     /* NULL: unknown */
	const char *module;   /* path as the target sees it, "[vdso]", "[jit]"; NULL: unknown */
	uint64_t address; /* in the target; of a return, but in frame 0 of an interrupted stack */
	uint64_t offset;  /* address in the module's file image: what "module+0xoffset" shows */
	const struct code_mapping *mapping; /* outlives the frame; NULL: unknown, or no file */
	int line;                           /* 0: unknown */
	bool inlined;                       /* the function was inlined into the next frame */
};

/* A symbolised stack; frame 0 is the innermost. */
struct stack {
	uint64_t id;
	uint32_t flags; /* LB_STACK_* */
	size_t nr_frames;
	struct frame *frames; /* owned */
};

enum runtime { RUNTIME_NATIVE, RUNTIME_GO };

/* A watched process. Identity is pid + start time: pids are reused. */
struct target {
	pid_t pid;
	uint64_t start_ticks; /* field 22 of /proc/PID/stat */
	char comm[64];        /* of the kernel; cut there, it is the name of exe */
	char *exe;            /* path as the target sees it; owned */
	enum runtime runtime;
	char *go_version;  /* NULL: not Go; owned */
	char **allocators; /* names of the allocators found and probed; owned */
	size_t nr_allocators;
	char **blind_spots; /* sentences: what of this target can not be seen; owned */
	size_t nr_blind_spots;
	bool exited;
};

/*
 * Generations: epoch k covers the births in [start_ns + k * length_ns, start_ns + (k+1) * length_ns).
 * A cohort is what is still live of the objects born in one epoch at one site.
 */
struct epochs {
	uint64_t start_ns; /* CLOCK_MONOTONIC */
	uint64_t length_ns;
	unsigned int nr; /* at most LB_MAX_EPOCHS; 0: none */
};

/* The counts of one site at one moment. */
struct site_count {
	struct lb_site_key key;
	uint64_t group; /* of sites with the same innermost frames of own code; 0: not known */
	uint64_t opened_count;
	uint64_t opened_bytes;
	uint64_t closed_count; /* of everything opened: scaled up when only a part was followed */
	uint64_t closed_bytes;
	uint64_t live_count; /* opened - closed */
	uint64_t live_bytes;
	uint64_t oldest_ns;   /* birth of the oldest live object, CLOCK_MONOTONIC; 0: not known */
	uint64_t longest_ns;  /* LB_KIND_GOPARK: the longest wait that is over; 0: none is */
	uint32_t wait_reason; /* LB_KIND_GOPARK: its number in the runtime; 0: not known */
	bool estimated;       /* not every object was followed: closed and live are estimates */
	bool ended;           /* so has its process: what it freed on its way out tells nothing */
	const char *state;    /* what its objects wait for, or if blocks are reachable; interned */
	const char *proof; /* why its objects can never be closed, as a sentence; NULL: they may */
	/* Live followed objects by epoch of birth; valid until the next snapshot. NULL: not counted */
	const uint32_t *cohorts;
};

/* One reading of the ledger. */
struct snapshot {
	uint64_t time_ns;         /* CLOCK_MONOTONIC */
	struct site_count *sites; /* sorted by key (site_key_compare); owned */
	size_t nr_sites;
	struct epochs epochs;  /* of the cohorts */
	struct lb_stats stats; /* summed over CPUs */
	/* Sums over all sites, those of forgotten processes too: what the conservation law of
	 * leakbpf.h calls opened (followed objects only) and closed. */
	uint64_t opened[LB_KIND_MAX];
	uint64_t closed[LB_KIND_MAX];
	uint32_t sample_shift; /* now only 1 of 2^sample_shift ids is followed */
	uint64_t nr_live;      /* entries in the live map */
	uint64_t max_live;
};

/* In rising order of alarm. */
enum verdict { VERDICT_STABLE, VERDICT_SUSPECT, VERDICT_GROWING, VERDICT_LEAKING };

/* Why a verdict is not more: what user/trend/rule.c asked last. */
/* clang-format off */
enum doubt { DOUBT_NONE, DOUBT_FEW, DOUBT_LITTLE, DOUBT_DRAINING, DOUBT_SPAN, DOUBT_STOPPED,
	     DOUBT_SATURATING, DOUBT_LEVEL, DOUBT_SMALL, DOUBT_NEW };
/* clang-format on */

/* What became of the generations of a site. */
struct residue {
	unsigned int nr_judged, nr_stuck, nr_draining, nr_empty;
	uint64_t kept_min, kept_max; /* objects of each stuck one */
	double undrained_s, quiet_s; /* since the oldest, youngest stuck one was complete */
	enum doubt doubt;
};

#define FINDING_HISTORY 32

/* A judged site, or the largest of several that are judged as one: of a group, or a process. */
struct finding {
	struct site_count site;
	unsigned int nr_stacks; /* 1: a site */
	enum verdict verdict;
	double confidence;                                              /* 0..1 */
	double growth_count_per_s, growth_count_low, growth_count_high; /* 95 % interval */
	double growth_bytes_per_s, growth_bytes_low, growth_bytes_high;
	double first_alert_s; /* since the start of the watch; < 0: never */
	double oldest_s;      /* age of the oldest live object; < 0: not known */
	struct residue residue;
	uint64_t history[FINDING_HISTORY]; /* least live bytes in each epoch, oldest first */
	size_t nr_history;
	const struct stack *stack; /* not owned; NULL until symbolised */
};

/* Is the weight of the kind bytes? Else each object weighs 1. */
bool kind_has_bytes(enum lb_kind kind);
int site_key_compare(const struct lb_site_key *a, const struct lb_site_key *b);

#endif
