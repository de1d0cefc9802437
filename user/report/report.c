/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/report.h"

#include <errno.h>

#include "report/write.h"

int report_write(FILE *out, const struct report *report, const struct report_options *options)
{
	static void (*const writers[])(FILE *, const struct report *,
				       const struct report_options *) = {
		[REPORT_TEXT] = write_text,
		[REPORT_JSON] = write_json,
		[REPORT_FOLDED] = write_folded,
	};

	errno = 0;
	writers[options->format](out, report, options);
	if (fflush(out) != 0 || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}
