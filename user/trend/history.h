/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What trend/ keeps of each site, private to the module.
 *
 * Time is divided into epochs of equal length. When TREND_EPOCHS of them have ended, neighbours are
 * merged and each is twice as long, so memory is bounded and the whole watch stays in sight; once
 * they span the horizon the two oldest are dropped instead. A generation is what was born at a site
 * in one epoch. At the end of an epoch the survivors of each generation are counted, and compared
 * with a copy taken when the generation was one epoch old.
 *
 * Sites get a history when they first have min_objects live objects; most never do.
 */
#ifndef TREND_HISTORY_H
#define TREND_HISTORY_H

#include "trend/trend.h"

#define TREND_EPOCHS LB_MAX_EPOCHS

/* What the rule found at the end of an epoch. */
struct judgement {
	float rate;       /* objects that stay, per second; those of sampled sites are scaled up */
	float rate_error; /* half of the 95 % interval, as a share of the rate */
	float confidence;
	uint32_t kept_min, kept_max; /* followed objects in each stuck generation */
	float undrained_s;           /* since the oldest stuck generation was complete */
	float quiet_s;               /* since the youngest stuck generation was */
	uint8_t nr_judged;           /* generations */
	uint8_t nr_stuck, nr_draining, nr_empty;
	uint8_t verdict; /* enum verdict, before hysteresis */
	uint8_t doubt;   /* enum doubt: what kept the verdict from being more */
};

struct history {
	uint32_t copies[TREND_EPOCHS];   /* survivors when the copy was made */
	uint32_t lows[TREND_EPOCHS];     /* least live objects in each epoch */
	float low_bytes[TREND_EPOCHS];   /* and bytes */
	uint8_t copied_at[TREND_EPOCHS]; /* epochs that had ended then */
	uint64_t first_alert_ns;         /* 0: never growing or leaking */
	uint64_t alert_closed;           /* closed_count when last growing or leaking */
	uint32_t alert_count;            /* live objects then */
	struct judgement judgement;      /* the last one */
	uint8_t nr_copies;
	uint8_t verdict; /* enum verdict: what is reported */
	uint8_t streak;  /* successive judgements of growing or leaking; saturates */
	uint8_t proven;  /* successive polls with a proof; saturates */
};

struct series {
	struct site_count site;  /* as last seen */
	struct history *history; /* owned; NULL: never had enough objects */
};

_Static_assert(sizeof(struct series) + sizeof(struct history) <= 400,
	       "100,000 sites must fit the memory budget");

/* The series of one snapshot. */
struct series_set {
	struct series *items; /* sorted by key; owned */
	size_t nr, capacity;
};

/* The sites that an aggregate sums up. */
struct members {
	size_t largest; /* index of the one with the most live bytes */
	uint32_t nr;
	bool alarming; /* is any of them growing or leaking, or part of what is told already? */
};

/* Sums over sites; @sums.items[i] is the series of @members[i]. */
struct aggregates {
	struct series_set sums;
	struct members *members; /* owned */
	size_t capacity;
};

struct trend {
	struct trend_options options;
	struct series_set sites;
	struct aggregates groups; /* of sites with one group; the key has it in place of a stack */
	struct aggregates totals; /* of each process and kind */
	uint64_t start_ns, now_ns;
	struct epochs epochs; /* those that have ended */
	bool has_begun;
	bool is_counted; /* the sites of the snapshot have cohorts of these epochs */
	unsigned int sample_shift;
};

/* --- epochs.c --- */
bool epochs_equal(const struct epochs *a, const struct epochs *b);
/* By how much a poll may come before the end of an epoch and still end it. */
uint64_t epochs_slack_ns(const struct trend *trend);
/* The epochs that have ended at @now_ns; pairs are merged or the oldest dropped when needed. */
struct epochs epochs_at(const struct trend *trend, uint64_t now_ns);
/* Makes the levels of all epochs unknown. */
void history_clear(struct history *history);
/* Carries a history over from @old to @new epochs, after history_record() of their @site. */
void history_move(struct history *history, const struct epochs *old, const struct epochs *new,
		  const struct site_count *site);
/* Notes what is live now in the epoch that is not over. */
void history_record(struct history *history, const struct epochs *epochs,
		    const struct site_count *site);

/* --- rule.c --- */
/* Copies the generations that are old enough, and judges the others. At the end of an epoch, with
 * cohorts. */
void history_judge(const struct trend *trend, struct history *history,
		   const struct site_count *site);
/* The verdict that is reported, after any poll. */
void history_settle(const struct trend *trend, struct history *history,
		    const struct site_count *site);

/* --- aggregate.c --- */
/* Sums the sites of the snapshot up, and goes on with the series of the sums. @old: the epochs
 * before this snapshot. */
int trend_aggregate(struct trend *trend, const struct snapshot *snapshot, const struct epochs *old);
/* Is the sum reported? Only when nothing in it is. */
bool aggregate_is_told(const struct aggregates *aggregates, size_t at);
void aggregates_done(struct aggregates *aggregates);

/* --- history.c --- */
/* Carries the series over to the sites (sorted by key) of a new snapshot. */
int series_update(const struct trend *trend, struct series_set *set, const struct site_count *sites,
		  size_t nr_sites, const struct epochs *old);
void series_done(struct series_set *set);

static inline enum verdict series_verdict(const struct series *series)
{
	return series->history ? (enum verdict)series->history->verdict : VERDICT_STABLE;
}

#endif
