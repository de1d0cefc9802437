/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The unwinder: a stack by the rows that the loader made of .eh_frame.
 *
 * Three things make it cheap. The rule of a program counter is looked up once and then cached.
 * Stack words are read a window at a time. And a whole path is cached: when a thread comes to the
 * same place with the same stack pointer, the words that decided the last walk are read in one go,
 * and if they are what they were the walk would be the same: the first program counter and the stack
 * pointer fix where the next return address stands, its equal value fixes the next rule, and so
 * on; words of the stack that tell where a frame begins are compared as well.
 *
 * Caches are shared by all CPUs without locks. A torn entry is never used: a rule is stored
 * next to its key xor itself, a path has a version that is odd while it is written (who finds it so
 * neither reads nor writes) and that must be the same before and after it was read.
 */
#include "unwind.bpf.h"
#include "trampoline.bpf.h"

#define TEXT_LOWEST 4096          /* no code is mapped below */
#define FRAME_MAX   (64ULL << 20) /* larger frames are damage */
#define BP_LOST     1             /* not 0, which marks the deepest frame; nothing is there */

/* The wide rules of all tables. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << 14);
	__type(key, __u32);
	__type(value, struct lb_wide);
} wides SEC(".maps");

/* A walk under way. */
struct unwind {
	struct lb_walk *walk;
	struct path *path; /* being recorded; NULL: it can not be recognised later */
	__u64 seed;        /* of the keys: process and generation */
	__u64 pc, sp, bp;
	__u64 pc_slot; /* where pc was read from; 0: from a register */
	__u64 hash;
	__u64 bp_slot; /* where bp was read from; 0: it is the register's value */
	__u32 nr_frames;
	__u32 end;  /* enum lb_unwind_end */
	bool exact; /* pc is where the thread was, not a return address */
};

/* --- recording the path --- */

/* The stack word that @address is, counted from where the walk began. -1: the path can not be
 * recorded, it reaches too far. */
static __always_inline long path_word(struct unwind *unwind, __u64 address)
{
	__u64 word = (address - unwind->walk->sp) / 8;

	if (word >= PATH_WORDS) {
		unwind->path = NULL;
		return -1;
	}
	if (word >= unwind->walk->path.words)
		unwind->walk->path.words = word + 1;
	return word;
}

/* The word @value that was read at @address decides the walk. */
static __always_inline void path_record(struct unwind *unwind, __u64 address, __u64 value)
{
	long word = unwind->path ? path_word(unwind, address) : -1;
	__u32 slot = unwind->walk->path.nr_slots;

	if (word < 0 || !unwind->path)
		return;
	if (slot >= PATH_SLOTS) {
		unwind->path = NULL;
		return;
	}
	unwind->path->slots[slot] = word;
	unwind->path->values[slot] = value;
	unwind->walk->path.nr_slots = slot + 1;
}

/* A rule is based on bp: its value decides the walk. */
static __always_inline void path_record_bp(struct unwind *unwind)
{
	if (unwind->bp_slot)
		path_record(unwind, unwind->bp_slot, unwind->bp);
	else
		unwind->walk->path.needs_bp = 1;
}

/* --- one frame --- */

static __always_inline long end_walk(struct unwind *unwind, enum lb_unwind_end end)
{
	unwind->end = end;
	return 1;
}

/* A frame that a signal interrupted: the registers lie in the ucontext. */
static __always_inline long step_signal(struct unwind *unwind, __u64 ucontext)
{
	__u64 registers[(LB_UCONTEXT_PC - LB_UCONTEXT_BP) / 8 + 1];

	unwind->path = NULL;
	if (bpf_probe_read_user(registers, sizeof(registers), (void *)(ucontext + LB_UCONTEXT_BP)))
		return end_walk(unwind, LB_UNWIND_READ);
	unwind->bp = registers[0];
	unwind->sp = registers[(LB_UCONTEXT_SP - LB_UCONTEXT_BP) / 8];
	unwind->pc = registers[(LB_UCONTEXT_PC - LB_UCONTEXT_BP) / 8];
	unwind->pc_slot = 0;
	unwind->exact = true;
	return 0;
}

/* Goes on with the frame on another stack whose saved frame pointer, followed by the return address,
 * is at @frame. */
