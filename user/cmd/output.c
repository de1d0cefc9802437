/* SPDX-License-Identifier: GPL-2.0-only */
#include "cmd/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_stdout(const char *path)
{
	return !path || strcmp(path, "-") == 0;
}

static int cannot_write(struct error *error, int code, const char *path, const char *why)
{
	return error_set(error, code, "cannot write the report to '%s': %s", path, why);
}

/* Is there something at @path that is written to as it is: a device, a pipe? */
static bool is_special(const char *path)
{
	struct stat status;

	return lstat(path, &status) == 0 && !S_ISREG(status.st_mode);
}

/* A new file beside @path, whose name goes to @name. Returns a descriptor. */
static int open_temporary(const char *path, char name[PATH_MAX])
{
	int len = snprintf(name, PATH_MAX, "%s.%d.part", path, (int)getpid());
	int fd;

	if (len < 0 || len >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd;
}

static int open_special(const char *path)
{
	int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static const char *reason(int code)
{
	return code == -ELOOP ? "it is a symbolic link, and those are not followed"
			      : strerror(-code);
}

int output_check(const char *path, struct error *error)
{
	char name[PATH_MAX] = "";
	int fd __cleanup_fd = -1;

	if (is_stdout(path))
		return 0;
	if (is_special(path)) {
		struct stat status;

		/* opening a pipe would wait for its reader */
		if (stat(path, &status) == 0 && S_ISFIFO(status.st_mode))
			return 0;
		fd = open_special(path);
	} else {
		fd = open_temporary(path, name);
	}
	if (fd < 0)
		return cannot_write(error, fd, path, reason(fd));
	if (name[0])
		unlink(name);
	return 0;
}

/* Writes and closes @fd. */
static int write_and_close(int fd, output_writer *write, const void *what)
{
	FILE *out = fdopen(fd, "w");
	int code;

	if (!out) {
		code = -errno;
		close(fd);
		return code;
	}
	code = write(out, what);
	if (fclose(out) != 0 && !code)
		code = -errno;
	return code;
}

static int write_file(const char *path, output_writer *write, const void *what)
{
	char name[PATH_MAX] = "";
	int fd, code;

	if (is_special(path)) {
		fd = open_special(path);
		return fd < 0 ? fd : write_and_close(fd, write, what);
	}
	fd = open_temporary(path, name);
	if (fd < 0)
		return fd;
	code = write_and_close(fd, write, what);
	if (!code && rename(name, path) != 0)
		code = -errno;
	if (code)
		unlink(name);
	return code;
}

/* Opens the pipe or terminal at @fd anew, so that it waits when it is full and for others, who share
 * @fd, nothing changes. What can not be opened anew (sockets, a pipe that nobody reads) stays. */
static void wait_when_full(int fd)
{
	int own __cleanup_fd = -1;
	struct stat status;
	char path[32];

	if (!(fcntl(fd, F_GETFL) & O_NONBLOCK) || fstat(fd, &status) ||
	    !(S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)))
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own >= 0 && fcntl(own, F_SETFL, 0) == 0)
		dup2(own, fd);
}

FILE *output_stdout(void)
{
	wait_when_full(STDOUT_FILENO);
	clearerr(stdout);
	return stdout;
}

int output_write_by(const char *path, output_writer *write, const void *what, struct error *error)
{
	int code = is_stdout(path) ? write(output_stdout(), what) : write_file(path, write, what);

	if (!code || code == -EPIPE)
		return code;
	return cannot_write(error, code, is_stdout(path) ? "standard output" : path, reason(code));
}

/* A report and how it is to look. */
struct document {
	const struct report *report;
	const struct report_options *options;
};

static int write_document(FILE *out, const void *what)
{
	const struct document *document = what;

	return report_write(out, document->report, document->options);
}

int output_write(const char *path, const struct report *report,
		 const struct report_options *options, struct error *error)
{
	const struct document document = { .report = report, .options = options };

	return output_write_by(path, write_document, &document, error);
}
