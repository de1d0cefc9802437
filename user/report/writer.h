/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A streaming JSON writer: what is begun must be ended, names are given in objects and NULL in
 * arrays. Errors are those of the stream. Private to the module.
 */
#ifndef REPORT_WRITER_H
#define REPORT_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct writer {
	FILE *out;
	unsigned int depth;
	unsigned int flat; /* depth from which all stands on one line; 0: none */
	bool begun;        /* the innermost container has an element */
};

void writer_begin_object(struct writer *writer, const char *name);
void writer_end_object(struct writer *writer);
void writer_begin_array(struct writer *writer, const char *name);
void writer_end_array(struct writer *writer);
/* The same, with all that it holds on one line. */
void writer_begin_flat_object(struct writer *writer, const char *name);

/* Control characters are escaped, invalid UTF-8 becomes U+FFFD; NULL: null. */
void writer_string(struct writer *writer, const char *name, const char *value);
void writer_unsigned(struct writer *writer, const char *name, uint64_t value);
void writer_signed(struct writer *writer, const char *name, int64_t value);
void writer_real(struct writer *writer, const char *name, double value); /* not finite: null */
void writer_bool(struct writer *writer, const char *name, bool value);
void writer_null(struct writer *writer, const char *name);
/* Ends the document. */
void writer_end_document(struct writer *writer);

#endif
