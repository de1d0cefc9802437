/* SPDX-License-Identifier: GPL-2.0-only */
/* What the user does not want to be told of. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/options.h"
#include "cmd/replay.h"

static int need_filter(struct options *options, struct error *error)
{
	if (!options->filter)
		options->filter = filter_new();
	return options->filter ? 0 : error_set(error, -ENOMEM, "out of memory");
}

int options_suppress(struct options *options, const char *path, struct error *error)
{
	int code = need_filter(options, error);

	return code ? code : filter_read(options->filter, path, error);
}

DEFINE_CLEANUP(replay, struct replay, replay_done(value))

/* The stacks of the last poll of a recording. */
static int add_recording(struct filter *filter, const char *path, struct error *error)
{
	const struct point end = POINT_END;
	struct replay replay __cleanup_of(replay) = { 0 };
	int code = replay_open(path, &end, &replay, error);

	while (!code && (code = replay_next(&replay, error)) == 1)
		code = 0;
	if (!code)
		code = replay_end(&replay, error);
	for (size_t i = 0; !code && i < replay.poll.snapshot->nr_sites; i++) {
		const struct lb_site_key *key = &replay.poll.snapshot->sites[i].key;

		code = filter_add_stack(filter, kind_name((enum lb_kind)key->kind),
					record_stack(replay.reader, key));
	}
	return code ? error_set(error, code, "out of memory") : 0;
}

int options_baseline(struct options *options, const char *path, struct error *error)
{
	char *text __cleanup_string = NULL;
	size_t len = 0;
	int code = need_filter(options, error);

	if (code)
		return code;
	code = io_read_file(path, BASELINE_MAX, &text, &len);
	if (code)
		return error_set(error, code, "cannot read the baseline '%s': %s", path,
				 strerror(-code));
	if (len > 0 && text[strspn(text, " \t\r\n")] == '{')
		return filter_add_report(options->filter, path, text, len, error);
	return add_recording(options->filter, path, error);
}

size_t findings_suppress(struct filter *filter, struct finding *findings, size_t nr,
			 size_t verdicts[VERDICT_LEAKING + 1])
{
	size_t kept = 0, i;

	filter_reset(filter);
	for (i = 0; i < nr; i++) {
		const char *kind = kind_name((enum lb_kind)findings[i].site.key.kind);

		if (filter_drops(filter, kind, findings[i].stack))
			verdicts[findings[i].verdict]++;
		else
			findings[kept++] = findings[i];
	}
	return kept;
}
