/* SPDX-License-Identifier: GPL-2.0-only */
/* The formats, one writer each; errors are those of the stream. Private to the module. */
#ifndef REPORT_WRITE_H
#define REPORT_WRITE_H

#include "report/report.h"

void write_text(FILE *out, const struct report *report, const struct report_options *options);
void write_json(FILE *out, const struct report *report, const struct report_options *options);
void write_svg(FILE *out, const struct report *report, const struct report_options *options);
void write_html(FILE *out, const struct report *report, const struct report_options *options);
void write_folded(FILE *out, const struct report *report, const struct report_options *options);
void write_pprof(FILE *out, const struct report *report, const struct report_options *options);

/* Appends "process;[kind];outermost;...;innermost", made safe for folded lines. @kind NULL: without. */
struct buf;
void folded_stack(struct buf *line, const char *process, const char *kind,
		  const struct stack *stack);
/* Writes an element of the stack of a JSON document. */
struct writer;
void write_json_frame(struct writer *writer, const struct frame *frame);
/* Writes a packed and compressed profile. 0 or -ENOMEM. */
struct profile;
int write_profile_message(FILE *out, const struct profile *profile);

#endif
