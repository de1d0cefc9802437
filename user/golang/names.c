/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What was named is kept, but not for ever: a program that runs for long has stacks, and labels of
 * its requests, without end.
 */
#include "golang/process.h"

#define MAX_STACKS 32768
#define MAX_LABELS 65536

static void forget_stacks(struct golang *golang)
{
	gosym_forget(&golang->symbols);
	for (size_t i = 0; i < golang->nr_tracked; i++) {
		struct tracked *tracked = &golang->tracked[i];
		struct goroutine *goroutine = &tracked->goroutine;

		goroutine->stack = NULL;
		tracked->stack_known = false;
		goroutine->start = gosym_start(&golang->symbols, tracked->start);
		goroutine->creator = gosym_creator(&golang->symbols, tracked->creator);
	}
}

static void forget_labels(struct golang *golang)
{
	golang->labels = strings_free(golang->labels);
	golang->nr_labels = 0;
	for (size_t i = 0; i < golang->nr_tracked; i++) {
		golang->tracked[i].goroutine.labels = NULL;
		golang->tracked[i].labels = 0;
	}
}

void names_forget(struct golang *golang)
{
	if (golang->symbols.nr_stacks > MAX_STACKS)
		forget_stacks(golang);
	if (golang->nr_labels > MAX_LABELS)
		forget_labels(golang);
}

const char *names_intern_labels(struct golang *golang, const char *labels)
{
	if (!golang->labels)
		golang->labels = strings_new();
	if (!golang->labels)
		return NULL;
	golang->nr_labels++;
	return strings_intern(golang->labels, labels);
}
