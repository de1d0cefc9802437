/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where reports go: a file that appears whole or not at all, or standard output. Private to the
 * module.
 */
#ifndef CMD_OUTPUT_H
#define CMD_OUTPUT_H

#include "base/base.h"
#include "report/report.h"

/* Can a report be written to @path later? Said before anything is attached. Symbolic links are not
 * followed: leakbpf runs as root. */
int output_check(const char *path, struct error *error);
/* Standard output, as good as new: it waits when it is full, also after a program that shares it has
 * made it return then; what failed before may work now. */
FILE *output_stdout(void);
/* Writes something to a stream. 0 or -errno. */
typedef int output_writer(FILE *out, const void *what);
/* Writes @what to @path: under another name first, then renamed. NULL or "-": standard output.
 * -EPIPE: nobody reads it (no sentence then). */
int output_write_by(const char *path, output_writer *write, const void *what, struct error *error);
/* Writes the report to @path in the same way. */
int output_write(const char *path, const struct report *report,
		 const struct report_options *options, struct error *error);

#endif
