/* SPDX-License-Identifier: GPL-2.0-only */
/* User stack -> 64-bit id, stored once. */
#include "stack.bpf.h"
#include "trampoline.bpf.h"

#define FRAME_BYTES_MAX (1 << 20) /* a larger distance between frames is no frame */
#define TEXT_LOWEST     4096      /* no code is mapped below */

/* Stacks that have a site: id -> where the frames are. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 17);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct lb_stack);
} stacks SEC(".maps");

/* The frames of all stacks, one after the other. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << 21);
	__type(key, __u32);
	__type(value, __u64);
} frames SEC(".maps");

struct walk_context {
	struct lb_walk *walk;
	__u64 shelter; /* where our own probe has replaced a return address; 0: nowhere */
};

static __always_inline void walk_push(struct lb_walk *walk, __u64 pc)
{
	__u32 n = walk->nr_frames;

	walk->frames[n & LB_MAX_FRAMES] = pc;
	walk->nr_frames = n + 1;
	walk->stack = hash_step(walk->stack, pc);
}

/* Reads the two words at @address, from the window if they are in it. */
static __always_inline int walk_read_pair(struct lb_walk *walk, __u64 address, __u64 *pair)
{
	__u64 index;

	if (address < walk->window_low || address + 16 > walk->window_high) {
		walk->window_low = walk->window_high = 0;
		if (bpf_probe_read_user(walk->window, sizeof(walk->window), (void *)address))
			return bpf_probe_read_user(pair, 16, (void *)address);
		walk->window_low = address;
		walk->window_high = address + sizeof(walk->window);
	}
	index = (address - walk->window_low) / 8;
	pair[0] = walk->window[index & (LB_WINDOW_WORDS - 1)];
	pair[1] = walk->window[(index + 1) & (LB_WINDOW_WORDS - 1)];
	return 0;
}

/* One frame of the frame-pointer chain: [bp] is the caller's bp, [bp + 8] the return address. */
static long walk_step(__u32 step, struct walk_context *context)
{
	struct lb_walk *walk = context->walk;
	__u64 bp = walk->bp, pair[2];

	if (bp < walk->sp || bp & 7 || bp - walk->sp > FRAME_BYTES_MAX)
		return 1;
	if (walk_read_pair(walk, bp, pair) || pair[1] < TEXT_LOWEST)
		return 1;
	if (bp + 8 == context->shelter)
		pair[1] = trampoline_original(bp + 8) ?: pair[1];
	if (walk->nr_frames >= LB_MAX_FRAMES) {
		walk->flags |= LB_STACK_TRUNCATED;
		return 1;
	}
	walk_push(walk, pair[1]);
	walk->sp = bp + 16;
	walk->bp = pair[0];
	return 0;
}

/* Follows the frame pointers. */
static __noinline int stack_follow(struct lb_thread *thread)
{
	struct walk_context context;
	struct lb_walk *walk;

	if (!thread)
		return -1;
	walk = &thread->walk;
	walk->stack = 0;
	walk->window_low = walk->window_high = 0;
	walk_push(walk, walk->pc);
	context.walk = walk;
	context.shelter = thread->shelter.sp;
	bpf_loop(LB_MAX_FRAMES, walk_step, &context, 0);
	walk->stack = stack_id(walk->stack, walk->nr_frames, walk->flags);
	return 0;
}

__noinline int stack_capture(struct lb_thread *thread, __u64 pc, __u64 sp, __u64 bp)
{
	struct lb_walk *walk;

	if (!thread)
		return -1;
	walk = &thread->walk;
	walk->nr_frames = 0;
	walk->flags = 0;
	walk->pc = pc;
	walk->sp = sp;
	walk->bp = bp;
	if (!config.unwind_tables)
		return stack_follow(thread);
	if (unwind_recognise(thread))
		return 0;
	return unwind_walk(thread);
}

struct store_context {
	struct lb_walk *walk;
	__u32 offset;
};

static long store_step(__u32 step, struct store_context *context)
{
	__u32 index = context->offset + step;
	__u64 *frame = bpf_map_lookup_elem(&frames, &index);

	if (!frame)
		return 1;
	*frame = context->walk->frames[step & LB_MAX_FRAMES];
	return 0;
}

/* Takes @nr entries of the frames array. -1: there is no room. */
static __always_inline int frames_reserve(__u32 nr, __u32 *ret_offset)
{
	__u32 offset;

	if (control.nr_frames + nr > config.max_frames)
		return -1;
	offset = __sync_fetch_and_add(&control.nr_frames, nr);
	if (offset + nr > config.max_frames)
		return -1;
	*ret_offset = offset;
	return 0;
}

__noinline int stack_store(struct lb_thread *thread)
{
	struct store_context context;
	struct lb_stack stored = {};
	__u64 id;

	if (!thread)
		return -1;
	id = thread->walk.stack;
	if (!thread->walk.nr_frames) {
		if (bpf_map_lookup_elem(&stacks, &id))
			return 0;
		unwind_walk(thread);
		if (thread->walk.stack != id) { /* the tables changed under us: no wrong frames */
			thread->walk.stack = id;
			stats_defect(LB_DEFECT_STACK_UNSTORED);
			return 0;
		}
	}
	stored.flags = thread->walk.flags;
	if (bpf_map_update_elem(&stacks, &id, &stored, BPF_NOEXIST)) {
		if (!bpf_map_lookup_elem(&stacks, &id))
			stats_defect(LB_DEFECT_STACK_UNSTORED);
		return 0;
	}
	if (stored.flags & LB_STACK_TRUNCATED)
		stats_defect(LB_DEFECT_STACK_TRUNCATED);
	stored.nr_frames = thread->walk.nr_frames;
	if (frames_reserve(stored.nr_frames, &stored.offset)) {
		stats_defect(LB_DEFECT_STACK_UNSTORED);
		return 0;
	}
	context.walk = &thread->walk;
	context.offset = stored.offset;
	bpf_loop(stored.nr_frames, store_step, &context, 0);
	bpf_map_update_elem(&stacks, &id, &stored, BPF_EXIST);
	return 0;
}
