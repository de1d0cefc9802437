/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One process: identity, mappings, files behind them (through /proc/PID/root, exe and map_files,
 * so containers and deleted files work), allocators it uses; address -> frames.
 */
#ifndef PROC_PROC_H
#define PROC_PROC_H

#include "base/base.h"
#include "elf/elf.h"
#include "model.h"

/* --- target.c --- */
/* Identifies process @pid and what it runs. @error gets the sentence on failure:
 * -ESRCH no such process, -EINVAL kernel thread or zombie or a thread id, -EACCES no right. */
int target_open(pid_t pid, struct target *ret_target, struct error *error);
/* The same process still runs (same start time)? */
bool target_is_alive(const struct target *target);
void target_done(struct target *target);
/* Was process @pid started with an environment variable that begins with @start ("NAME=VALUE")?
 * 1 yes, 0 no, -errno: its environment can not be read. */
int target_has_variable(pid_t pid, const char *start);
/* Shows the ids of the threads of process @pid, the first thousands of them, to @visit until it returns
 * false. */
typedef bool (*thread_visitor)(pid_t tid, void *context);
void target_for_each_thread(pid_t pid, thread_visitor visit, void *context);

/* --- maps.c --- */
struct mapping {
	uint64_t start, end;
	uint64_t file_offset;
	uint64_t dev, inode; /* 0: anonymous */
	char perms[5];
	bool deleted;
	char *path; /* as in /proc/PID/maps without " (deleted)"; "" anonymous; owned */
};

struct maps {
	struct mapping *mappings; /* sorted by start */
	size_t nr_mappings;
	size_t capacity;
};

/* Reads /proc/@pid/maps. */
int maps_read(pid_t pid, struct maps *ret_maps);
/* Parses text in the format of /proc/PID/maps (exposed for tests and fuzzing). */
int maps_parse(const char *text, size_t len, struct maps *ret_maps);
const struct mapping *maps_find(const struct maps *maps, uint64_t address);
void maps_done(struct maps *maps);

/* --- object.c: the distinct files mapped executable --- */
/* Fills @ret_path with a path through which the observer can open the file behind @mapping:
 * map_files, root + path, or exe. 0 or -errno (then none works). */
int mapping_open_path(pid_t pid, const struct mapping *mapping, char *ret_path, size_t size);

/* --- symbolizer.c --- */
/* Names addresses of many processes. Opened images are cached by build-id (or dev+inode). Keeps
 * the mappings last seen of each process, so that stacks of a process that has just exited still
 * get names. */
struct symbolizer;
struct symbolizer *symbolizer_new(void);
struct symbolizer *symbolizer_free(struct symbolizer *symbolizer);
/* (Re-)reads the mappings and opens what is needed later of process @pid. Call it when the target
 * is first seen and each time it has loaded a library; cheap when nothing changed. */
int symbolizer_refresh(struct symbolizer *symbolizer, pid_t pid);
/* Forgets process @pid. */
void symbolizer_forget(struct symbolizer *symbolizer, pid_t pid);
/* Frees what has not been used since the last call and can be read again. To be called after the new
 * stacks of a poll have been named. */
void symbolizer_trim(struct symbolizer *symbolizer);
/* A place in a mapped file. */
struct code_place {
	uint64_t dev, inode, offset;
};

/* Where the code at @address of process @pid comes from. -ENOENT: not known. */
int symbolizer_locate(struct symbolizer *symbolizer, pid_t pid, uint64_t address,
		      struct code_place *ret_place);
/* Names the stack of @nr_pcs program counters (innermost first; all of them return addresses, so
 * the line looked up is that of pc - 1). Inlined frames are added. The result is owned by the
 * symbolizer and cached by (pid, id). */
int symbolizer_stack(struct symbolizer *symbolizer, pid_t pid, uint64_t id, const uint64_t *pcs,
		     size_t nr_pcs, uint32_t flags, const struct stack **ret_stack);

