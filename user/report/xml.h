/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Text made safe for SVG and HTML, in elements and in quoted attributes alike. Private to the
 * module.
 */
#ifndef REPORT_XML_H
#define REPORT_XML_H

#include "base/base.h"

/* Appends @text escaped. Lines stay; other controls and what XML 1.0 has no place for become
 * U+FFFD. */
void xml_text(struct buf *buf, const char *text);
/* The same for foreign text: cleaned first. */
void xml_foreign(struct buf *buf, const char *text);
/* Writes what was gathered and empties the buffer. */
void xml_flush(FILE *out, struct buf *buf);

/* The sources of style and script, made into arrays by the build: NUL-terminated. */
extern const char embedded_flame_css[], embedded_flame_js[];
extern const char embedded_page_css[], embedded_page_js[];

#endif
