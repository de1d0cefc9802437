/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The contract of both sides: what the BPF programs write and the loader reads.
 *
 * Plain C without includes: the includer brings __u8..__u64 (vmlinux.h on the kernel side,
 * <linux/types.h> on the user side). Every layout is pinned by a static assertion, so both
 * compilers agree or refuse.
 *
 * The ledger has two verbs, open and close. What is open and was never closed is outstanding
 * ("live"). A site is one stack that opened something of one kind in one process.
 */
#ifndef LEAKBPF_H
#define LEAKBPF_H

#define LB_MAX_FRAMES 127 /* program counters kept of one stack */
#define LB_MAX_EPOCHS 16  /* generations told apart by a walk over the live entries */

/* What a ledger entry stands for. The order is the order of the -k option and of reports. */
enum lb_kind {
	LB_KIND_HEAP,      /* a block of malloc and its kin; id: address, weight: bytes asked for */
	LB_KIND_MMAP,      /* a mapping the program made itself; id: address, weight: bytes */
	LB_KIND_GOROUTINE, /* read from outside by user/golang, not through the live map; weight: 1 */
	LB_KIND_THREAD,    /* a thread of the Go runtime; id: address of its m; weight: 1 */
	LB_KIND_TIMER,     /* a timer of the Go runtime; id: its address; weight: 1 */
	LB_KIND_NEWPROC,   /* a goroutine, at its go statement; id: address of its g; weight: 1 */
	LB_KIND_GOPARK, /* a goroutine that waits; id: address of its g; weight: nanoseconds waited,
			      known when it goes on */
	LB_KIND_MAX,
};

/*
 * Counters, summed over CPUs. They obey the conservation law that each report states:
 *
 *   hits   = opened + failed + nested + sampled_out + in flight + every loss of enum lb_loss
 *   closes = closed + unmatched + partial + closing
 *
 * where opened is the sum of opened - untracked over all sites, and closed that of closed. The
 * ledger is read while the targets run: what is in flight or closing was under way then.
 */
enum lb_count {
	LB_COUNT_HITS,        /* calls that may open something, seen at their entry */
	LB_COUNT_FAILED,      /* such calls that opened nothing: they returned an error */
	LB_COUNT_NESTED,      /* such calls made inside another one: counted there, once */
	LB_COUNT_SAMPLED_OUT, /* opened at its site, but not followed to its close */
	LB_COUNT_CLOSES,      /* calls that may close something; one for each range they touch */
	LB_COUNT_UNMATCHED, /* of what was opened before we attached, not followed, or just closed */
	LB_COUNT_REPLACED,  /* an id opened again without a close in between (closed then) */
	LB_COUNT_PARTIAL,   /* closes that cut a range and left the rest open */
	LB_COUNT_MAX,
};

/* Losses: each drops one event, or a part of it, and is shown by name in every report. */
enum lb_loss {
	LB_LOSS_THREAD,     /* no per-thread scratch could be had */
	LB_LOSS_MAY_THROW,  /* a C++ allocation that may fail is left alone: limits.bpf.h */
	LB_LOSS_ABANDONED,  /* a call left without returning (longjmp, exception) */
	LB_LOSS_LIVE_FULL,  /* the map is at its limit; of blocks the loader raises the sampling */
	LB_LOSS_LIVE_NOMEM, /* the kernel had no memory for a live entry */
	LB_LOSS_SITES_FULL, /* no slot for a new site */
	LB_LOSS_USER_READ,  /* memory of the target that was needed could not be read */
	LB_LOSS_MAX,
};

/* Imperfections of stacks and messages that lose no event; shown when not zero. */
enum lb_defect {
	LB_DEFECT_STACK_TRUNCATED, /* sites whose stack is deeper than LB_MAX_FRAMES */
	LB_DEFECT_STACK_UNSTORED,  /* sites whose stack found no room: their frames are unknown */
	LB_DEFECT_EVENT_DROPPED,   /* process events that found the ring buffer full */
	LB_DEFECT_MAX,
};

