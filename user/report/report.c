/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/report.h"

#include <errno.h>

#include "report/write.h"

bool report_is_profile(enum report_format format)
{
	return format == REPORT_FOLDED || format == REPORT_PPROF || format == REPORT_SVG;
}

bool report_is_binary(enum report_format format)
{
	return format == REPORT_PPROF;
}

/* A writer that runs out of memory leaves that in errno: its report is not complete. */
int report_write(FILE *out, const struct report *report, const struct report_options *options)
{
	static void (*const writers[])(FILE *, const struct report *,
				       const struct report_options *) = {
		[REPORT_TEXT] = write_text,     [REPORT_JSON] = write_json,
		[REPORT_FOLDED] = write_folded, [REPORT_PPROF] = write_pprof,
		[REPORT_SVG] = write_svg,       [REPORT_HTML] = write_html,
	};

	errno = 0;
	writers[options->format](out, report, options);
	if (errno == ENOMEM)
		return -ENOMEM;
	if (fflush(out) != 0 || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}