static __always_inline long step_over(struct unwind *unwind, __u64 frame)
{
	__u64 saved[2];

	unwind->path = NULL;
	if (bpf_probe_read_user(saved, sizeof(saved), (void *)frame))
		return end_walk(unwind, LB_UNWIND_READ);
	if (saved[1] < TEXT_LOWEST)
		return end_walk(unwind, LB_UNWIND_NO_MAPPING);
	unwind->bp = saved[0];
	unwind->pc = saved[1];
	unwind->pc_slot = frame + 8;
	unwind->sp = frame + 16;
	unwind->exact = false;
	return 0;
}

/*
 * From runtime.asmcgocall, which runs C on the thread's stack, back to the goroutine's: it keeps g
 * and how deep the goroutine's stack was; stack.hi is the second word of g. Where no stack was
 * changed g is 0 and the depth is the address itself. There is asmcgocall's saved frame pointer, or
 * without one (until Go 1.20) its return address: then bp is still its caller's (Go 1.19-1.23,
 * src/runtime/asm_amd64.s, asmcgocall; src/runtime/runtime2.go, struct g).
 */
static __always_inline long step_go(struct unwind *unwind, __u32 rule)
{
	__u64 depth, g, high, bp = unwind->bp;
	bool has_bp = LB_RULE_TYPE(rule) == LB_RULE_GO_FRAME;

	if (read_word(unwind->sp + LB_RULE_CFA(rule), &depth) ||
	    read_word(unwind->sp + LB_RULE_GO_G(rule), &g))
		return end_walk(unwind, LB_UNWIND_READ);
	if (g) {
		if (read_word(g + 8, &high))
			return end_walk(unwind, LB_UNWIND_READ);
		depth = high - depth;
	}
	if (step_over(unwind, has_bp ? depth : depth - 8))
		return 1;
	if (!has_bp)
		unwind->bp = bp;
	return 0;
}

/* Where the caller's frame begins, and where bp is saved. */
struct caller {
	__u64 cfa;
	__u64 bp_at; /* 0: bp is what it was */
	bool bp_lost;
};

/* Reads where a frame begins from the stack: functions that align their frame keep it there. */
static __always_inline int read_base(struct unwind *unwind, __u64 address, __u64 *ret_base)
{
	__u64 base;

	if (window_peek(unwind->walk, address, &base))
		return -1;
	path_record(unwind, address, base);
	*ret_base = base;
	return 0;
}

/* Where bp is saved at the place that it points to. */
static __always_inline __u64 saved_at_bp(struct unwind *unwind)
{
	path_record_bp(unwind);
	return unwind->bp;
}

static __always_inline int caller_of_wide(struct unwind *unwind, __u32 index, struct caller *caller)
{
	struct lb_wide *wide = bpf_map_lookup_elem(&wides, &index);
	__u64 address;

	if (!wide)
		return -LB_UNWIND_BAD_RULE;
	if (wide->type == LB_RULE_BP || wide->type == LB_RULE_DEREF_BP) {
		path_record_bp(unwind);
		address = unwind->bp + wide->cfa_offset;
	} else {
		address = unwind->sp + wide->cfa_offset;
	}
	caller->cfa = address;
	if (wide->type == LB_RULE_DEREF_BP || wide->type == LB_RULE_DEREF_SP) {
		if (read_base(unwind, address, &caller->cfa))
			return -LB_UNWIND_READ;
		caller->cfa += wide->cfa_add;
	}
	if (wide->bp == LB_WIDE_BP_AT_CFA)
		caller->bp_at = caller->cfa + wide->bp_offset;
	else if (wide->bp == LB_BP_AT_BP)
		caller->bp_at = saved_at_bp(unwind);
	caller->bp_lost = wide->bp == LB_BP_LOST;
	return 0;
}

