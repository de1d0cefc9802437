/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A Go process read from outside: its goroutines and timers. Only memory is read: nothing is
 * stopped, probed or written, and nothing needs to be built into the program. What is read there is
 * untrusted: every length and every walk is bounded.
 */
#ifndef GOLANG_GOLANG_H
#define GOLANG_GOLANG_H

#include "base/base.h"
#include "model.h"

struct golang;

/* Finds the Go runtime in process @target (its executable, or a library that it has loaded).
 * @error gets the sentence on failure: -ENOEXEC there is none, -ENOTSUP one that is not known or
 * does not look as it should, -EACCES no right to read, -ESRCH ended. */
int golang_open(const struct target *target, struct golang **ret_golang, struct error *error);
struct golang *golang_free(struct golang *golang);
/* "go1.23.5"; "" when the binary does not tell. */
const char *golang_version(const struct golang *golang);
/* It is read as Go 1.@ret_first to 1.@ret_last: the same one when the version is known. */
void golang_releases(const struct golang *golang, unsigned int *ret_first, unsigned int *ret_last);
/* The name of wait reason @number of this release, until the golang is freed. NULL: not known. */
const char *golang_wait_reason(const struct golang *golang, uint32_t number);

enum goroutine_state {
	GOROUTINE_RUNNABLE,
	GOROUTINE_RUNNING,
	GOROUTINE_SYSCALL,
	GOROUTINE_WAITING,
	GOROUTINE_MOVING,    /* its stack is just being copied */
	GOROUTINE_PREEMPTED, /* stopped by the garbage collector */
	GOROUTINE_LEAKED,    /* waits, and the runtime itself has proved that nobody can wake it */
};

/* Strings, frames and stacks belong to the golang that it came from, until its next scan. */
struct goroutine {
	uint64_t id;
	uint64_t address; /* of its runtime.g, which is used again, with another id, when it ends */
	uint64_t parent_id; /* of the goroutine that created it; 0: not known (before Go 1.21) */
	enum goroutine_state state;
	bool system;        /* belongs to the runtime itself: hidden in Go's own dumps */
	const char *reason; /* what it waits for in the runtime's words, else its state */
	uint64_t waits_on;  /* address of the channel, mutex, group or condition; 0: not known */
	uint64_t first_seen_ns; /* CLOCK_MONOTONIC */
	/* It does the same since then, CLOCK_MONOTONIC. Of what was there when we came it is what
	 * the runtime notes: too early by up to a garbage collection, or not known: just now. */
	uint64_t since_ns;
	const struct stack *stack;   /* NULL: it was running or changed while being read */
	const struct frame *start;   /* the function it began with; NULL: not known */
	const struct frame *creator; /* the go statement; NULL: not known */
	const char *labels;          /* "key=value, key=value"; NULL: none */
};

/* One look at all goroutines. */
struct goroutine_list {
	uint64_t time_ns;                   /* CLOCK_MONOTONIC */
	const struct goroutine *goroutines; /* sorted by address; valid until the next scan */
	size_t nr_goroutines;
	size_t nr_dead;       /* ended ones whose runtime.g waits to be used again */
	size_t nr_unreadable; /* could not be read or made no sense */
	size_t nr_stackless;  /* no stack: running, or it changed while being read */
	uint64_t table_calls; /* system calls that reading the list and the g structures took */
	uint64_t stack_calls; /* system calls that reading stacks took */
};

/* Reads all goroutines; stacks only of those that are new or have moved since the last scan. */
int golang_scan(struct golang *golang, struct goroutine_list *ret_list, struct error *error);
/* How many goroutines of the program there are; reads no stacks. */
int golang_count(struct golang *golang, size_t *ret_nr, struct error *error);
/* Does it only serve the runtime? The finalizers' goroutine does not while it runs code of the
 * program. */
bool goroutine_is_hidden(const struct goroutine *goroutine);
/* Does it wait for something, which may never come? */
bool goroutine_waits(const struct goroutine *goroutine);

