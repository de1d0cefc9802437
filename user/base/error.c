/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/base.h"

int error_set(struct error *error, int code, const char *format, ...)
{
	va_list args;

	if (!error || error->text[0])
		return code;
	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	for (char *c = error->text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?'; /* names in it come from watched processes */
	return code;
}
