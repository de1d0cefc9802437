/* SPDX-License-Identifier: GPL-2.0-only */
/* Does the target's memory hold what was decoded from the file? */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe/tracer.h"

#define INT3 0xcc
#define NOP5 "\x0f\x1f\x44\x00\x00"

/* By a debugger: not by us, who hold a program that we start without writing to its code. */
static bool is_traced(pid_t pid)
{
	long tracer;
	char path[64];
	char *text __cleanup_string = NULL;
	const char *field;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (io_read_file(path, 1 << 16, &text, &len))
		return false;
	field = strstr(text, "TracerPid:");
	tracer = field ? strtol(field + strlen("TracerPid:"), NULL, 10) : 0;
	return tracer && tracer != getpid();
}

/*
 * Equal bytes, or those that an attached uprobe leaves: a breakpoint, or a call in place of a 5-byte
 * nop (Linux 6.18, arch/x86/kernel/uprobes.c, arch_uprobe_optimize()). A breakpoint may as well be
 * a debugger's, which a probe must not touch.
 */
static bool instruction_matches(const struct placement *placement, const uint8_t *memory,
				bool traced)
{
	if (!memcmp(memory, placement->instruction, placement->instruction_len))
		return true;
	if (traced)
		return false;
#if defined(__x86_64__)
	if (memory[0] == INT3)
		return !memcmp(memory + 1, placement->instruction + 1,
			       (size_t)placement->instruction_len - 1);
	return placement->instruction_len == 5 && !memcmp(placement->instruction, NOP5, 5) &&
	       memory[0] == 0xe8;
#else
	return false;
#endif
}

static const struct mapping *find_text(const struct maps *maps, uint64_t dev, uint64_t inode,
				       uint64_t offset)
{
	for (size_t i = 0; i < maps->nr_mappings; i++) {
		const struct mapping *mapping = &maps->mappings[i];

		if (mapping->dev == dev && mapping->inode == inode && mapping->perms[2] == 'x' &&
		    offset >= mapping->file_offset &&
		    offset - mapping->file_offset < mapping->end - mapping->start)
			return mapping;
	}
	return NULL;
}

int verifier_open(pid_t pid, const struct maps *maps, struct verifier *ret_verifier)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_verifier =
		(struct verifier){ .maps = maps, .memory_fd = fd, .traced = is_traced(pid) };
	return 0;
}

void verifier_done(struct verifier *verifier)
{
	base_close_fd(&verifier->memory_fd);
}

/* All @len bytes. -ESRCH: the memory is no more (Linux 6.18, fs/proc/base.c, mem_rw()). */
static int read_memory(int fd, void *bytes, size_t len, uint64_t address)
{
	ssize_t got = pread(fd, bytes, len, (off_t)address);

	if (got == 0)
		return -ESRCH;
	return got == (ssize_t)len ? 0 : -EIO;
}

int verifier_check(const struct verifier *verifier, uint64_t dev, uint64_t inode,
		   const struct placement *placement)
{
	const struct mapping *text = find_text(verifier->maps, dev, inode, placement->offset);
	uint8_t memory[sizeof(placement->instruction)];
	int code;

	if (!text)
		return -ESRCH;
	if (placement->instruction_len > sizeof(memory))
		return -ENOENT;
	code = read_memory(verifier->memory_fd, memory, placement->instruction_len,
			   text->start + placement->offset - text->file_offset);
	if (code)
		return code;
	return instruction_matches(placement, memory, verifier->traced) ? 0 : -ENOENT;
}
