/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/base.h"

#include <errno.h>
#include <string.h>

static enum log_level log_level = LOG_NORMAL;

void log_set_level(enum log_level level)
{
	log_level = level;
}

enum log_level log_get_level(void)
{
	return log_level;
}

/* A newline that ends the message already is not doubled: libbpf's messages bring one. */
void log_write_args(enum log_level level, const char *format, va_list args)
{
	int saved = errno;
	size_t len = strlen(format);

	if (log_level < level)
		return;
	flockfile(stderr);
	fputs("leakbpf: ", stderr);
	vfprintf(stderr, format, args);
	if (!len || format[len - 1] != '\n')
		fputc('\n', stderr);
	funlockfile(stderr);
	errno = saved;
}

void log_write(enum log_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_write_args(level, format, args);
	va_end(args);
}
