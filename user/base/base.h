/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every module may use: cleanup, memory, strings, logging, the clock, whole-file reads.
 * Low level: must not know of processes, probes or leaks.
 *
 * Results: 0 or positive on success, -errno on failure; outputs named ret_ are written only on
 * success. Nothing here prints but log_write().
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)     ((a) < (b) ? (a) : (b))
#define MAX(a, b)     ((a) > (b) ? (a) : (b))

#define NSEC_PER_SEC 1000000000ULL

/* --- cleanup.c: scope-bound ownership ---
 * DEFINE_CLEANUP(name, type, release) defines a typed cleanup function; __cleanup_of(name) on a
 * declaration runs it at the end of the scope. take(p) hands the value over and leaves NULL.
 * Never mixed with goto in one function.
 */
#define DEFINE_CLEANUP(name, type, release)                                                        \
	static inline void cleanup_##name(type *value)                                             \
	{                                                                                          \
		release;                                                                           \
	}
#define __cleanup_of(name) __attribute__((cleanup(cleanup_##name)))

#define take(p)                                                                                    \
	__extension__({                                                                            \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

void base_close_fd(int *fd);       /* closes *fd when it is >= 0; keeps errno */
void base_close_file(FILE **file); /* closes *file when not NULL; keeps errno */
void base_free_string(char **string);

#define __cleanup_fd     __attribute__((cleanup(base_close_fd)))
#define __cleanup_file   __attribute__((cleanup(base_close_file)))
#define __cleanup_string __attribute__((cleanup(base_free_string)))

/* --- vec.c: growable arrays ---
 * Makes room for @wanted elements of @size bytes in *@items, whose capacity is *@capacity.
 * Returns 0 or -ENOMEM (then nothing has changed).
 */
int vec_reserve(void **items, size_t *capacity, size_t wanted, size_t size);

/* --- buf.c: a growing string ---
 * Zero-initialise. After an out of memory error further calls do nothing and buf_error() tells.
 */
struct buf {
	char *data; /* always NUL-terminated once anything was added; owned */
	size_t len;
	size_t capacity;
	int error; /* 0 or -ENOMEM */
};

void buf_add(struct buf *buf, const char *bytes, size_t len);
void buf_puts(struct buf *buf, const char *string);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_reset(struct buf *buf); /* empties, keeps the memory */
void buf_done(struct buf *buf);  /* frees the memory */

#define __cleanup_buf __attribute__((cleanup(buf_done)))

/* --- strings.c: interned strings ---
 * Equal strings share one copy that lives as long as the pool.
 */
struct strings;
struct strings *strings_new(void); /* NULL: out of memory */
struct strings *strings_free(struct strings *pool);
/* Returns the pool's copy of @string, or NULL when out of memory or @string is NULL. */
const char *strings_intern(struct strings *pool, const char *string);

/* --- io.c --- */
/* Reads at most @limit bytes of the file at @path; *@ret_data is NUL-terminated (not counted) and
 * owned by the caller. -EFBIG when the file is longer. */
int io_read_file(const char *path, size_t limit, char **ret_data, size_t *ret_len);
/* Reads exactly @len bytes at @offset. -EIO when the file ends before. */
int io_pread_full(int fd, void *data, size_t len, uint64_t offset);

/* --- clock.c --- */
uint64_t clock_monotonic_ns(void); /* CLOCK_MONOTONIC, as bpf_ktime_get_ns() */

/* --- log.c: diagnostics for developers and -v; user-facing sentences are printed by cmd/ --- */
enum log_level { LOG_QUIET, LOG_NORMAL, LOG_VERBOSE, LOG_DEBUG };
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
/* Writes one line to stderr when the level is at least @level. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_write_args(enum log_level level, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

/* --- error.c: one sentence about a failure, kept by the caller --- */
struct error {
	char text[512]; /* "what, which object, why, what to try"; no newline */
};
/* Sets the sentence unless one is already there (the innermost cause is the best); returns @code. */
int error_set(struct error *error, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
