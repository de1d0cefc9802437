/* SPDX-License-Identifier: GPL-2.0-only */
/* The JSON writer, read back by another implementation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/writer.h"

/* A document under construction. */
struct document {
	struct writer writer;
	char *text;
	size_t len;
};

static void document_begin(struct document *document)
{
	memset(document, 0, sizeof(*document));
	document->writer.out = open_memstream(&document->text, &document->len);
	assert_non_null(document->writer.out);
	writer_begin_object(&document->writer, NULL);
}

/* Parses what was written. */
static json_t *document_end(struct document *document)
{
	json_error_t error;
	json_t *root;

	writer_end_object(&document->writer);
	writer_end_document(&document->writer);
	fclose(document->writer.out);
	root = json_loads(document->text, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (!root)
		fail_msg("%s at line %d: %s", error.text, error.line, document->text);
	free(document->text);
	return root;
}

static void assert_read_back(const char *written, const char *wanted)
{
	struct document document;
	json_t *root;

	document_begin(&document);
	writer_string(&document.writer, written, written);
	root = document_end(&document);
	assert_string_equal(json_string_value(json_object_get(root, wanted)), wanted);
	json_decref(root);
}

static void strings_are_escaped(void **state)
{
	char control[33];
	size_t i;

	(void)state;
	for (i = 0; i < 31; i++)
		control[i] = (char)(i + 1);
	control[31] = 0x7f;
	control[32] = '\0';
	assert_read_back("", "");
	assert_read_back("plain", "plain");
	assert_read_back("\"\\/", "\"\\/");
	assert_read_back(control, control);
	assert_read_back("ä€😀", "ä€😀");
	assert_read_back("\xc2\x80", "\xc2\x80");
}

static void invalid_utf8_is_replaced(void **state)
{
	(void)state;
	assert_read_back("a\xff"
			 "b",
			 "a\xef\xbf\xbd"
			 "b");
	assert_read_back("\xc3", "\xef\xbf\xbd");
	assert_read_back("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	assert_read_back("\xf0\x9f\x98", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	assert_read_back("\xef\xbf\xbd", "\xef\xbf\xbd");
}

static void scalars(void **state)
{
	struct document document;
	json_t *root;

	(void)state;
	document_begin(&document);
	writer_unsigned(&document.writer, "most", INT64_MAX);
	writer_signed(&document.writer, "least", INT64_MIN);
	writer_real(&document.writer, "real", 0.1);
	writer_real(&document.writer, "nan", NAN);
	writer_real(&document.writer, "infinite", -INFINITY);
	writer_bool(&document.writer, "yes", true);
	writer_bool(&document.writer, "no", false);
	writer_null(&document.writer, "null");
	writer_string(&document.writer, "no string", NULL);
	root = document_end(&document);
	assert_int_equal(json_object_size(root), 9);
	assert_true(json_integer_value(json_object_get(root, "most")) == INT64_MAX);
	assert_true(json_integer_value(json_object_get(root, "least")) == INT64_MIN);
	assert_true(json_real_value(json_object_get(root, "real")) == 0.1);
	assert_true(json_is_null(json_object_get(root, "nan")));
	assert_true(json_is_null(json_object_get(root, "infinite")));
	assert_true(json_is_true(json_object_get(root, "yes")));
	assert_true(json_is_false(json_object_get(root, "no")));
	assert_true(json_is_null(json_object_get(root, "null")));
	assert_true(json_is_null(json_object_get(root, "no string")));
	json_decref(root);
}

static void containers_nest(void **state)
{
	struct document document;
	json_t *root, *list;
	int i;

	(void)state;
	document_begin(&document);
	writer_begin_array(&document.writer, "empty");
	writer_end_array(&document.writer);
	writer_begin_array(&document.writer, "list");
	for (i = 0; i < 3; i++) {
		writer_begin_flat_object(&document.writer, NULL);
		writer_begin_array(&document.writer, "inner");
		writer_signed(&document.writer, NULL, i);
		writer_signed(&document.writer, NULL, -i);
		writer_end_array(&document.writer);
		writer_begin_object(&document.writer, "none");
		writer_end_object(&document.writer);
		writer_end_object(&document.writer);
	}
	writer_end_array(&document.writer);
	root = document_end(&document);
	assert_int_equal(json_array_size(json_object_get(root, "empty")), 0);
	list = json_object_get(root, "list");
	assert_int_equal(json_array_size(list), 3);
	list = json_object_get(json_array_get(list, 2), "inner");
	assert_int_equal(json_array_size(list), 2);
	assert_int_equal(json_integer_value(json_array_get(list, 1)), -2);
	json_decref(root);
}

/* The committed example is what DESIGN section 4 promises. */
static void report_keeps_the_contract(void **state)
{
	static const char *const top[] = { "schema",   "duration_s", "targets",
					   "findings", "losses",     "overhead" };
	static const char *const finding[] = {
		"kind",
		"verdict",
		"confidence",
		"pid",
		"live_count",
		"live_bytes",
		"opened_count",
		"closed_count",
		"opened_bytes",
		"closed_bytes",
		"growth_count_per_s",
		"growth_bytes_per_s",
		"first_alert_s",
		"oldest_s",
		"state",
		"stack",
	};
	static const char *const frame[] = { "function", "file",    "line",
					     "module",   "address", "inlined" };
	json_t *root = json_load_file(LEAKBPF_TESTS_DIR "/golden/report.json",
				      JSON_REJECT_DUPLICATES, NULL);
	json_t *first, *innermost;
	size_t i;

	(void)state;
	assert_non_null(root);
	assert_string_equal(json_string_value(json_object_get(root, "schema")), "leakbpf/1");
	for (i = 0; i < sizeof(top) / sizeof(top[0]); i++)
		assert_non_null(json_object_get(root, top[i]));
	first = json_array_get(json_object_get(root, "findings"), 0);
	for (i = 0; i < sizeof(finding) / sizeof(finding[0]); i++)
		assert_non_null(json_object_get(first, finding[i]));
	innermost = json_array_get(json_object_get(first, "stack"), 0);
	for (i = 0; i < sizeof(frame) / sizeof(frame[0]); i++)
		assert_non_null(json_object_get(innermost, frame[i]));
	assert_non_null(json_object_get(json_object_get(root, "losses"), "sampled_out"));
	assert_non_null(json_object_get(json_object_get(root, "overhead"), "probe_hits"));
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_are_escaped),
		cmocka_unit_test(invalid_utf8_is_replaced),
		cmocka_unit_test(scalars),
		cmocka_unit_test(containers_nest),
		cmocka_unit_test(report_keeps_the_contract),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