/* How the walk over a stack ended; shown by -v. All but the first mark the stack. */
enum lb_unwind_end {
	LB_UNWIND_COMPLETE,      /* at the outermost frame */
	LB_UNWIND_TOO_DEEP,      /* after LB_MAX_FRAMES frames */
	LB_UNWIND_NO_MAPPING,    /* a return address in no known mapping */
	LB_UNWIND_BAD_RULE,      /* call frame information that has no row format */
	LB_UNWIND_READ,          /* the stack could not be read */
	LB_UNWIND_NO_PROGRESS,   /* the caller's frame would not lie above */
	LB_UNWIND_FRAME_POINTER, /* code without information and without frame pointers */
	LB_UNWIND_MAX,
};

/* The numbers of one CPU. */
struct lb_stats {
	__u64 count[LB_KIND_MAX][LB_COUNT_MAX];
	__u64 loss[LB_KIND_MAX][LB_LOSS_MAX];
	__u64 defect[LB_DEFECT_MAX];
	__u64 unwind_end[LB_UNWIND_MAX]; /* walks, by their end */
	__u64 unwind_cached;             /* stacks recognised without a walk */
	__u64 unwind_lookups;            /* rules that were not in the rule cache */
};

/* Key of a live entry. */
struct lb_live_key {
	__u32 tgid; /* process, as seen in the initial pid namespace */
	__u32 kind; /* enum lb_kind */
	__u64 id;   /* what the kind says: an address, a descriptor ... */
};

/* A live entry: open and not yet closed. */
struct lb_live {
	__u32 site;     /* index in the sites array */
	__u32 flags;    /* LB_LIVE_* */
	__u64 weight;   /* bytes, or 1 where the kind has none */
	__u64 birth_ns; /* CLOCK_MONOTONIC */
};

#define LB_LIVE_PART                                                                               \
	0x1 /* split off a range by a partial munmap: its close does not count as one */

/* Who opened: the key under which a site is found. */
struct lb_site_key {
	__u32 tgid;
	__u32 kind;
	__u64 stack; /* 64-bit id of the stack; 0: unknown */
};

/*
 * One site. All counts rise only. What is outstanding is opened - untracked - closed of the
 * followed objects; untracked ones were sampled out or lost after their site was known.
 *
 * Of LB_KIND_GOPARK only what is closed has a weight; something else stands for the other weights.
 */
struct lb_site {
	struct lb_site_key key; /* tgid 0: slot not in use */
	__u64 opened;
	union {
		__u64 opened_weight;
		__u64 longest_ns; /* LB_KIND_GOPARK: the longest wait that is over */
	};
	__u64 closed;
	__u64 closed_weight;
	__u64 untracked; /* part of opened that was not put into the live map */
	union {
		__u64 untracked_weight;
		__u64 wait_reason; /* LB_KIND_GOPARK: its number in the runtime; 0: not known */
	};
};

/* Where the frames of a stack lie in the frames array. */
struct lb_stack {
	__u32 offset;    /* index of the innermost frame; the callers follow */
	__u16 nr_frames; /* 0: not stored (see LB_DEFECT_STACK_UNSTORED) */
	__u16 flags;     /* LB_STACK_* */
};

#define LB_STACK_TRUNCATED  0x1 /* deeper than LB_MAX_FRAMES */
#define LB_STACK_INCOMPLETE 0x2 /* the walk ended before the outermost frame */

/* What a process did, sent to the loader through the ring buffer. */
enum lb_event_type {
	LB_EVENT_FORK,   /* a target made a child process (other: its pid) */
	LB_EVENT_EXEC,   /* a target replaced its program */
	LB_EVENT_EXIT,   /* the first thread of a target ended */
	LB_EVENT_MAPPED, /* a target loaded or unloaded a library */
};

