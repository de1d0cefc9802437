/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One watch: the targets, the probes on them, the ledger that they fill, its history and the
 * findings. What happens when is decided by watch.c; nothing is printed here. Private to the module.
 */
#ifndef CMD_SESSION_H
#define CMD_SESSION_H

#include "cmd/options.h"
#include "ledger/ledger.h"
#include "probe/probe.h"
#include "proc/proc.h"
#include "report/report.h"
#include "trend/trend.h"

struct session {
	const struct options *options;
	struct target *targets; /* owned; the living and those that ended */
	size_t nr_targets, capacity;
	uint64_t *code_marks; /* per target: what was mapped executable when last planned; owned */
	size_t marks_capacity;
	struct symbolizer *symbolizer;
	struct plan_cache *plans;
	struct tracer *tracer;
	struct ledger *ledger;
	struct trend *trend;
	struct lb_event *events; /* read but not handled yet; owned */
	size_t nr_events, events_capacity;
	size_t nr_missed_children;
	bool is_ending;           /* a target is about to end */
	struct snapshot snapshot; /* the last one, without its sites: they are in the trend */
	size_t nr_sites;          /* what they summed up to */
	uint64_t live_count, live_bytes;
	struct finding *findings; /* judged from it; owned */
	size_t nr_findings;
	unsigned int nr_polls;
	uint64_t start_ns;
	uint64_t relieved_ns; /* when the ledger was last relieved */
	bool has_children;    /* forked, not watched, with breakpoints inherited */
	uint64_t cleaned_ns;  /* when those were last removed */
	double walk_ms;       /* cost of the last walk over the live entries */
	double poll_ms;
};

/* Told what is being done, for people who wait. */
typedef void progress(const char *what, const struct target *target);

/* Opens the targets of the options, attaches and starts counting. */
int session_open(struct session *session, const struct options *options, progress *tell,
		 struct error *error);
void session_done(struct session *session);

/* Reads the ledger and judges; the @max_findings worst are kept and named. @with_ages also finds
 * the oldest object of each site. */
int session_poll(struct session *session, size_t max_findings, bool with_ages, struct error *error);
/* Thins the ledger when it is nearly full; due every 100 ms. */
void session_relieve(struct session *session);
/* Follows what the processes did: children, new programs, libraries, ends. */
void session_handle_events(struct session *session);
/* Removes inherited breakpoints from children that are not watched; one cleaning serves all. */
void session_clean_children(struct session *session);
/* Looks for libraries and ends that no event told of. */
void session_rescan(struct session *session);
/* Notices the end of targets that told they are about to; due every 100 ms. */
void session_notice_ends(struct session *session);
/* Does any target still run? */
bool session_is_alive(const struct session *session);
double session_seconds(const struct session *session);
/* What to report now; valid until the next poll. */
struct report session_report(const struct session *session);

/* --- targets.c --- */
/* Adds process @pid, without probes. */
int session_add_target(struct session *session, pid_t pid, struct error *error);
/* Plans and attaches what target @at has mapped now; cheap when that has not changed. */
int session_attach(struct session *session, size_t at, struct error *error);

/* --- groups.c --- */
/* Fills in the group of each site; new stacks take time, so that some wait for the next poll. */
void session_group(struct session *session, struct snapshot *snapshot);

/* --- describe.c --- */
/* Says in the target what the plan found: its allocators, and what of it can not be seen (taken
 * out of the plan). 0 or -ENOMEM. */
int target_describe(struct target *target, struct plan *plan);

#endif
