/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What trend/ keeps of each site, private to the module.
 *
 * A history is at most TREND_POINTS points. When they are used up, neighbours are merged and each
 * further point stands for twice as many polls, so memory is bounded and the whole watch stays in
 * sight. A point holds the least that was outstanding during its polls: the low-water mark, which
 * hides what comes and goes. Sites get a history when they first have min_objects live objects;
 * most never do.
 */
#ifndef TREND_HISTORY_H
#define TREND_HISTORY_H

#include "trend/trend.h"

#define TREND_POINTS 16

struct point {
	float bytes;
	uint32_t count; /* saturates */
};

struct history {
	struct point points[TREND_POINTS];
	uint64_t first_alert_ns;   /* 0: never growing or leaking */
	uint64_t confirmed_ns;     /* when the rule last gave the verdict in held */
	uint64_t confirmed_bytes;  /* live bytes then */
	uint64_t confirmed_closed; /* closed_count then */
	float growth_bytes_per_s;
	float confidence;
	uint8_t first;   /* the point at which the history begins */
	uint8_t verdict; /* enum verdict: what is reported */
	uint8_t held;    /* enum verdict: growing or leaking, as last confirmed; else stable */
};

struct series {
	struct site_count site;  /* as last seen */
	struct history *history; /* owned; NULL: never had enough objects */
};

_Static_assert(sizeof(struct series) + sizeof(struct history) <= 300,
	       "100,000 sites must fit the memory budget");

struct trend {
	struct trend_options options;
	struct series *series; /* sorted by key; owned */
	size_t nr_series, capacity;
	uint64_t times_ns[TREND_POINTS]; /* first poll of each point */
	unsigned int nr_points;
	unsigned int polls_per_point;
	unsigned int polls_in_last; /* polls that the last point stands for so far */
	uint64_t start_ns, now_ns;
	unsigned int sample_shift;
};

/* A history that begins at the last point; NULL: out of memory. */
struct history *history_new(const struct trend *trend);
/* Judges a site that has a history, after its last point was written. */
void history_judge(const struct trend *trend, const struct site_count *site,
		   struct history *history);
/* Objects per second by which the site grows; that of bytes is kept in the history. */
double history_growth_count(const struct trend *trend, const struct history *history);

#endif
