/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The function table of a Go binary (pclntab): functions, frame sizes, lines, inlined calls.
 * It may hold anything: no read leaves it, no walk is without end. Pure: bytes in, numbers out.
 *
 * Layout: Go 1.23 runtime/symtab.go (pcHeader, pcvalue), runtime/runtime2.go (_func),
 * runtime/symtabinl.go (inlinedCall); Go 1.19 runtime/symtab.go for the older one.
 */
#ifndef PCLNTAB_PCLNTAB_H
#define PCLNTAB_PCLNTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCLNTAB_HEADER_BYTES     72
#define PCLNTAB_MAX_INLINE_BYTES 20

enum pclntab_version {
	PCLNTAB_GO_116, /* known by its header only */
	PCLNTAB_GO_118,
	PCLNTAB_GO_120,
};

struct pclntab {
	const uint8_t *bytes; /* not owned */
	size_t len;
	enum pclntab_version version;
	uint64_t text; /* address of function offset 0; to be set by who knows it */
	uint32_t quantum;
	size_t nr_functions;
	size_t names, units, files, values, functions; /* offsets of the parts */
};

struct go_function {
	const char *name; /* in the table */
	uint64_t entry;   /* addresses */
	uint64_t end;
	size_t at;  /* offset of its record in the table */
	uint8_t id; /* abi.FuncID, numbered differently by each release */
};

struct inline_call {
	const char *name;
	uint32_t parent_offset; /* where it is called, from the entry of the function */
	uint8_t id;
};

/* Is this the start of a header? @bytes: 8 of them. */
bool pclntab_is_header(const uint8_t *bytes, enum pclntab_version *ret_version);
/* Where the part with the names of functions begins. @header: PCLNTAB_HEADER_BYTES bytes. */
uint64_t pclntab_names_offset(const uint8_t *header);
/* -ENOEXEC: damaged, or PCLNTAB_GO_116. */
int pclntab_parse(const uint8_t *bytes, size_t len, uint64_t text, struct pclntab *ret_table);

/* Function number @index. -ENOENT: its entry is damaged. */
int pclntab_function(const struct pclntab *table, size_t index, struct go_function *ret_function);
/* -ENOENT: no function has this address or name. */
int pclntab_function_at(const struct pclntab *table, uint64_t pc, struct go_function *ret_function);
int pclntab_function_named(const struct pclntab *table, const char *name,
			   struct go_function *ret_function);

/* Bytes that the frame of @function has on the stack when it is at @pc. -ENOENT: not known. */
int pclntab_frame_bytes(const struct pclntab *table, const struct go_function *function,
			uint64_t pc, uint32_t *ret_bytes);
/* The source line at @pc. -ENOENT: not known. */
int pclntab_line(const struct pclntab *table, const struct go_function *function, uint64_t pc,
		 const char **ret_file, int *ret_line);

/* The inlined call that @pc lies in: its index in the function's inline tree. -ENOENT: in none. */
int pclntab_inline_index(const struct pclntab *table, const struct go_function *function,
			 uint64_t pc, uint32_t *ret_index);
/* How many entries its inline tree has, as far as code lies in them. Hostile: any number. */
uint32_t pclntab_inline_nr(const struct pclntab *table, const struct go_function *function);
/* Where the inline tree of @function is, from moduledata.gofunc. -ENOENT: it has none. */
int pclntab_inline_tree(const struct pclntab *table, const struct go_function *function,
			uint32_t *ret_offset);
/* Size of an entry of an inline tree. */
size_t pclntab_inline_bytes(const struct pclntab *table);
/* Reads one; @entry: pclntab_inline_bytes() of them. -ENOENT: damaged. */
int pclntab_inline_call(const struct pclntab *table, const uint8_t *entry,
			struct inline_call *ret_call);

#endif
