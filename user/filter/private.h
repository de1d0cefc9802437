/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FILTER_PRIVATE_H
#define FILTER_PRIVATE_H

#include "filter/filter.h"

enum rule_what {
	RULE_ANYWHERE, /* function, module or file of any frame holds the pattern */
	RULE_KIND,
	RULE_FUNCTION,
	RULE_MODULE,
	RULE_FILE,
	RULE_TOP,     /* function of the innermost frame */
	RULE_CREATOR, /* of the outermost one: of a goroutine, what its creator called */
};

struct rule {
	enum rule_what what;
	char *pattern; /* of fnmatch(); owned */
	char *text;    /* "path:line: rule"; owned */
	uint64_t nr_uses;
};

struct filter {
	struct rule *rules; /* owned */
	size_t nr_rules, rules_capacity;
	uint64_t *hashes; /* of the stacks of the baseline; owned */
	size_t nr_hashes, hashes_capacity;
	bool is_sorted;
	bool baseline_used;
};

/* --- baseline.c --- */
bool baseline_has(struct filter *filter, const char *kind, const struct stack *stack);

#endif