static __always_inline int caller_of_rule(struct unwind *unwind, __u32 rule, struct caller *caller)
{
	__u32 bp = LB_RULE_BP_FIELD(rule);
	__u64 offset = LB_RULE_CFA(rule);

	switch (LB_RULE_TYPE(rule)) {
	case LB_RULE_SP:
		caller->cfa = unwind->sp + offset;
		break;
	case LB_RULE_BP:
		path_record_bp(unwind);
		caller->cfa = unwind->bp + offset;
		break;
	case LB_RULE_NONE:
		caller->cfa = unwind->bp + 16;
		caller->bp_at = unwind->bp;
		return 0;
	case LB_RULE_PLT:
		caller->cfa = unwind->sp + 8;
		if ((unwind->pc & 15) >= LB_RULE_PLT_THRESHOLD(rule))
			caller->cfa += 8;
		return 0;
	case LB_RULE_DEREF_SP:
		if (read_base(unwind, unwind->sp + offset, &caller->cfa))
			return -LB_UNWIND_READ;
		caller->cfa += 8;
		break;
	case LB_RULE_DEREF_BP:
		path_record_bp(unwind);
		if (read_base(unwind, unwind->bp - offset, &caller->cfa))
			return -LB_UNWIND_READ;
		break;
	case LB_RULE_WIDE:
		return caller_of_wide(unwind, LB_RULE_INDEX(rule), caller);
	default:
		return -LB_UNWIND_BAD_RULE;
	}
	if (bp == LB_BP_AT_BP)
		caller->bp_at = saved_at_bp(unwind);
	else if (bp == LB_BP_LOST)
		caller->bp_lost = true;
	else if (bp != LB_BP_SAME)
		caller->bp_at = caller->cfa - 8 * bp;
	return 0;
}

/* Goes to the caller whose frame begins at caller->cfa. */
static __always_inline long step_to(struct unwind *unwind, const struct caller *caller)
{
	__u64 pc, bp = unwind->bp;

	if (caller->cfa <= unwind->sp || caller->cfa - unwind->sp > FRAME_MAX)
		return end_walk(unwind, LB_UNWIND_NO_PROGRESS);
	if (window_read(unwind->walk, caller->cfa - 8, &pc))
		return end_walk(unwind, LB_UNWIND_READ);
	if (caller->bp_at && window_peek(unwind->walk, caller->bp_at, &bp))
		return end_walk(unwind, LB_UNWIND_READ);
	if (pc < TEXT_LOWEST)
		return end_walk(unwind, LB_UNWIND_NO_MAPPING);
	path_record(unwind, caller->cfa - 8, pc);
	if (caller->bp_at)
		unwind->bp_slot = caller->bp_at;
	unwind->bp = caller->bp_lost ? BP_LOST : bp;
	unwind->pc = pc;
	unwind->pc_slot = caller->cfa - 8;
	unwind->sp = caller->cfa;
	unwind->exact = false;
	return 0;
}

/* Code without information ends where the frame pointer is 0 (System V ABI, AMD64 supplement
 * 3.4.1: the deepest frame is marked so). */
static __always_inline bool is_deepest(const struct unwind *unwind, __u32 rule)
{
	return LB_RULE_TYPE(rule) == LB_RULE_NONE && !unwind->bp;
}

static __always_inline void push_frame(struct unwind *unwind)
{
	unwind->walk->frames[unwind->nr_frames & LB_MAX_FRAMES] = unwind->pc;
	unwind->hash = hash_step(unwind->hash, unwind->pc);
	unwind->nr_frames++;
}

/* The rule of the frame at hand; -1: no mapping. Its return address may have been replaced by that
 * of a probe's trampoline, which no table describes. */
static __always_inline long rule_of_frame(struct unwind *unwind)
{
	long found = rule_find(unwind->seed, unwind->pc - !unwind->exact);
	__u64 original;

	if (found >= 0 || !unwind->pc_slot)
		return found;
	original = trampoline_original(unwind->pc_slot);
	if (!original)
		return found;
	unwind->path = NULL;
	unwind->pc = original;
	return rule_find(unwind->seed, original - 1);
}

