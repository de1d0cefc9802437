/* SPDX-License-Identifier: GPL-2.0-only */
/* Suppression files: "what:pattern", after LeakSanitizer's leak: and goleak's options. */
#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "filter/private.h"

static const struct {
	const char *name;
	enum rule_what what;
} words[] = {
	{ "leak", RULE_ANYWHERE },       { "kind", RULE_KIND },
	{ "function", RULE_FUNCTION },   { "module", RULE_MODULE },
	{ "file", RULE_FILE },           { "ignore-top", RULE_TOP },
	{ "ignore-any", RULE_FUNCTION }, { "ignore-created-by", RULE_CREATOR },
};

struct filter *filter_new(void)
{
	return calloc(1, sizeof(struct filter));
}

struct filter *filter_free(struct filter *filter)
{
	size_t i;

	if (!filter)
		return NULL;
	for (i = 0; i < filter->nr_rules; i++) {
		free(filter->rules[i].pattern);
		free(filter->rules[i].text);
	}
	free(filter->rules);
	free(filter->hashes);
	free(filter);
	return NULL;
}

static int find_what(const char *name, size_t len, enum rule_what *ret_what)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		if (strlen(words[i].name) == len && strncmp(words[i].name, name, len) == 0) {
			*ret_what = words[i].what;
			return 0;
		}
	}
	return -EINVAL;
}

/* LeakSanitizer's patterns match a part of the name; so do those of leak: here. */
static char *make_pattern(enum rule_what what, const char *text, size_t len)
{
	struct buf buf = { 0 };

	buf_puts(&buf, what == RULE_ANYWHERE ? "*" : "");
	buf_add(&buf, text, len);
	buf_puts(&buf, what == RULE_ANYWHERE ? "*" : "");
	if (buf.error)
		buf_done(&buf);
	return buf.data;
}

static char *make_text(const char *path, unsigned int line, const char *text, size_t len)
{
	struct buf buf = { 0 };

	buf_printf(&buf, "%s:%u: ", path, line);
	buf_add(&buf, text, len);
	if (buf.error)
		buf_done(&buf);
	return buf.data;
}

static int add_rule(struct filter *filter, struct rule *rule)
{
	void *rules = filter->rules;

	if (!rule->pattern || !rule->text ||
	    vec_reserve(&rules, &filter->rules_capacity, filter->nr_rules + 1, sizeof(*rule))) {
		free(rule->pattern);
		free(rule->text);
		return -ENOMEM;
	}
	filter->rules = rules;
	filter->rules[filter->nr_rules++] = *rule;
	return 0;
}

/* @text has no space at its ends and is not empty. */
static int parse_rule(struct filter *filter, const char *path, unsigned int line, const char *text,
		      size_t len, struct error *error)
{
	const char *colon = memchr(text, ':', len);
	struct rule rule = { 0 };
	size_t name_len, rest;

	if (memchr(text, '\0', len))
		return error_set(error, -EINVAL, "%s:%u: a NUL byte is no text", path, line);
	if (!colon)
		return error_set(error, -EINVAL, "%s:%u: a rule is WHAT:PATTERN, as in leak:name",
				 path, line);
	name_len = (size_t)(colon - text);
	rest = len - name_len - 1;
	if (find_what(text, name_len, &rule.what))
		return error_set(
			error, -EINVAL,
			"%s:%u: '%.*s' is no rule; there are leak, kind, function, module, "
			"file, ignore-top, ignore-any and ignore-created-by",
			path, line, (int)MIN(name_len, 40), text);
	if (rest == 0)
		return error_set(error, -EINVAL, "%s:%u: the pattern is empty", path, line);
	if (rest > FILTER_MAX_WORD)
		return error_set(error, -EINVAL, "%s:%u: the pattern is longer than %d bytes", path,
				 line, FILTER_MAX_WORD);
	if (filter->nr_rules >= FILTER_MAX_RULES)
		return error_set(error, -E2BIG, "%s:%u: more than %d rules", path, line,
				 FILTER_MAX_RULES);
	rule.pattern = make_pattern(rule.what, colon + 1, rest);
	rule.text = make_text(path, line, text, len);
	return add_rule(filter, &rule) ? error_set(error, -ENOMEM, "out of memory") : 0;
}

