/* SPDX-License-Identifier: GPL-2.0-only */
/* What the formats of a difference share. Private to the module. */
#ifndef REPORT_DIFFERENCE_H
#define REPORT_DIFFERENCE_H

#include "base/base.h"
#include "record/record.h"
#include "report/report.h"

/* What @after has more than @before. */
int64_t difference_of(uint64_t before, uint64_t after);
/* Is the change to be shown? */
bool change_is_shown(const struct record_change *change, const struct difference_options *options);
/* The number of changes to look at: those beyond are not shown. */
size_t changes_shown(const struct difference *difference, const struct difference_options *options);
/* The weight of the kind: live bytes, or objects where it has no bytes. */
uint64_t change_before(const struct record_change *change);
uint64_t change_after(const struct record_change *change);

/* Appends "from FILE at 10 s to FILE at 60 s". */
void text_moments(struct buf *text, const struct difference *difference);
void difference_text(FILE *out, const struct difference *difference,
		     const struct difference_options *options);
void difference_json(FILE *out, const struct difference *difference,
		     const struct difference_options *options);
/* 0 or -ENOMEM. */
int difference_pprof(FILE *out, const struct difference *difference,
		     const struct difference_options *options);

#endif
