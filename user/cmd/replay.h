/* SPDX-License-Identifier: GPL-2.0-only */
/* A recording read back, up to a point. Private to the module. */
#ifndef CMD_REPLAY_H
#define CMD_REPLAY_H

#include "base/base.h"
#include "record/record.h"

/* The last poll at or before a moment. */
struct point {
	double seconds; /* since the recording began; < 0: no limit */
	uint64_t poll;  /* from 1 up; 0: no limit */
};

#define POINT_END ((struct point){ .seconds = -1 })

/* "60", "60s" or "poll12". */
int parse_point(const char *text, struct point *ret_point, struct error *error);

/* Zero-initialise. */
struct replay {
	char *path; /* owned */
	FILE *in;
	struct record_reader *reader;
	struct record_poll poll; /* the last one read */
};

/* Opens @path, to be read up to @point. */
int replay_open(const char *path, const struct point *point, struct replay *ret_replay,
		struct error *error);
/* Reads the next poll. 1: there is one, 0: no more, or an error. */
int replay_next(struct replay *replay, struct error *error);
/* After the last poll: when not all could be read, that is said on standard error; when nothing
 * could, it is an error. */
int replay_end(const struct replay *replay, struct error *error);
/* Seconds from the start to the last poll that was read. */
double replay_seconds(const struct replay *replay);
/* When that was, in nanoseconds since 1970. */
uint64_t replay_time_ns(const struct replay *replay);
void replay_done(struct replay *replay);

#endif