struct lb_event {
	__u32 type; /* enum lb_event_type */
	__u32 tgid;
	__u32 other;
	__u32 zero;
	__u64 time_ns; /* CLOCK_MONOTONIC */
};

/*
 * Attach cookie: what the probed call is and where its arguments are at the probed instruction.
 * Built by the loader from the catalogue and the decoded prologue.
 */
enum lb_call {
	LB_CALL_ALLOC,    /* returns the block; size = a (times b when LB_COOKIE_MULTIPLY) */
	LB_CALL_REALLOC,  /* old block = a, size = b (times c when LB_COOKIE_MULTIPLY) */
	LB_CALL_MEMALIGN, /* posix_memalign: block stored through a, size = b, returns 0 or error */
	LB_CALL_FREE,     /* block = a */
	LB_CALL_MMAP,     /* size = a, address asked = b, flags = c; returns the mapping */
	LB_CALL_MUNMAP,   /* address = a, size = b */
	LB_CALL_MREMAP,   /* old address = a, old size = b, new size = c; returns the mapping */
	LB_CALL_BRK,      /* brk and sbrk: no arguments used, the break is read before and after */
	LB_CALL_SHELTER,  /* opens nothing itself; mappings made inside it are not the program's */
	LB_CALL_GO_TIMER, /* starts a timer */
	LB_CALL_GO_TIMER_STOP, /* stops it */
	LB_CALL_GO_TIMER_FIRE, /* runs it; it is over unless it has a period */
	LB_CALL_GO_THREAD,     /* makes a thread */
	LB_CALL_GO_THREAD_END, /* ends the current thread */
	LB_CALL_GO_NEWPROC, /* begins to make a goroutine: its stack is that of the go statement */
	LB_CALL_GO_CREATED, /* it has been made, on the same thread */
	LB_CALL_GO_ENDED,   /* a goroutine has ended */
	LB_CALL_GO_PARK,    /* the current goroutine begins to wait */
	LB_CALL_GO_EXECUTE, /* a goroutine goes on */
	LB_CALL_MAX,
};

/*
 * bits 0-7   enum lb_call
 * bits 8-11  register of a, 12-15 of b, 16-19 of c (enum lb_reg; LB_REG_NONE: not used)
 * bit  20    LB_COOKIE_MULTIPLY
 * bit  21    LB_COOKIE_THROWS: a failure is thrown, not returned
 * bits 32-47 bytes pushed on the stack before the probed instruction: the return address is
 *            at sp + that many; but of LB_CALL_MUNMAP, whose return is probed, where that is 0:
 *            how much code the file has before the probed instruction, in 4 KB
 * bits 48-63 of LB_CALL_MUNMAP: how much it has behind. Both are 0 where a program's own code may
 *            be in the file
 *
 * Calls of Go have, from bit 8 on, only what is called LB_COOKIE_GO_* below.
 */
enum lb_reg {
	LB_REG_NONE,
	LB_REG_ARG0, /* the six argument registers of the C calling convention, in order */
	LB_REG_ARG1,
	LB_REG_ARG2,
	LB_REG_ARG3,
	LB_REG_ARG4,
	LB_REG_ARG5,
	LB_REG_RET, /* rax on x86-64: a copy some prologues make */
	LB_REG_R10,
	LB_REG_R11,
};

#define LB_COOKIE_A_SHIFT     8
#define LB_COOKIE_B_SHIFT     12
#define LB_COOKIE_C_SHIFT     16
#define LB_COOKIE_MULTIPLY    (1ULL << 20)
#define LB_COOKIE_THROWS      (1ULL << 21)
#define LB_COOKIE_DELTA_SHIFT 32
#define LB_COOKIE_DELTA_MASK  0xffffULL

#define LB_COOKIE_BEFORE_SHIFT 32
#define LB_COOKIE_BEHIND_SHIFT 48
#define LB_COOKIE_CODE_MAX     0xffffULL
#define LB_COOKIE_CODE_BITS    12 /* of an address in that unit */
#define LB_COOKIE_BEFORE(cookie)                                                                   \
	(((cookie) >> LB_COOKIE_BEFORE_SHIFT & LB_COOKIE_CODE_MAX) << LB_COOKIE_CODE_BITS)
