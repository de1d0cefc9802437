/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where to put a probe in a Go function. It begins with a check of the stack, and comes back to its
 * entry after the stack was grown:
 *
 *	[lea -N(%rsp), %r12]; cmp ...; jbe grow; push %rbp ...	Go 1.21 and later
 *	[lea -N(%rsp), %r12]; cmp ...; jbe grow; sub $N, %rsp ...	until Go 1.20
 *	push %rbp ...						without a check, or sub
 *
 * (cmd/internal/obj/x86/obj6.go, stacksplit() and preprocess()). Each call passes the push once. At
 * the jbe a call whose stack must grow comes by twice: the flags tell, the second time counts.
 */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "elf/instruction.h"

#define PROLOGUE_INSTRUCTIONS 6
#define MAX_FUNCTION_BYTES    16384U
#define PUSH_BP               0x55

/* jbe, with a short or a long distance. */
static bool is_jbe(const uint8_t *bytes)
{
	return bytes[0] == 0x76 || (bytes[0] == 0x0f && bytes[1] == 0x86);
}

static struct placement placement_here(const uint8_t *bytes, size_t at, uint8_t len)
{
	struct placement placement = {
		.vaddr = at,
		.kind = PLACEMENT_CHEAP,
		.instruction_len = len,
	};

	memcpy(placement.instruction, bytes + at, len);
	return placement;
}

int placement_choose_go(const struct code *code, struct placement *ret_placement,
			bool *ret_at_branch)
{
	struct instruction instruction;
	size_t at = 0;

	for (unsigned int i = 0; i < PROLOGUE_INSTRUCTIONS && at + 1 < code->len; i++) {
		if (x86_decode(code->bytes + at, code->len - at, &instruction) < 0)
			return -ENOEXEC;
		if (code->bytes[at] == PUSH_BP || is_jbe(code->bytes + at)) {
			size_t next = at + instruction.len;
			bool branch = code->bytes[at] != PUSH_BP;

			if (branch && next < code->len && code->bytes[next] == PUSH_BP) {
				*ret_placement = placement_here(code->bytes, next, 1);
				branch = false;
			} else {
				*ret_placement = placement_here(code->bytes, at, instruction.len);
			}
			*ret_at_branch = branch;
			return 0;
		}
		if (instruction.flow != FLOW_NEXT || instruction.sp_change)
			return -ENOTSUP;
		at += instruction.len;
	}
	return -ENOTSUP;
}

int placement_choose_call(const struct code *code, int64_t target, struct placement *ret_placement)
{
	struct instruction instruction;
	size_t at = 0;
	bool found = false;

	while (at < code->len) {
		if (x86_decode(code->bytes + at, code->len - at, &instruction) < 0)
			return found ? 0 : -ENOEXEC;
		if (instruction.flow == FLOW_CALL && instruction.has_target &&
		    (int64_t)at + instruction.target == target) {
			if (found)
				return -ENOTSUP;
			found = true;
			*ret_placement = placement_here(code->bytes, at, instruction.len);
		}
		at += instruction.len;
	}
	return found ? 0 : -ENOTSUP;
}

DEFINE_CLEANUP(bytes, uint8_t *, free(*value))

/* The code of a function of Go, whose size is always known. */
static int read_code(struct image *image, uint64_t vaddr, uint64_t size, struct code *ret_code,
		     uint8_t **ret_bytes)
{
	uint8_t *bytes __cleanup_of(bytes) = NULL;
	long got;

	if (image_machine(image) != EM_X86_64)
		return -ENOTSUP;
	if (!size || size > MAX_FUNCTION_BYTES || !image_is_executable(image, vaddr))
		return -ENOEXEC;
	bytes = malloc(size);
	if (!bytes)
		return -ENOMEM;
	got = image_read(image, vaddr, bytes, size);
	if (got != (long)size)
		return -ENOEXEC;
	*ret_code = (struct code){
		.machine = EM_X86_64, .bytes = bytes, .len = size, .is_whole = true
	};
	*ret_bytes = take(bytes);
	return 0;
}

static int to_image(const struct image *image, uint64_t vaddr, struct placement *placement)
{
	placement->vaddr += vaddr;
	return image_vaddr_to_offset(image, placement->vaddr, &placement->offset) ? -ENOEXEC : 0;
}

int placement_find_go(struct image *image, uint64_t vaddr, uint64_t size,
		      struct placement *ret_placement, bool *ret_at_branch)
{
	uint8_t *bytes __cleanup_of(bytes) = NULL;
	struct placement placement;
	struct code code;
	bool at_branch = false;
	int err = read_code(image, vaddr, size, &code, &bytes);

	if (!err)
		err = placement_choose_go(&code, &placement, &at_branch);
	if (!err)
		err = to_image(image, vaddr, &placement);
	if (err)
		return err;
	*ret_placement = placement;
	*ret_at_branch = at_branch;
	return 0;
}

int placement_find_call(struct image *image, uint64_t vaddr, uint64_t size, uint64_t target,
			struct placement *ret_placement)
{
	uint8_t *bytes __cleanup_of(bytes) = NULL;
	struct placement placement;
	struct code code;
	int err = read_code(image, vaddr, size, &code, &bytes);

	if (!err)
		err = placement_choose_call(&code, (int64_t)(target - vaddr), &placement);
	if (!err)
		err = to_image(image, vaddr, &placement);
	if (err)
		return err;
	*ret_placement = placement;
	return 0;
}
