/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Flame graphs: stacks merged from the root on, laid out as boxes. Private to the module.
 *
 * A box stands for one call path; it is as wide as the weight of all stacks that go through it.
 */
#ifndef REPORT_FLAME_H
#define REPORT_FLAME_H

#include "base/base.h"
#include "report/report.h"

#define FLAME_MAX_BOXES 20000 /* that many a browser still zooms at once */

/* One level of a stack, counted from the root. */
struct flame_level {
	const char *label;         /* a process, or why a frame is not there; NULL: a frame */
	const struct frame *frame; /* NULL: a label */
};

struct flame_box {
	struct flame_level level;
	unsigned int depth;   /* 0: the root, which stands for everything */
	uint64_t start;       /* the weight to its left */
	uint64_t weight;      /* its width */
	uint64_t before;      /* sums over its stacks */
	uint64_t after;       /* the same */
	uint64_t count;       /* the same */
	enum verdict verdict; /* the worst of its stacks */
	uint64_t alarming;    /* weight of the stacks with that verdict */
	int first_line;       /* of the lines in the source, when the frame has any */
	int last_line;
	unsigned int kinds; /* bits of enum lb_kind */
};

struct flame {
	struct flame_box *boxes; /* every box before those it calls; owned */
	size_t nr_boxes;
	size_t capacity;
	unsigned int nr_levels;            /* of the deepest box, the root included */
	const struct flame_stack **stacks; /* sorted from the root on; owned */
	size_t nr_stacks;
	uint64_t total;      /* weight of the root */
	size_t nr_cut;       /* stacks that are not drawn to their end: too narrow */
	uint64_t cut_weight; /* of them */
	double least_share;  /* boxes narrower than this share of the total are not drawn */
	bool difference;
};

/* The width of a stack: of a difference the larger one of both weights. */
uint64_t flame_weight(const struct flame_stack *stack, bool difference);

/* Merges and lays out those stacks of the input that are counted (or not: @counted). 0, also when
 * there are none, or -ENOMEM. */
int flame_build(const struct flame_input *input, bool counted, struct flame *ret_flame);
void flame_done(struct flame *flame);
DEFINE_CLEANUP(flame, struct flame, flame_done(value))

/* --- svg.c --- */
/* Writes an <svg> element: @alone with all it needs, to be a file of its own, otherwise as a part
 * of a page that has the style and the script. 0 or -ENOMEM. */
int flame_element(FILE *out, const struct flame_input *input, bool alone);

/* --- flame_report.c --- */
/* Writes the flame graph of the findings as an element. */
void flame_report(FILE *out, const struct report *report, const struct report_options *options,
		  bool alone);

#endif
