/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every workload shares: sites that the compiler keeps, ground truth, phases driven by a test.
 *
 * A workload prints "ready PID", then reads one phase per line from stdin ("NAME" or "NAME
 * NUMBER"), runs it and answers "done NAME". It ends with "exit" or at the end of its input, so it
 * never outlives the test that drives it. In between it prints what it did:
 *
 *	EXPECT kind=heap site=leak_malloc count=100 bytes=4800 via=-
 *
 * Since it was started, site has opened that many objects of the kind which are still open. via
 * tells where else they may be found by a tool that cannot see the caller of a library compiled
 * without frame pointers: function or module names of the innermost frame, separated by '|'.
 *
 * Nothing in here allocates. C and C++.
 */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A function that keeps its name and its frame. */
#if defined(__clang__)
#define SITE __attribute__((noinline, optnone))
#else
#define SITE __attribute__((noipa))
#endif

#define LEAKS 100 /* blocks that each site of an API leaks */

struct workload_phase {
	const char *name;
	void (*run)(long number);
};

/* Makes the compiler believe that @pointer is used, and ends tail calls. */
static inline void keep(void *pointer)
{
	__asm__ volatile("" : : "r"(pointer) : "memory");
}

/* Hides from the compiler what it knows about @value. */
static inline size_t opaque(size_t value)
{
	__asm__ volatile("" : "+r"(value));
	return value;
}

static inline void workload_die(const char *what)
{
	char line[256];
	int len = snprintf(line, sizeof(line), "workload: %s: %s\n", what, strerror(errno));

	if (write(2, line, (size_t)len) < 0)
		_exit(4);
	_exit(3);
}

/* Prints one line. */
__attribute__((format(printf, 1, 2))) static inline void workload_say(const char *format, ...)
{
	char line[512];
	size_t len, done = 0;
	va_list args;

	va_start(args, format);
	len = (size_t)vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	line[len++] = '\n';
	while (done < len) {
		ssize_t n = write(1, line + done, len - done);

		if (n < 0)
			_exit(4);
		done += (size_t)n;
	}
}

static inline void expect_via(const char *kind, const char *site, size_t count, size_t bytes,
			      const char *via)
{
	workload_say("EXPECT kind=%s site=%s count=%zu bytes=%zu via=%s", kind, site, count, bytes,
		     via);
}

static inline void expect(const char *kind, const char *site, size_t count, size_t bytes)
{
	expect_via(kind, site, count, bytes, "-");
}

/* Reads one line of stdin into @line without its end. False: end of the input. */
static inline int workload_read_line(char *line, size_t size)
{
	size_t len = 0;
	char c;

	while (read(0, &c, 1) == 1) {
		if (c == '\n') {
			line[len] = '\0';
			return 1;
		}
		if (len + 1 < size)
			line[len++] = c;
	}
	return 0;
}

/* Runs the phase that @line names. */
static inline void workload_run(const struct workload_phase *phases, size_t nr_phases, char *line)
{
	char *number = strchr(line, ' ');
	size_t i;

	if (number)
		*number++ = '\0';
	for (i = 0; i < nr_phases; i++) {
		if (strcmp(phases[i].name, line) == 0) {
			phases[i].run(number ? strtol(number, NULL, 10) : 0);
			workload_say("done %s", line);
			return;
		}
	}
	workload_say("error %s", line);
}

/* The main loop of a workload; returns its exit status. */
static inline int workload_serve(const struct workload_phase *phases, size_t nr_phases)
{
	char line[256];

	workload_say("ready %d", (int)getpid());
	while (workload_read_line(line, sizeof(line))) {
		if (strcmp(line, "exit") == 0) {
			workload_say("done exit");
			return 0;
		}
		workload_run(phases, nr_phases, line);
	}
	return 0;
}

#define WORKLOAD_SERVE(phases) workload_serve(phases, sizeof(phases) / sizeof((phases)[0]))

#endif
