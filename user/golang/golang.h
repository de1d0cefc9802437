/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A Go process read from outside: its goroutines. Only memory is read: nothing is stopped, probed
 * or written, and nothing needs to be built into the program. What is read there is untrusted:
 * every length and every walk is bounded.
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

#endif
