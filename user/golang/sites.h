/* SPDX-License-Identifier: GPL-2.0-only */
/* The sites of goroutines, found by their id. Private to the module. */
#ifndef GOLANG_SITES_H
#define GOLANG_SITES_H

#include "golang/golang.h"

#define NR_SITE_BUCKETS 16384 /* a power of two */

/* Where goroutines are. */
struct goroutine_site {
	uint64_t id;
	struct stack stack; /* frames owned, with the creator's */
	const char *reason; /* as in struct goroutine */
	uint64_t opened, closed;
	uint64_t emptied_ns; /* when the last one left, CLOCK_MONOTONIC; 0: never */

	/* --- counted anew in each poll --- */
	uint64_t live, oldest_ns;
	uint64_t object;    /* what most of them wait for, if most do for the same; else any */
	uint64_t nr_object; /* how many do */
	uint64_t votes;
	uint64_t nr_leaked; /* the runtime itself has proved that nobody can wake them */
	bool has_main;      /* the program's first goroutine is among them */
	uint32_t cohorts[LB_MAX_EPOCHS];

	const char *state, *proof; /* as in struct site_count */
	const char *ring;     /* the sentence when it was found in a ring of mutexes; NULL: never */
	char spinning[256];   /* sentence on one that never waits; "": none */
	struct stack running; /* where that one is, by samples; frames owned; none: not known */
	unsigned int nr_sampled; /* polls in which samples were taken to find that */
	uint64_t named_object;   /* is told in the state */
	const char *named_state;
	struct goroutine_site *next; /* in its bucket */
};

/* One goroutine as it was last seen. */
struct goroutine_member {
	uint64_t address, id;
	uint64_t born_ns;
	uint64_t waits_on;
	bool leaked;             /* as the runtime itself has proved */
	uint64_t running_ns;     /* in every poll since then it was running */
	uint64_t running_cpu_ns; /* CPU time that the process had wanted then */
	unsigned int nr_running; /* polls; 0: it waits */
	struct goroutine_site *site;
};

struct goroutine_watch {
	pid_t pid;
	struct golang *golang; /* NULL: only tests */
	struct strings *strings;
	struct goroutine_site **sites;
	size_t nr_sites, capacity;
	struct goroutine_site *buckets[NR_SITE_BUCKETS]; /* by id */
	struct goroutine_member *members;                /* sorted by address */
	size_t nr_members;
	struct cpu_samples *samples; /* since the last poll; NULL: none */
	bool has_cohorts;            /* epochs were asked for in the last poll */
	size_t nr_named;             /* texts that were made for states and proofs */
	uint64_t opened, closed;     /* of all sites, those that are forgotten too */
};

/* --- site.c --- */
/* NULL: none has this id. */
struct goroutine_site *site_find(const struct goroutine_watch *watch, uint64_t id);
/* The site of @goroutine, found or made; when there are too many, one for all others. NULL: out of
 * memory. */
struct goroutine_site *site_of(struct goroutine_watch *watch, const struct goroutine *goroutine);
/* Makes @copy of the frames @stack of goroutines at @site, with its go statement. 0 or -ENOMEM. */
int site_copy_running(const struct goroutine_site *site, const struct stack *stack,
		      struct stack *copy);
/* Forgets sites that have been empty for long; when there are many, all that are empty. */
void sites_forget(struct goroutine_watch *watch, uint64_t now_ns);
void sites_free(struct goroutine_watch *watch);

/* --- sites.c --- */
struct goroutine_watch *goroutine_watch_new(pid_t pid); /* NULL: out of memory */

/* --- certain.c --- */
/* Says of each site, after it was counted, what its goroutines wait for, and why they can never go
 * on, where that is certain. */
void sites_explain(struct goroutine_watch *watch);

/* --- deadlock.c: rings of goroutines that wait for mutexes. --- */
void deadlocks_find(struct goroutine_watch *watch, const struct goroutine_list *list);

/* --- spinning.c: goroutines that never wait. --- */
void spinning_find(struct goroutine_watch *watch, uint64_t now_ns);
void spinning_done(struct goroutine_watch *watch);

#endif
