/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One binary file: identity, segments, symbols, source lines, prologues, unwind rows.
 * Everything read here is untrusted: every walk is bounded, files are read, never mapped.
 * Knows nothing of processes: addresses are virtual addresses of the file ("vaddr").
 */
#ifndef ELF_ELF_H
#define ELF_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image;

#define BUILD_ID_MAX 64

/* Opens the ELF file at @path (64-bit, little-endian, x86-64 or aarch64).
 * -ENOEXEC: not such a file or damaged; else -errno of open/read. */
int image_open(const char *path, struct image **ret_image);
/* The same from bytes in memory (the vdso); the bytes are copied. */
int image_open_memory(const void *bytes, size_t len, struct image **ret_image);
struct image *image_free(struct image *image);

/* The GNU build-id (or Go's build id hashed to 20 bytes when there is no GNU one).
 * Returns its length, 0: none. */
size_t image_build_id(const struct image *image, uint8_t ret_id[BUILD_ID_MAX]);
/* EM_X86_64 or EM_AARCH64. */
unsigned int image_machine(const struct image *image);
/* Holds Go code (.go.buildinfo, .gopclntab or .note.go.buildid). */
bool image_is_go(const struct image *image);
/* Is there Go code at @vaddr, or may there be for all that is known? C functions linked into a Go
 * program lie elsewhere. Without Go in the image: false. */
bool image_may_be_go_code(struct image *image, uint64_t vaddr);
/* The Go version that built it ("go1.23.5"). Owned by the caller; NULL: unknown or not Go. */
char *image_go_version(const struct image *image);
/* The package path of the main package ("example.org/server"); NULL: unknown. Owned by the caller. */
char *image_go_path(const struct image *image);
/* Needs no dynamic linker (no PT_INTERP and no DT_NEEDED): a static executable. */
bool image_is_static(const struct image *image);

/* Translate between file offsets and virtual addresses by the PT_LOAD segments. -ENXIO: in none. */
int image_vaddr_to_offset(const struct image *image, uint64_t vaddr, uint64_t *ret_offset);
int image_offset_to_vaddr(const struct image *image, uint64_t offset, uint64_t *ret_vaddr);
/* Lies in a segment that is loaded executable? */
bool image_is_executable(const struct image *image, uint64_t vaddr);
/* How many bytes of the executable segment that has @vaddr lie before it, and from there on. False:
 * it lies in none. */
bool image_code_around(const struct image *image, uint64_t vaddr, uint64_t *ret_before,
		       uint64_t *ret_behind);
/* Reads bytes of the file image at @vaddr. Returns how many (<= @len) or -errno. */
long image_read(const struct image *image, uint64_t vaddr, void *bytes, size_t len);
/* Finds one of the @nr texts (each of at most 64 bytes) in what the file loads and does not write
 * to. -ENOENT: none is there. */
int image_find_constant(const struct image *image, const char *const *texts, size_t nr,
			size_t *ret_found);

/* --- symbols: .symtab and .dynsym, .gnu_debugdata and a separate debug file when present --- */
struct symbol {
	const char *name; /* mangled; owned by the image */
	uint64_t vaddr;
	uint64_t size; /* 0: unknown (assembler); then up to the next symbol */
	bool is_function;
	bool is_global;
};

/* The defined function of exactly this name (without @version). Looks into .symtab and .dynsym of
 * the file itself only. -ENOENT: none. */
int image_find_function(struct image *image, const char *name, struct symbol *ret_symbol);
/* Calls @visit for every defined function symbol until it returns non-zero; returns that value. */
int image_for_each_function(struct image *image,
			    int (*visit)(const struct symbol *symbol, void *context),
			    void *context);
/* The symbol that covers @vaddr; -ENOENT: none. */
int image_symbol_at(struct image *image, uint64_t vaddr, struct symbol *ret_symbol);
/* The name of the function that the PLT entry at @vaddr jumps to; NULL: not a PLT entry. */
const char *image_plt_target(struct image *image, uint64_t vaddr);

/* Where separate debug files are looked for: prepended to /usr/lib/debug (a target's root).
 * Called once before the first look-up by address; @debug_root is copied. */
int image_set_debug_root(struct image *image, const char *debug_root);

/* --- source lines: DWARF of the file or of its separate debug file --- */
struct source_frame {
	char *function; /* demangled; owned; NULL: unknown */
	char *file;     /* owned; NULL: unknown */
	int line;       /* 0: unknown */
	bool inlined;   /* inlined into the next one */
};

/* The source frames at @vaddr, innermost first: one per inlined call and the function itself.
 * Falls back to the symbol table (one frame without a line). Returns their number (0: nothing
 * known) or -errno. */
long image_source_frames(struct image *image, uint64_t vaddr, struct source_frame **ret_frames);
/* Visits the name of each call that is inlined into a Go function whose name begins with @prefix,
 * until @visit returns other than 0, which is returned. -ENOENT: not known; -ENOMEM. */
int image_for_each_inlined(struct image *image, const char *prefix,
			   int (*visit)(const char *name, void *context), void *context);
/* Frees the DWARF when nobody has asked for source frames since the last call, or when it is quickly
 * read again. To be called now and then: DWARF in memory is as large as in the file. */
void image_trim(struct image *image);
struct source_frame *source_frames_free(struct source_frame *frames, size_t nr_frames);

