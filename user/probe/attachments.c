/* SPDX-License-Identifier: GPL-2.0-only */
/* What is attached: finding, keeping, detaching, and cleaning up after forks. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe/tracer.h"

DEFINE_CLEANUP(image, struct image *, image_free(*value))

struct attachment *tracer_find(struct tracer *tracer, pid_t pid, uint64_t dev, uint64_t inode)
{
	for (size_t i = 0; i < tracer->nr_attachments; i++) {
		struct attachment *attachment = &tracer->attachments[i];

		if (attachment->pid == pid && attachment->dev == dev && attachment->inode == inode)
			return attachment;
	}
	return NULL;
}

int tracer_keep(struct tracer *tracer, struct attachment *attachment)
{
	int error = vec_reserve((void **)&tracer->attachments, &tracer->capacity,
				tracer->nr_attachments + 1, sizeof(*attachment));

	if (!error)
		tracer->attachments[tracer->nr_attachments++] = *attachment;
	return error;
}

void tracer_detach(struct tracer *tracer, pid_t pid)
{
	__u32 tgid = (__u32)pid;
	size_t kept = 0;

	bpf_map_delete_elem(bpf_map__fd(tracer->skeleton->maps.targets), &tgid);
	for (size_t i = 0; i < tracer->nr_attachments; i++) {
		if (tracer->attachments[i].pid == pid)
			attachment_done(&tracer->attachments[i]);
		else
			tracer->attachments[kept++] = tracer->attachments[i];
	}
	tracer->nr_attachments = kept;
	if (tracer->unwinder)
		unwinder_forget(tracer->unwinder, pid);
}

/*
 * A child inherits the breakpoints of a uprobe.multi link, and the kernel leaves them there though
 * no program runs for it. When a probe of the same place goes, the kernel asks for every process
 * whether a remaining probe wants it, and removes the breakpoint where none does (Linux 6.18,
 * kernel/events/uprobes.c, register_for_each_vma()). So a probe for ourselves comes and goes.
 * Perf-event uprobes clean up by themselves at the first hit.
 */
int tracer_clean_children(struct tracer *tracer)
{
	const struct bpf_program *program = tracer->skeleton->progs.heap_free;

	if (tracer->mode == ATTACH_PERF)
		return 0;
	for (size_t i = 0; i < tracer->nr_attachments; i++) {
		const struct attachment *attachment = &tracer->attachments[i];
		struct link link __attribute__((cleanup(link_done))) = { .fd = -1 };
		struct link_places places = {
			.path = attachment->open_path,
			.pid = getpid(),
			.offsets = attachment->offsets,
			.nr = attachment->nr_offsets,
		};
		int error = places.nr ? link_attach_multi(program, LINK_TYPE_MULTI, false, &places,
							  &link)
				      : 0;

		if (error && error != -ENOENT)
			return error;
	}
	return 0;
}

/* --- the dynamic linker --- */

/* The function that the dynamic linker calls, for debuggers, each time its list of loaded objects
 * changes: glibc 2.36 elf/dl-debug.c and musl 1.2.3 ldso/dynlink.c, _dl_debug_state(). */
#define LOADER_HOOK "_dl_debug_state"

static bool is_loader(const struct mapping *mapping)
{
	const char *name = strrchr(mapping->path, '/');

	return mapping->perms[2] == 'x' && mapping->inode && name &&
	       (!strncmp(name, "/ld-", 4) || !strncmp(name, "/ld.so", 6) ||
		!strncmp(name, "/libc.musl-", 11));
}

/* Where in the file the hook can be probed. -ENOENT: there is none. */
static int find_hook(const char *path, struct placement *ret_placement)
{
	struct image *image __cleanup_of(image) = NULL;
	struct symbol symbol;
	int error = image_open(path, &image);

	if (!error)
		error = image_find_function(image, LOADER_HOOK, &symbol);
	if (error)
		return error;
	return placement_find(image, symbol.vaddr, symbol.size, 0, false, ret_placement);
}

static int attach_hook(struct tracer *tracer, pid_t pid, const struct mapping *mapping,
		       const char *path, uint64_t offset)
{
	struct attachment attachment __attribute__((cleanup(attachment_done))) = {
		.pid = pid,
		.dev = mapping->dev,
		.inode = ~mapping->inode, /* apart from allocator probes in the same file */
		.open_path = strdup(path),
		.offsets = malloc(sizeof(uint64_t)),
		.nr_offsets = 1,
	};
	uint64_t cookie = 0;
	struct link_places places = {
		.path = path, .pid = pid, .offsets = &offset, .cookies = &cookie, .nr = 1
	};
	const struct bpf_program *program = tracer->skeleton->progs.library_changed;
	int error;

	if (!attachment.open_path || !attachment.offsets)
		return -ENOMEM;
	attachment.offsets[0] = offset;
	error = tracer->mode == ATTACH_PERF
			? link_attach_perf(program, false, &places, &attachment.links[0])
			: link_attach_multi(program, LINK_TYPE_MULTI, false, &places,
					    &attachment.links[0]);
	if (error)
		return error;
	attachment.nr_links = 1;
	error = tracer_keep(tracer, &attachment);
	if (!error)
		attachment = (struct attachment){ 0 };
	return error;
}

int loader_attach(struct tracer *tracer, pid_t pid, const struct maps *maps)
{
	for (size_t i = 0; i < maps->nr_mappings; i++) {
		const struct mapping *mapping = &maps->mappings[i];
		struct placement placement;
		char path[4096];
		int error;

		if (!is_loader(mapping) || tracer_find(tracer, pid, mapping->dev, ~mapping->inode))
			continue;
		error = mapping_open_path(pid, mapping, path, sizeof(path));
		if (!error)
			error = find_hook(path, &placement);
		if (error == -ENOENT || error == -ENOTSUP)
			continue; /* the mappings are re-read at each poll anyway */
		if (!error)
			error = attach_hook(tracer, pid, mapping, path, placement.offset);
		if (error)
			return error;
	}
	return 0;
}
