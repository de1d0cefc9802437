/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Mappings that an allocator makes for itself while it releases a block, such as the arena that free()
 * of glibc gives a thread whose first call it is. Their return is not waited for, which keeps free()
 * fast, so that the kernel side takes them for the program's own. The stack tells: it goes through the
 * releasing function.
 */
#include <errno.h>
#include <stdlib.h>

#include "cmd/session.h"

/* The releasing functions of one mapped file that has an allocator. */
struct allocator_file {
	uint64_t dev, inode;
	struct code_range *releases; /* owned */
	size_t nr_releases;
};

struct shelter {
	struct allocator_file *files; /* owned */
	size_t nr_files, capacity;
};

struct shelter *shelter_new(void)
{
	return calloc(1, sizeof(struct shelter));
}

struct shelter *shelter_free(struct shelter *shelter)
{
	if (!shelter)
		return NULL;
	for (size_t i = 0; i < shelter->nr_files; i++)
		free(shelter->files[i].releases);
	free(shelter->files);
	free(shelter);
	return NULL;
}

static struct allocator_file *find_file(const struct shelter *shelter, uint64_t dev, uint64_t inode)
{
	for (size_t i = 0; i < shelter->nr_files; i++)
		if (shelter->files[i].inode == inode && shelter->files[i].dev == dev)
			return &shelter->files[i];
	return NULL;
}

/* The file of @object, found or added. NULL: out of memory. */
static struct allocator_file *file_of(struct shelter *shelter, const struct object_plan *object)
{
	struct allocator_file *file = find_file(shelter, object->dev, object->inode);
	void *files = shelter->files;

	if (file)
		return file;
	if (vec_reserve(&files, &shelter->capacity, shelter->nr_files + 1, sizeof(*file)))
		return NULL;
	shelter->files = files;
	file = &shelter->files[shelter->nr_files++];
	*file = (struct allocator_file){ .dev = object->dev, .inode = object->inode };
	return file;
}

int shelter_learn(struct shelter *shelter, struct plan *plan)
{
	for (size_t i = 0; i < plan->nr_objects; i++) {
		struct object_plan *object = &plan->objects[i];
		struct allocator_file *file;

		if (!object->nr_releases)
			continue;
		file = file_of(shelter, object);
		if (!file)
			return -ENOMEM;
		free(file->releases); /* the file may be another one by now */
		file->releases = take(object->releases);
		file->nr_releases = object->nr_releases;
		object->nr_releases = 0;
	}
	return 0;
}

bool shelter_releases(const struct shelter *shelter, const struct code_place *place)
{
	const struct allocator_file *file = find_file(shelter, place->dev, place->inode);

	for (size_t i = 0; file && i < file->nr_releases; i++)
		if (place->offset - file->releases[i].offset < file->releases[i].bytes)
			return true;
	return false;
}

/* What the stack of a mapping tells: 1 it was made inside of a releasing function, 0 it was not,
 * -ENOENT not known yet. */
static int was_releasing(struct session *session, const struct lb_site_key *key)
{
	const uint64_t *pcs;
	uint32_t flags;
	size_t nr = ledger_stack(session->ledger, key->stack, &pcs, &flags);
	bool unknown = !nr;

	for (size_t i = 0; i < nr; i++) {
		struct code_place place;

		if (symbolizer_locate(session->symbolizer, (pid_t)key->tgid, pcs[i] - 1, &place))
			unknown |= !flags; /* a broken stack may lead anywhere */
		else if (shelter_releases(session->shelter, &place))
			return 1;
	}
	return unknown ? -ENOENT : 0;
}

size_t session_shelter(struct session *session)
{
	struct lb_site_key key;
	size_t found = 0;

	for (uint32_t slot = 0; ledger_next_unsettled(session->ledger, &slot, &key); slot++) {
		int releasing = was_releasing(session, &key);

		if (releasing < 0)
			continue;
		ledger_settle(session->ledger, slot, releasing);
		found += (size_t)releasing;
	}
	return found;
}