/* Demangles C++ and Rust (legacy and v0) names; a copy of @name when it is not mangled.
 * Owned by the caller; NULL: out of memory. */
char *symbol_demangle(const char *name);

/* --- probe placement (DESIGN rule 1) --- */
enum placement_kind {
	PLACEMENT_CHEAP, /* an instruction that the kernel emulates */
	PLACEMENT_STEP,  /* any other: the kernel single-steps it, correct but slow */
};

struct placement {
	uint64_t vaddr;  /* proven instruction boundary to probe */
	uint64_t offset; /* the same as a file offset */
	enum placement_kind kind;
	uint8_t arg_reg[6];      /* enum lb_reg that holds argument i at vaddr; LB_REG_NONE: lost */
	uint16_t sp_delta;       /* bytes from sp at vaddr up to the return address */
	uint8_t instruction[16]; /* bytes of the instruction, to compare with the target's memory */
	uint8_t instruction_len;
};

/* What a function turns out to be before anything of it is probed. */
struct entry {
	uint64_t vaddr; /* where its code really starts, after following unconditional jumps */
	const char *plt_name; /* it only jumps through the PLT to this function; NULL: no */
};

/* Follows the unconditional direct jumps that @vaddr may consist of (tail thunks, aliases). */
int placement_resolve(struct image *image, uint64_t vaddr, struct entry *ret_entry);
/* Where every path through the function at @vaddr goes first: the target of its first direct call
 * or jump (vaddr) and the name when that is a PLT entry. With @past_checks also over conditional
 * branches (to error exits). -ENOENT: it does work of its own before, or branches elsewhere. */
int placement_leads_to(struct image *image, uint64_t vaddr, bool past_checks,
		       struct entry *ret_entry);
/* Chooses the instruction to probe in the function at @vaddr (@size bytes, 0: unknown) so that the
 * arguments in the bit mask @args can still be read and each call passes there exactly once.
 * @need_return: the return address must be at sp (sp_delta 0), for probes on the return.
 * -ENOEXEC: cannot be decoded; -ENOTSUP: no instruction serves (probing would lie). */
int placement_find(struct image *image, uint64_t vaddr, uint64_t size, unsigned int args,
		   bool need_return, struct placement *ret_placement);

/* The instruction to probe at the entry of the Go function at @vaddr; its arguments are intact there
 * and the return address is at sp. *@ret_at_branch: it is the branch that grows the stack, where a
 * call passes a second time when that is taken. -ENOEXEC, -ENOTSUP as above. */
int placement_find_go(struct image *image, uint64_t vaddr, uint64_t size,
		      struct placement *ret_placement, bool *ret_at_branch);
/* The one instruction of the Go function at @vaddr that calls @target. -ENOTSUP: there is none, or
 * more than one. */
int placement_find_call(struct image *image, uint64_t vaddr, uint64_t size, uint64_t target,
			struct placement *ret_placement);

/* --- unwind rows: call frame information compiled into tables for the unwinder --- */

struct lb_row; /* bpf/unwind.h, as is struct lb_wide */
struct lb_wide;

/* What was found that rows cannot hold, or that is damaged. */
enum unwind_defect {
	UNWIND_OK,
	/* of a function: it was skipped, or became one row that stops the unwinder */
	UNWIND_DEFECT_ENTRY,
	UNWIND_DEFECT_CIE,
	UNWIND_DEFECT_RANGE,
	UNWIND_DEFECT_INSTRUCTION,
	UNWIND_DEFECT_LIMIT,
	/* of a part of a function: it became a row that stops the unwinder */
	UNWIND_DEFECT_RETURN_ADDRESS,
	UNWIND_DEFECT_CFA_REGISTER,
	UNWIND_DEFECT_CFA_EXPRESSION,
	UNWIND_DEFECT_CFA_OFFSET,
	UNWIND_DEFECT_SIGNAL,
	/* of a part of a function: its caller's bp is not known, all else is */
	UNWIND_DEFECT_BP_LOST,
	UNWIND_DEFECT_MAX,
};

struct unwind_stats {
	size_t section_bytes; /* of .eh_frame and .debug_frame that were walked */
	size_t nr_functions;  /* FDEs taken */
	size_t defects[UNWIND_DEFECT_MAX];
	uint64_t parse_ns;
};

struct unwind_rows {
	uint64_t
		base; /* vaddr that pc 0 of a row stands for: start of the first page of the image */
	struct lb_row *rows; /* sorted by pc; owned */
	size_t nr_rows;
	struct lb_wide *wide; /* owned */
	size_t nr_wide;
	struct unwind_stats stats;
};

/* Compiles .eh_frame, and where it has gaps .debug_frame (but not that of Go code, which keeps
 * frame pointers instead). Go code gets rows where stacks are changed or end. An image without any
 * of these yields no rows. -ENOTSUP: not x86-64. */
int image_unwind_rows(struct image *image, struct unwind_rows **ret_rows);
struct unwind_rows *unwind_rows_free(struct unwind_rows *rows);
/* The rule (bpf/unwind.h) that holds at @vaddr. */
uint32_t unwind_rows_find(const struct unwind_rows *rows, uint64_t vaddr);
/* Memory of the rows and wide entries. */
size_t unwind_rows_bytes(const struct unwind_rows *rows);
/* A few words for diagnostics. */
const char *unwind_defect_name(enum unwind_defect defect);

#endif
