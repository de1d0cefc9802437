/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the user does not want to be told of: rules of suppression files, and stacks that a baseline
 * holds. Pure: a finding and its stack are matched, nothing is printed or watched.
 */
#ifndef FILTER_FILTER_H
#define FILTER_FILTER_H

#include "base/base.h"
#include "model.h"

#define FILTER_MAX_FILE  (1024 * 1024) /* bytes of a suppression file */
#define FILTER_MAX_RULES 10000
#define FILTER_MAX_WORD  512                 /* bytes of a pattern */
#define BASELINE_MAX     (256 * 1024 * 1024) /* bytes of a baseline */

struct filter;

struct filter *filter_new(void); /* NULL: out of memory */
struct filter *filter_free(struct filter *filter);

/* Adds the rules in @text, one per line; @path names it in @error ("path:line: what is wrong"). On
 * failure some of them may have been added. */
int filter_add_rules(struct filter *filter, const char *path, const char *text, size_t len,
		     struct error *error);
/* Reads the suppression file @path. */
int filter_read(struct filter *filter, const char *path, struct error *error);

/* Adds a stack to the baseline. Stacks are the same when kind and function names are, so a rebuild
 * of the program changes nothing. 0 or -ENOMEM. */
int filter_add_stack(struct filter *filter, const char *kind, const struct stack *stack);
/* Adds the stacks of all findings in a JSON report. */
int filter_add_report(struct filter *filter, const char *path, const char *text, size_t len,
		      struct error *error);

/* Is a finding of this kind and stack (NULL: unknown) not to be told? Counts the use of the rule. */
bool filter_drops(struct filter *filter, const char *kind, const struct stack *stack);
/* Forgets all uses. */
void filter_reset(struct filter *filter);
/* How many rules were used since; the baseline counts as one. */
size_t filter_used(const struct filter *filter);
/* The text of the @at-th rule that was never used ("path:line: rule"), owned by the filter; NULL: there
 * are no more. */
const char *filter_unused(const struct filter *filter, size_t at);

#endif
