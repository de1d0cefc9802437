/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A streaming JSON writer: what is begun must be ended, names are given in objects and NULL in
 * arrays. Errors are those of the stream. Private to the module.
 */
#ifndef REPORT_JSON_H
#define REPORT_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
	FILE *out;
	unsigned int depth;
	unsigned int flat; /* depth from which all stands on one line; 0: none */
	bool begun;        /* the innermost container has an element */
};

void json_begin_object(struct json *json, const char *name);
void json_end_object(struct json *json);
void json_begin_array(struct json *json, const char *name);
void json_end_array(struct json *json);
/* The same, with all that it holds on one line. */
void json_begin_flat_object(struct json *json, const char *name);

/* Control characters are escaped, invalid UTF-8 becomes U+FFFD; NULL: null. */
void json_string(struct json *json, const char *name, const char *value);
void json_unsigned(struct json *json, const char *name, uint64_t value);
void json_signed(struct json *json, const char *name, int64_t value);
void json_real(struct json *json, const char *name, double value); /* not finite: null */
void json_bool(struct json *json, const char *name, bool value);
void json_null(struct json *json, const char *name);
/* Ends the document. */
void json_end_document(struct json *json);

#endif
