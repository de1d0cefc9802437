/* SPDX-License-Identifier: GPL-2.0-only */
#include "probe/link.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The part of union bpf_attr that BPF_LINK_CREATE takes for uprobe.multi (Linux 6.18,
 * include/uapi/linux/bpf.h). Written out since libbpf before 1.6 refuses the session type and the
 * kernel headers of Debian 12 do not have it.
 */
struct link_create_uprobe_multi {
	__u32 prog_fd;
	__u32 target_fd;
	__u32 attach_type;
	__u32 flags;
	__u64 path;
	__u64 offsets;
	__u64 ref_ctr_offsets;
	__u64 cookies;
	__u32 cnt;
	__u32 multi_flags;
	__u32 pid;
	__u32 zero;
};

#define UPROBE_MULTI_RETURN 1 /* BPF_F_UPROBE_MULTI_RETURN */

int link_attach_multi(const struct bpf_program *program, unsigned int attach_type, bool at_return,
		      const struct link_places *places, struct link *ret_link)
{
	struct link_create_uprobe_multi create = {
		.prog_fd = (__u32)bpf_program__fd(program),
		.attach_type = attach_type,
		.path = (__u64)(uintptr_t)places->path,
		.offsets = (__u64)(uintptr_t)places->offsets,
		.cookies = (__u64)(uintptr_t)places->cookies,
		.cnt = places->nr,
		.multi_flags = at_return ? UPROBE_MULTI_RETURN : 0,
		.pid = (__u32)places->pid,
	};
	int fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &create, sizeof(create));

	if (fd < 0)
		return -errno;
	*ret_link = (struct link){ .fd = fd };
	return 0;
}

static int attach_one(const struct bpf_program *program, bool at_return,
		      const struct link_places *places, uint32_t index, struct bpf_link **ret_link)
{
	LIBBPF_OPTS(bpf_uprobe_opts, options, .retprobe = at_return,
		    .bpf_cookie = places->cookies[index]);
	struct bpf_link *link = bpf_program__attach_uprobe_opts(program, places->pid, places->path,
								places->offsets[index], &options);

	if (!link)
		return -errno;
	*ret_link = link;
	return 0;
}

int link_attach_perf(const struct bpf_program *program, bool at_return,
		     const struct link_places *places, struct link *ret_link)
{
	struct link link __attribute__((cleanup(link_done))) = { .fd = -1 };

	link.perf = calloc(places->nr, sizeof(struct bpf_link *));
	if (!link.perf)
		return -ENOMEM;
	for (uint32_t i = 0; i < places->nr; i++) {
		int error = attach_one(program, at_return, places, i, &link.perf[i]);

		if (error)
			return error;
		link.nr_perf++;
	}
	*ret_link = link;
	link = (struct link){ .fd = -1 };
	return 0;
}

void link_done(struct link *link)
{
	base_close_fd(&link->fd);
	for (size_t i = 0; i < link->nr_perf; i++)
		bpf_link__destroy(link->perf[i]);
	free(link->perf);
	*link = (struct link){ .fd = -1 };
}

unsigned int attach_mode_type(enum attach_mode mode, const struct bpf_program *program)
{
	if (mode == ATTACH_PERF)
		return 0;
	return strstr(bpf_program__name(program), "_session") ? LINK_TYPE_SESSION : LINK_TYPE_MULTI;
}