/* Pushes the frame at hand and goes to its caller. */
static long unwind_step(__u32 step, struct unwind *unwind)
{
	struct caller caller = {};
	__u32 rule, type;
	long found;
	int error;

	if (unwind->nr_frames >= LB_MAX_FRAMES)
		return end_walk(unwind, LB_UNWIND_TOO_DEEP);
	found = rule_of_frame(unwind);
	if (found < 0) {
		if (!unwind->nr_frames) /* the direct caller, which the probe itself knows */
			push_frame(unwind);
		return end_walk(unwind, LB_UNWIND_NO_MAPPING);
	}
	push_frame(unwind);
	rule = found;
	type = LB_RULE_TYPE(rule);
	if (type == LB_RULE_NONE) /* bp also tells whether the walk ends here */
		path_record_bp(unwind);
	if (type == LB_RULE_END || is_deepest(unwind, rule))
		return end_walk(unwind, LB_UNWIND_COMPLETE);
	if (type == LB_RULE_SIGNAL)
		return step_signal(unwind, unwind->sp + LB_RULE_CFA(rule));
	if (type == LB_RULE_GO || type == LB_RULE_GO_FRAME)
		return step_go(unwind, rule);
	if (type == LB_RULE_SWITCH)
		return step_over(unwind, unwind->bp);
	error = caller_of_rule(unwind, rule, &caller);
	if (error)
		return end_walk(unwind, -error);
	return step_to(unwind, &caller);
}

/* --- whole walks --- */

static __always_inline void count_end(__u32 end)
{
	__u32 zero = 0;
	struct lb_stats *mine = bpf_map_lookup_elem(&stats, &zero);

	if (mine && end < LB_UNWIND_MAX)
		__sync_fetch_and_add(&mine->unwind_end[end], 1);
}

/* Takes the entry for writing. NULL: another thread is writing it. */
static __always_inline struct path *path_begin(struct path *path)
{
	__u64 version;

	if (!path)
		return NULL;
	version = path->version;
	if (version & 1 ||
	    __sync_val_compare_and_swap(&path->version, version, version + 1) != version)
		return NULL;
	path->place = 0;
	return path;
}

/* Repeats the first slot until the last step is full. */
static __always_inline void path_fill(struct path *path, __u32 nr_slots)
{
	for (__u32 i = 0; i < PATH_STEP - 1; i++) {
		__u32 slot = (nr_slots + i) & (PATH_SLOTS - 1);

		if (slot % PATH_STEP == 0)
			return;
		path->slots[slot] = path->slots[0];
		path->values[slot] = path->values[0];
	}
}

/* Completes the entry, if the path could be recorded, and gives it back. */
static __always_inline void path_end(const struct unwind *unwind, struct path *path, __u64 place)
{
	const struct lb_path *recorded = &unwind->walk->path;

	if (unwind->path && unwind->end == LB_UNWIND_COMPLETE) {
		path_fill(path, recorded->nr_slots);
		path->stack = unwind->walk->stack;
		path->bp = unwind->walk->bp;
		path->needs_bp = recorded->needs_bp;
		path->words = recorded->words;
		path->nr_slots = recorded->nr_slots;
		path->place = place;
	}
	__sync_fetch_and_add(&path->version, 1);
}

__noinline int unwind_walk(struct lb_thread *thread)
{
	struct unwind unwind = {};
	struct lb_walk *walk;
	struct path *path;
	__u64 place;

	if (!thread)
		return -1;
	walk = &thread->walk;
	unwind.seed = key_seed();
	place = path_place(walk, unwind.seed);
	unwind.walk = walk;
	path = path_begin(path_find(walk, unwind.seed, place));
	unwind.path = path;
	unwind.pc = walk->pc;
	unwind.sp = walk->sp;
	unwind.bp = walk->bp;
	unwind.end = LB_UNWIND_TOO_DEEP;
	walk->window_low = walk->window_high = 0;
	walk->path = (struct lb_path){};
	bpf_loop(LB_MAX_FRAMES + 1, unwind_step, &unwind, 0);
	count_end(unwind.end);
	walk->flags = unwind.end == LB_UNWIND_TOO_DEEP   ? LB_STACK_TRUNCATED
		      : unwind.end == LB_UNWIND_COMPLETE ? 0
							 : LB_STACK_INCOMPLETE;
	walk->nr_frames = unwind.nr_frames;
	walk->stack = stack_id(unwind.hash, unwind.nr_frames, walk->flags);
	if (unwind.end == LB_UNWIND_NO_MAPPING)
		control.unmapped = 1;
	if (path)
		path_end(&unwind, path, place);
	return 0;
}
