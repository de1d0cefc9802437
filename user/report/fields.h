/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The field table: what is said of a finding, in every format. Private to the module.
 *
 * A field added here appears in JSON under its name; live_table.c chooses the columns of the live
 * screen.
 */
#ifndef REPORT_FIELDS_H
#define REPORT_FIELDS_H

#include "report/text.h"

enum unit {
	UNIT_NONE, /* names, flags, plain numbers */
	UNIT_COUNT,
	UNIT_BYTES,
	UNIT_SECONDS,
	UNIT_WAIT, /* seconds, often few */
	UNIT_COUNT_PER_S,
	UNIT_BYTES_PER_S,
};

enum value_type {
	VALUE_UNKNOWN,
	VALUE_TEXT,
	VALUE_SENTENCE,
	VALUE_INTEGER,
	VALUE_REAL,
	VALUE_BOOL,
};

struct value {
	enum value_type type;
	const char *text;
	char sentence[256]; /* a text made for this finding */
	uint64_t integer;   /* also the flag */
	double real;
};

enum field_id {
	FIELD_KIND,
	FIELD_VERDICT,
	FIELD_CONFIDENCE,
	FIELD_PID,
	FIELD_LIVE_COUNT,
	FIELD_LIVE_BYTES,
	FIELD_OPENED_COUNT,
	FIELD_CLOSED_COUNT,
	FIELD_OPENED_BYTES,
	FIELD_CLOSED_BYTES,
	FIELD_GROWTH_COUNT,
	FIELD_GROWTH_BYTES,
	FIELD_GROWTH_COUNT_LOW,
	FIELD_GROWTH_COUNT_HIGH,
	FIELD_GROWTH_BYTES_LOW,
	FIELD_GROWTH_BYTES_HIGH,
	FIELD_FIRST_ALERT,
	FIELD_OLDEST,
	FIELD_NR_STACKS,
	FIELD_WAITED,
	FIELD_LONGEST,
	FIELD_WHY,
	FIELD_STATE,
	FIELD_PROOF,
	FIELD_ESTIMATED,
	FIELD_STACK_TRUNCATED,
	FIELD_STACK_INCOMPLETE,
	FIELD_MAX,
};

struct field {
	const char *name; /* in JSON */
	enum unit unit;
	struct value (*get)(const struct finding *finding);
};

extern const struct field fields[FIELD_MAX];

/* The growth to show: in bytes, or of kinds without bytes in objects. */
enum field_id growth_field(const struct finding *finding);
/* Could any generation tell of it yet? Texts show "-" else. */
bool growth_is_known(const struct finding *finding);
/* Appends the value for people: "1.5 KiB/s", "28 s", "-" when it is not known. */
void field_text(struct buf *buf, enum field_id id, const struct finding *finding);

#endif