/* --- timers.c --- */
enum timer_kind {
	TIMER_AFTER_FUNC, /* time.AfterFunc */
	TIMER_CHANNEL,    /* time.NewTimer, time.After */
	TIMER_TICKER,     /* time.NewTicker, time.Tick */
	TIMER_SLEEP,      /* time.Sleep */
	TIMER_DEADLINE,   /* of a network connection */
	TIMER_RUNTIME,    /* another function of the runtime */
	TIMER_UNKNOWN,    /* of a function that is not known */
};

/* Timers that do the same. Times are relative to the time of the look; negative: they are due. */
struct timer_group {
	enum timer_kind kind;
	/* What is called: of time.AfterFunc the program's function, else one of the runtime. NULL:
	 * not known, or it goes without saying. Belongs to the golang, until its next scan. */
	const struct frame *function;
	uint64_t pc; /* where it begins; 0: not known */
	size_t count;
	int64_t soonest_ns, latest_ns;
	uint64_t shortest_period_ns, longest_period_ns; /* 0: they come once */
};

/* One look at the heaps of timers: all that wait for their time, from whenever they are. */
struct timer_list {
	uint64_t time_ns;           /* CLOCK_MONOTONIC */
	struct timer_group *groups; /* most timers first; owned */
	size_t nr_groups;
	size_t nr_timers;     /* in all groups */
	size_t nr_stopped;    /* still in a heap, but they will not come */
	size_t nr_unreadable; /* could not be read, made no sense, or changed meanwhile */
	size_t nr_heaps;      /* that were read: one for each P (GOMAXPROCS) */
	size_t nr_odd_heaps;  /* that made no sense */
	uint64_t calls;       /* system calls that it took */
};

/* Reads all timers that are in heaps. @error gets the sentence on failure: -ENOTSUP they are not
 * where or not what they should be, -ESRCH ended, -EACCES no right any more, -ENOMEM. */
int golang_timers(struct golang *golang, struct timer_list *ret_list, struct error *error);
void timer_list_done(struct timer_list *list);

/* --- sites.c: the goroutines of a process as sites of snapshots --- */
/* A site is a start function, a go statement that began with it, a stack, and what is waited for
 * there; those that run are one site, whatever their stack. A goroutine is opened at the site where
 * it is first seen and closed when it has ended; when it moves on to another one it is closed there
 * and opened here. Its generation is that of its own birth, wherever it moves, so that workers
 * which come and go there never look like new ones. */
struct goroutine_watch;

int goroutine_watch_open(const struct target *target, struct goroutine_watch **ret_watch,
			 struct error *error);
struct goroutine_watch *goroutine_watch_free(struct goroutine_watch *watch);
const char *goroutine_watch_version(const struct goroutine_watch *watch); /* golang_version() */
/* golang_wait_reason(), until the watch is freed. */
const char *goroutine_watch_reason(const struct goroutine_watch *watch, uint32_t number);
/* Looks at all goroutines and counts the survivors of @epochs. When they can not be read any more
 * (@error says why) the last ones that were stay. */
int goroutine_watch_poll(struct goroutine_watch *watch, const struct epochs *epochs,
			 struct error *error);
/* Takes over @list instead, for tests; its time is the time of the poll. */
int goroutine_watch_take(struct goroutine_watch *watch, const struct goroutine_list *list,
			 const struct epochs *epochs);
/* Adds the sites to the @snapshot, which stays sorted, with sums and counters. The cohorts are
 * borrowed until the next poll. 0 or -ENOMEM. */
int goroutine_watch_add(const struct goroutine_watch *watch, struct snapshot *snapshot);
/* The stack of the site with this key.stack, "created by" its creator outermost; of one that never
 * waits that of samples, once there are some. Valid until the next poll. NULL: there is no such site. */
const struct stack *goroutine_watch_stack(const struct goroutine_watch *watch, uint64_t id);
/* "goroutine 12 has been running in main.poll for 40 s ..." of a site where one never waits; valid
 * until the next poll. NULL: none does. */
const char *goroutine_watch_spinning(const struct goroutine_watch *watch, uint64_t id);

#endif
