/* SPDX-License-Identifier: GPL-2.0-only */
/* What is attached: finding, keeping, detaching, and cleaning up after forks. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe/tracer.h"

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
