/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One watch: the targets, the probes on them, the ledger that they fill, its history and the
 * findings. What happens when is decided by watch.c; nothing is printed here. Private to the module.
 */
#ifndef CMD_SESSION_H
#define CMD_SESSION_H

#include "cmd/launch.h"
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
	struct trend_options trend_options;
	struct recording *recording; /* NULL: nothing is recorded */
	struct confirm *confirm;
	struct gowatch *gowatch;
	struct shelter *shelter;
	size_t nr_spinning;      /* findings that only gowatch_suspect() made suspect */
	struct lb_event *events; /* read but not handled yet; owned */
	size_t nr_events, events_capacity;
	size_t nr_missed_children;
	bool is_ending;           /* a target is about to end */
	struct snapshot snapshot; /* the last one, without its sites: they are in the trend */
	size_t nr_sites;          /* what they summed up to */
	uint64_t live_count, live_bytes;
	struct finding *findings; /* judged from it; owned */
	size_t nr_findings;
	size_t nr_suppressed[VERDICT_LEAKING + 1]; /* by the filter, of each verdict */
	struct launch launch;                      /* the program that was started for the watch */
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
/* The names of a site's stack, the symbolizer's; NULL: the stack is not known. */
const struct stack *session_stack(struct session *session, const struct lb_site_key *key);
/* What to report now; valid until the next poll. */
struct report session_report(const struct session *session);

/* --- targets.c --- */
/* Adds process @pid, without probes. */
int session_add_target(struct session *session, pid_t pid, struct error *error);
/* Plans and attaches what target @at has mapped now; cheap when that has not changed. */
int session_attach(struct session *session, size_t at, struct error *error);

/* The process that has this PID now. NULL: none of the targets, or it has ended. */
struct target *session_living(const struct session *session, uint32_t pid);

/* Starts the program of the options, as the first target. It is stopped before its first instruction. */
int session_launch(struct session *session, struct error *error);
/* Lets it go on, attaching what it maps, to its entry point. Counting must have begun. */
int session_launched(struct session *session, struct error *error);

/* --- groups.c --- */
/* Fills in the group of each site; new stacks take time, so that some wait for the next poll. */
void session_group(struct session *session, struct snapshot *snapshot);

/* --- shelter.c: mappings that allocators make while they release a block --- */
struct shelter *shelter_new(void); /* NULL: out of memory */
struct shelter *shelter_free(struct shelter *shelter);
/* Takes over from the plan which functions release blocks. 0 or -ENOMEM. */
int shelter_learn(struct shelter *shelter, struct plan *plan);
/* Is @place in one of them? */
bool shelter_releases(const struct shelter *shelter, const struct code_place *place);
/* Settles for each new stack of mappings whose they are. Returns how many are an allocator's: what was
 * read of the ledger still lists those. */
size_t session_shelter(struct session *session);

/* --- confirm.c: is a pointer left to what growing sites keep? --- */
struct confirm *confirm_new(void); /* NULL: out of memory */
struct confirm *confirm_free(struct confirm *confirm);
/* Begins to look when something that was found is suspect and a scan is due. @for_report: looks again
 * and waits for the answers. */
void session_confirm(struct session *session, bool for_report);
/* Goes on with a scan for about @budget_ns. */
void confirm_step(struct session *session, uint64_t budget_ns);
/* Adds the answers to the sites. */
void confirm_apply(struct confirm *confirm, struct snapshot *snapshot);

/* --- outlook.c --- */
/* When memory runs out first, for some of the processes or all. */
struct outlook outlook_of(const struct session *session);

/* --- gowatch.c: the goroutines of targets that have a Go runtime --- */
struct gowatch *gowatch_new(void); /* NULL: out of memory */
struct gowatch *gowatch_free(struct gowatch *gowatch);
/* Looks at the goroutines of all targets and adds their sites. 0 or -ENOMEM. */
int gowatch_add(struct session *session, struct snapshot *snapshot);
/* The stack of a site of goroutines, valid until the next poll; NULL: not known. */
const struct stack *gowatch_stack(const struct gowatch *gowatch, const struct lb_site_key *key);
/* Makes stable sites suspect where a goroutine never waits. */
void gowatch_suspect(struct session *session);
/* Process @pid has gone, or runs another program now. */
void gowatch_forget(struct gowatch *gowatch, pid_t pid);

/* --- describe.c --- */
/* Says in the target what the plan found: its allocators, and what of it can not be seen (taken
 * out of the plan). 0 or -ENOMEM. */
int target_describe(struct target *target, struct plan *plan);

#endif
