/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parts of the symbolizer. Not for other modules: they use proc/proc.h.
 *
 *   symbolizer -> processes -> modules -> images (shared by processes)
 *                          \-> perf map (JIT code)
 */
#ifndef PROC_SYMBOLIZER_H
#define PROC_SYMBOLIZER_H

#include "proc/idmap.h"
#include "proc/proc.h"

/* --- image_cache.c: opened images --- */
struct cached_image {
	struct image *image;
	uint8_t build_id[BUILD_ID_MAX];
	size_t build_id_len;
	uint64_t dev, inode; /* with the open file kept, no other file can have the same */
	uint64_t size_bytes; /* a stripped copy of a file has its build-id, but not its size */
	unsigned int nr_users;
	struct cached_image *next;
};

/* The image behind @mapping of process @pid, opened or found; the caller becomes a user of it.
 * NULL: not to be had. */
struct cached_image *image_cache_get(struct cached_image **cache, pid_t pid,
				     const struct mapping *mapping);
/* A user less; the last one closes it. */
void image_cache_put(struct cached_image **cache, struct cached_image *cached);

/* --- perf_map.c: /tmp/perf-PID.map, which JIT compilers write (Linux
 * tools/perf/Documentation/jit-interface.txt) --- */
struct perf_map;
struct perf_map *perf_map_new(pid_t pid); /* NULL: out of memory */
struct perf_map *perf_map_free(struct perf_map *map);
/* Reads what has been added to the file. */
void perf_map_refresh(struct perf_map *map);
/* The name of the code at @address; owned by the map, until its next refresh. NULL: unknown. */
const char *perf_map_find(struct perf_map *map, uint64_t address);
/* Takes text in the format of the file; a last line without newline is left. Returns how many bytes
 * were used, or -errno. */
long perf_map_parse(struct perf_map *map, const char *text, size_t len);

/* --- process.c: the mappings last seen of a process --- */
struct module {
	uint64_t start, end, file_offset;
	uint64_t dev, inode;
	const char *path;                   /* interned */
	const struct code_mapping *mapping; /* for its frames; NULL: no file */
	struct cached_image *cached;        /* NULL: no ELF file */
};

/* What frames say of their mapping: kept as long as there may be frames, that is to the end. */
struct kept_mapping {
	struct code_mapping mapping;
	struct kept_mapping *next;
};

/* The frames of one program counter. */
struct address {
	uint64_t pc;
	struct frame *frames; /* owned */
	size_t nr_frames;
};

struct process {
	pid_t pid;
	uint64_t start_ticks;
	uint64_t refreshed_ns;  /* CLOCK_MONOTONIC */
	struct module *modules; /* executable mappings, sorted; also those gone since */
	size_t nr_modules;
	struct kept_mapping *mappings; /* owned */
	struct perf_map *perf_map;
	struct idmap addresses; /* program counter -> struct address */
	struct idmap stacks;    /* stack id -> struct stack */
	struct idmap groups;    /* stack id -> its group, a number */
	struct process *next;
};

struct symbolizer {
	struct strings *strings;
	struct cached_image *images;
	struct process *processes;
};

struct process *process_new(pid_t pid); /* NULL: out of memory */
struct process *process_free(struct symbolizer *symbolizer, struct process *process);
int process_refresh(struct symbolizer *symbolizer, struct process *process);
/* The module that holds @address. NULL: none. */
const struct module *process_find_module(const struct process *process, uint64_t address);
/* Forgets the frames of all addresses: another file is mapped there. */
void process_drop_addresses(struct process *process);

/* --- frames.c: one program counter -> frames --- */
void address_free(void *address);
/* Finds or makes the frames of @pc. NULL: out of memory. */
const struct address *process_name_address(struct symbolizer *symbolizer, struct process *process,
					   uint64_t pc);

#endif
