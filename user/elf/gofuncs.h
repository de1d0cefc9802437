/* SPDX-License-Identifier: GPL-2.0-only */
/* Private to elf/: the functions of Go code in a binary. */
#ifndef ELF_GOFUNCS_H
#define ELF_GOFUNCS_H

#include "elf/elf.h"

struct go_func {
	const char *name; /* as Go calls it, maybe followed by ".abi0"; valid during the visit */
	uint64_t start, end;
};

/* Calls @visit for the functions, those of C among them, until it returns non-zero; returns that
 * value. -ENOENT: they are not known. */
int image_for_each_go_func(struct image *image,
			   int (*visit)(const struct go_func *func, void *context), void *context);

#endif
