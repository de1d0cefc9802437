/* SPDX-License-Identifier: GPL-2.0-only */
/* The formats, one writer each; errors are those of the stream. Private to the module. */
#ifndef REPORT_WRITE_H
#define REPORT_WRITE_H

#include "report/report.h"

void write_text(FILE *out, const struct report *report, const struct report_options *options);
void write_json(FILE *out, const struct report *report, const struct report_options *options);
void write_folded(FILE *out, const struct report *report, const struct report_options *options);

#endif
