/* SPDX-License-Identifier: GPL-2.0-only */
/* Notices at once when a process loads or unloads a library. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "probe/tracer.h"

/* The function that the dynamic linker calls, for debuggers, each time its list of loaded objects
 * changes: glibc 2.36 elf/dl-debug.c and musl 1.2.3 ldso/dynlink.c, _dl_debug_state(). */
#define LOADER_HOOK "_dl_debug_state"

DEFINE_CLEANUP(image, struct image *, image_free(*value))

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

/* Where the hook cannot be had, the mappings are read again at each poll anyway. */
static int loader_attach_one(struct tracer *tracer, pid_t pid, const struct verifier *verifier,
			     const struct mapping *mapping)
{
	struct placement placement;
	char path[4096];
	int error = mapping_open_path(pid, mapping, path, sizeof(path));

	if (!error)
		error = find_hook(path, &placement);
	if (error == -ENOENT || error == -ENOTSUP || error == -ENOEXEC)
		return 0;
	if (!error && verifier_check(verifier, mapping->dev, mapping->inode, &placement))
		return 0;
	return error ? error : attach_hook(tracer, pid, mapping, path, placement.offset);
}

int loader_attach(struct tracer *tracer, pid_t pid, const struct verifier *verifier)
{
	int error = 0;

	for (size_t i = 0; !error && i < verifier->maps->nr_mappings; i++) {
		const struct mapping *mapping = &verifier->maps->mappings[i];

		if (is_loader(mapping) && !tracer_find(tracer, pid, mapping->dev, ~mapping->inode))
			error = loader_attach_one(tracer, pid, verifier, mapping);
	}
	return error;
}
