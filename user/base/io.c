/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define FIRST_READ 4096

/* read() until @len bytes are there or the file ends; the number of bytes or -errno. */
static ssize_t read_full(int fd, char *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* Files of /proc tell no size, so the buffer doubles until the end is seen. One byte more than
 * @limit is asked for: it tells a file that is too long. */
int io_read_file(const char *path, size_t limit, char **ret_data, size_t *ret_len)
{
	int fd __cleanup_fd = open(path, O_RDONLY | O_CLOEXEC);
	char *data __cleanup_string = NULL;
	size_t room = 0, len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (limit >= SIZE_MAX / 4)
		return -EINVAL;
	do {
		char *grown;

		room = MIN(MAX(room * 2, FIRST_READ), limit + 1);
		grown = realloc(data, room + 1);
		if (!grown)
			return -ENOMEM;
		data = grown;
		n = read_full(fd, data + len, room - len);
		if (n < 0)
			return (int)n;
		len += (size_t)n;
	} while (len == room && len <= limit);
	if (len > limit)
		return -EFBIG;
	data[len] = '\0';
	*ret_data = take(data);
	*ret_len = len;
	return 0;
}

int io_pread_full(int fd, void *data, size_t len, uint64_t offset)
{
	char *bytes = data;

	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return -EINVAL;
	while (len) {
		ssize_t n = pread(fd, bytes, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		bytes += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}
