/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/base.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void base_close_fd(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

void base_close_file(FILE **file)
{
	int saved = errno;

	if (*file)
		fclose(*file);
	*file = NULL;
	errno = saved;
}

void base_free_string(char **string)
{
	free(*string);
	*string = NULL;
}