/* --- memory.c --- */
/* What is left until memory runs out. */
struct memory_left {
	uint64_t bytes;
	bool by_group;  /* a control group's limit is nearer than the machine's */
	uint64_t group; /* tells apart such groups */
};

/* What process @pid may still take. 0 or -errno. */
int memory_left(pid_t pid, struct memory_left *ret_left);

/* --- cpu_samples.c --- */
/* What a thread did at one moment. */
struct cpu_sample {
	uint64_t pc, sp;
	const uint8_t *stack; /* from sp on */
	size_t stack_len;
};
typedef void (*cpu_sample_visitor)(const struct cpu_sample *sample, void *context);
struct cpu_samples;
/* Samples from now on those threads of process @pid that run now, some at most. NULL: none runs, or
 * the kernel does not let us. */
struct cpu_samples *cpu_samples_start(pid_t pid);
/* Shows the first samples of each thread to @visit. */
void cpu_samples_visit(struct cpu_samples *samples, cpu_sample_visitor visit, void *context);
/* Ends it; returns NULL. */
struct cpu_samples *cpu_samples_stop(struct cpu_samples *samples);

/* --- group.c --- */
/* Is the file nobody's to repair: the C library, a language's, an allocator? */
bool module_is_library(const char *path);
/* The group of stack @id: the same for stacks that share the innermost frames of the program's own
 * code; 0 when it has none. -ENOENT: the stack was not added yet. */
int symbolizer_group(struct symbolizer *symbolizer, pid_t pid, uint64_t id, uint64_t *ret_group);
/* Finds the group of stack @id, which was not added before. 0, -ESRCH: @pid was never refreshed, or
 * -ENOMEM. */
int symbolizer_add_group(struct symbolizer *symbolizer, pid_t pid, uint64_t id, const uint64_t *pcs,
			 size_t nr_pcs);

/* --- segments.c: what the unwinder has to know of processes --- */
/* Unwind rows of one file, shared by the processes that run it. */
struct unwind_table {
	uint32_t id;              /* from 1 up, no id comes twice */
	unsigned int nr_users;    /* segments of spaces that refer to it */
	struct unwind_rows *rows; /* owned */
	bool loaded;              /* for whoever puts tables into the kernel */
	/* identity */
	uint8_t build_id[BUILD_ID_MAX];
	size_t build_id_len;
	uint64_t dev, inode; /* when there is no build-id */
	uint64_t size_bytes;
	struct unwind_table *next;
};

/* Zero-initialise. */
struct unwind_tables {
	struct unwind_table *first;
	uint32_t last_id;
};

struct lb_segment; /* bpf/unwind.h */

/* The executable segments of one process. Zero-initialise. */
struct unwind_space {
	struct lb_segment *segments; /* sorted, without the head that the kernel side has; owned */
	size_t nr_segments;
	struct unwind_origin *origins; /* what each is a mapping of; owned */
};

/* (Re-)reads the mappings of process @pid, and files that no table is there for. Returns 1: @space
 * has changed, 0: it has not, or -errno (it has not). */
int unwind_space_refresh(struct unwind_space *space, struct unwind_tables *tables, pid_t pid);
/* Tables that were used here only stay, without users, until the sweep. */
void unwind_space_done(struct unwind_space *space);
/* Frees the tables without users. They must be out of the kernel by then. */
void unwind_tables_sweep(struct unwind_tables *tables);
/* Frees all tables; no space may be used afterwards. */
void unwind_tables_done(struct unwind_tables *tables);

/* What the tables cost, for diagnostics. */
struct unwind_totals {
	size_t nr_tables, nr_rows, nr_functions;
	size_t row_bytes;
	size_t defects[UNWIND_DEFECT_MAX];
	uint64_t parse_ns; /* of all tables ever made and not swept */
};

void unwind_tables_sum(const struct unwind_tables *tables, struct unwind_totals *ret_totals);

#endif
