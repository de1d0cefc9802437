/* SPDX-License-Identifier: GPL-2.0-only */
/* The Go runtime in a process: its function table and moduledata; private to the module. */
#ifndef GOLANG_MODULE_H
#define GOLANG_MODULE_H

#include "golang/memory.h"
#include "pclntab/pclntab.h"
#include "proc/proc.h"

struct range {
	uint64_t start, end;
};

/* What runtime.moduledata tells. */
struct go_module {
	enum pclntab_version version;
	const struct mapping *mapping; /* that holds the function table */
	uint64_t header;               /* address of the function table */
	uint8_t *table;                /* a copy of it; owned; NULL: Go 1.16 or 1.17 */
	size_t table_bytes;
	uint64_t text;
	struct range data[4];  /* of variables: without pointers, with, and zeroed ones of both */
	uint64_t inline_trees; /* moduledata.gofunc */
};

/* Looks for it in the mappings of the file @exe, then in all others. -ENOENT: none there; else
 * -errno of reading. */
int module_find(struct memory *memory, const struct maps *maps, const char *exe,
		struct go_module *ret_module);
void module_done(struct go_module *module);

/* The Go version ("go1.23.5") as the build information in the module's data tells it. -ENOENT:
 * there is none. */
int module_read_version(struct memory *memory, const struct maps *maps,
			const struct go_module *module, char *ret_version, size_t size);

#endif
