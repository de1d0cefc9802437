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

/* One line of a stack as people read it. Strings are interned and outlive the frame. */
struct frame {
	const char *function; /* demangled; NULL: unknown */
	const char *file;     /* NULL: unknown */
	const char *module;   /* path as the target sees it, "[vdso]", "[jit]"; NULL: unknown */
	uint64_t address; /* program counter in the target (a return address but for frame 0 of an
			         interrupted one) */
	uint64_t offset;  /* address in the module's file image: what "module+0xoffset" shows */
	int line;         /* 0: unknown */
	bool inlined;     /* the function was inlined into the next frame */
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
	char comm[64];
	char *exe; /* path as the target sees it; owned */
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
	uint64_t group; /* the same for sites that share the innermost frames of the program's own
			   code; 0: not known */
	uint64_t opened_count;
	uint64_t opened_bytes;
	uint64_t closed_count; /* of everything opened: scaled up when only a part was followed */
	uint64_t closed_bytes;
	uint64_t live_count; /* opened - closed */
	uint64_t live_bytes;
	uint64_t oldest_ns; /* birth of the oldest live object, CLOCK_MONOTONIC; 0: not known */
	bool estimated;     /* not every object was followed: closed and live are estimates */
	const char *state;  /* what its objects wait for; interned; NULL: they do not wait */
	const char *proof;  /* why its objects can never be closed, as a sentence; NULL: they may */
	/* The followed objects born in each epoch of the snapshot that are still live; borrowed, only
	 * valid until the next snapshot. NULL: not counted this time. */
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

#define FINDING_HISTORY 32

/* A judged site. */
struct finding {
	struct site_count site;
	enum verdict verdict;
	double confidence; /* 0..1 */
	double growth_count_per_s;
	double growth_bytes_per_s;
	double first_alert_s; /* since the start of the watch; < 0: never */
	double oldest_s;      /* age of the oldest live object; < 0: not known */
	uint64_t history
		[FINDING_HISTORY]; /* live bytes (or count) of the last polls, oldest first */
	size_t nr_history;
	const struct stack *stack; /* not owned; NULL until symbolised */
};

int site_key_compare(const struct lb_site_key *a, const struct lb_site_key *b);

#endif
