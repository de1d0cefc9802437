/* SPDX-License-Identifier: GPL-2.0-only */
/* Parts of the HTML report. Private to the module. */
#ifndef REPORT_HTML_H
#define REPORT_HTML_H

#include "base/base.h"
#include "report/report.h"

#define HTML_MAX_FINDINGS 500 /* more make a page that browsers are slow with */

/* --- html_findings.c --- */
/* How many of the findings the table shows. */
size_t html_shown(const struct report *report, const struct report_options *options);
/* Writes the table of findings, or what it is worth that there are none. */
void html_findings(FILE *out, const struct report *report, const struct report_options *options);

/* --- html_plot.c --- */
/* Appends the history of the finding as a plot with axes. */
void html_plot(struct buf *html, const struct finding *finding);
/* The same, the size of a word. */
void html_spark(struct buf *html, const struct finding *finding);

#endif
