/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LEAK_H
#define LEAK_H

#include <stddef.h>

/* Allocates and forgets, two calls further in. */
void c_leak(size_t size);
/* Calls the exported Go function goBack(level, size), and leaks itself when that has returned. */
void c_call_back(int level, size_t size);
/* The same from a thread that Go does not know. */
void c_thread(int level, size_t size);
/* Allocates and frees. */
void c_churn(int rounds);

#endif