int filter_add_rules(struct filter *filter, const char *path, const char *text, size_t len,
		     struct error *error)
{
	const char *end = text + len;
	unsigned int line = 0;

	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *stop = newline ? newline : end, *next = newline ? newline + 1 : end;
		int code;

		line++;
		while (text < stop && isspace((unsigned char)*text))
			text++;
		while (stop > text && isspace((unsigned char)stop[-1]))
			stop--;
		code = text == stop || *text == '#'
			       ? 0
			       : parse_rule(filter, path, line, text, (size_t)(stop - text), error);
		if (code)
			return code;
		text = next;
	}
	return 0;
}

int filter_read(struct filter *filter, const char *path, struct error *error)
{
	char *text __cleanup_string = NULL;
	size_t len;
	int code = io_read_file(path, FILTER_MAX_FILE, &text, &len);

	if (code)
		return error_set(error, code, "cannot read the suppressions '%s': %s", path,
				 strerror(-code));
	return filter_add_rules(filter, path, text, len, error);
}

static bool fits(const char *pattern, const char *text)
{
	return text && fnmatch(pattern, text, 0) == 0;
}

/* A go statement is also known by the function it is in. */
static bool fits_function(const char *pattern, const char *function)
{
	static const size_t prefix = sizeof(CREATED_BY) - 1;

	return fits(pattern, function) || (function && !strncmp(function, CREATED_BY, prefix) &&
					   fits(pattern, function + prefix));
}

/* Modules are also known by their names without folders. */
static bool fits_path(const char *pattern, const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return fits(pattern, path) || (slash && fits(pattern, slash + 1));
}

static bool frame_fits(const struct rule *rule, const struct frame *frame)
{
	switch (rule->what) {
	case RULE_ANYWHERE:
		return fits_function(rule->pattern, frame->function) ||
		       fits(rule->pattern, frame->module) || fits(rule->pattern, frame->file);
	case RULE_MODULE:
		return fits_path(rule->pattern, frame->module);
	case RULE_FILE:
		return fits_path(rule->pattern, frame->file);
	default:
		return fits_function(rule->pattern, frame->function);
	}
}

static bool rule_fits(const struct rule *rule, const char *kind, const struct stack *stack)
{
	size_t first = 0, end = stack ? stack->nr_frames : 0;

	if (rule->what == RULE_KIND)
		return fits(rule->pattern, kind);
	if (rule->what == RULE_TOP)
		end = MIN(end, 1);
	else if (rule->what == RULE_CREATOR && end > 0)
		first = end - 1;
	for (; first < end; first++) {
		if (frame_fits(rule, &stack->frames[first]))
			return true;
	}
	return false;
}

bool filter_drops(struct filter *filter, const char *kind, const struct stack *stack)
{
	size_t i;

	for (i = 0; i < filter->nr_rules; i++) {
		if (rule_fits(&filter->rules[i], kind, stack)) {
			filter->rules[i].nr_uses++;
			return true;
		}
	}
	if (!baseline_has(filter, kind, stack))
		return false;
	filter->baseline_used = true;
	return true;
}

void filter_reset(struct filter *filter)
{
	size_t i;

	for (i = 0; i < filter->nr_rules; i++)
		filter->rules[i].nr_uses = 0;
	filter->baseline_used = false;
}

size_t filter_used(const struct filter *filter)
{
	size_t used = filter->baseline_used, i;

	for (i = 0; i < filter->nr_rules; i++)
		used += filter->rules[i].nr_uses > 0;
	return used;
}

const char *filter_unused(const struct filter *filter, size_t at)
{
	size_t i;

	for (i = 0; i < filter->nr_rules; i++) {
		if (filter->rules[i].nr_uses == 0 && at-- == 0)
			return filter->rules[i].text;
	}
	return NULL;
}