#define LB_COOKIE_BEHIND(cookie) (((cookie) >> LB_COOKIE_BEHIND_SHIFT) << LB_COOKIE_CODE_BITS)

#define LB_COOKIE_GO_SECOND 0x100 /* the object is the second argument, not the first */
#define LB_COOKIE_GO_BRANCH 0x200 /* probed at the branch that is taken to grow the stack */
#define LB_COOKIE_GO_INSIDE 0x400 /* probed inside the function, behind its prologue */
/* What to add to the argument for the object's address, and where in it is what. */
#define LB_COOKIE_GO_ADD_SHIFT       16
#define LB_COOKIE_GO_PERIOD_SHIFT    24
#define LB_COOKIE_GO_IS_CHAN_SHIFT   32
#define LB_COOKIE_GO_ADD(cookie)     ((cookie) >> LB_COOKIE_GO_ADD_SHIFT & 0xff)
#define LB_COOKIE_GO_PERIOD(cookie)  ((cookie) >> LB_COOKIE_GO_PERIOD_SHIFT & 0xff)
#define LB_COOKIE_GO_IS_CHAN(cookie) ((cookie) >> LB_COOKIE_GO_IS_CHAN_SHIFT & 0xff)

/* Settings fixed before the programs are loaded. */
struct lb_config {
	__u32 max_sites;
	__u32 max_frames; /* entries of the frames array */
	__u64 page_bytes;
	__u64 memory_bytes;  /* of the machine, with swap */
	__u32 unwind_tables; /* 1: unwind by tables; 0: follow frame pointers only */
	__u32 follow;        /* 1: children of targets are targets */
};

/* Settings that change while the programs run. */
struct lb_control {
	__u32 active;       /* 0: the programs return at once */
	__u32 sample_shift; /* only 1 of 2^sample_shift ids is followed */
	__u32 nr_sites;     /* slots handed out so far */
	__u32 nr_frames;    /* entries of the frames array handed out so far */
	__u32 generation;   /* of the unwind tables: older cached rules and paths do not count */
	__u32 unmapped;     /* set when a walk met an address in no known mapping */
};

/* What a walk over the live entries found of one site; the loader zeroes it before. */
struct lb_survivors {
	__u64 oldest_ns;            /* birth of the oldest; 0: none is live */
	__u32 count[LB_MAX_EPOCHS]; /* live ones born in each epoch */
};

/* What the loader asks of a walk over the live entries; programs of ledger.bpf.c. */
struct lb_walk_request {
	__u32 tgid;      /* ledger_close_process: the process */
	__u32 shift;     /* ledger_thin: the new sampling */
	__u64 before_ns; /* ledger_close_process: closes what was opened before */
	__u64 done;      /* entries removed */
	__u64 epochs_ns; /* ledger_survivors: start of the first epoch, CLOCK_MONOTONIC */
	__u64 epoch_ns;  /* ledger_survivors: length of each; at least 1 */
};

_Static_assert(sizeof(struct lb_walk_request) == 40, "lb_walk_request");
_Static_assert(sizeof(struct lb_survivors) == 72, "lb_survivors");
_Static_assert(sizeof(struct lb_live_key) == 16, "lb_live_key");
_Static_assert(sizeof(struct lb_live) == 24, "lb_live");
_Static_assert(sizeof(struct lb_site_key) == 16, "lb_site_key");
_Static_assert(sizeof(struct lb_site) == 64, "lb_site");
_Static_assert(sizeof(struct lb_stack) == 8, "lb_stack");
_Static_assert(sizeof(struct lb_event) == 24, "lb_event");
_Static_assert(sizeof(struct lb_config) == 32, "lb_config");
_Static_assert(sizeof(struct lb_control) == 24, "lb_control");

#endif
