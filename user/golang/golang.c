/* SPDX-License-Identifier: GPL-2.0-only */
#include "golang/golang.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "golang/process.h"

#define CHECKED_GOROUTINES 1024 /* at most so many have to agree with a layout */

/* The release out of "go1.23.5" or "devel go1.26-0123abcd"; 0: it does not tell. */
static unsigned int parse_minor(const char *version)
{
	const char *found = strstr(version, "go1.");
	unsigned long minor;

	if (!found)
		return 0;
	minor = strtoul(found + 4, NULL, 10);
	return minor < 1000 ? (unsigned int)minor : 0;
}

static int fail_module(const struct golang *golang, int err, struct error *error)
{
	switch (err) {
	case -ESRCH:
		return error_set(error, err, "PID %d (%s) has ended", golang->pid, golang->comm);
	case -EPERM:
		return error_set(error, -EACCES,
				 "no right to read the memory of PID %d (%s); run leakbpf as root "
				 "(sudo)",
				 golang->pid, golang->comm);
	case -ENOENT:
		return error_set(error, -ENOEXEC,
				 "PID %d (%s) is no Go program: no table of Go functions is in its "
				 "memory",
				 golang->pid, golang->comm);
	default:
		return error_set(error, err, "the Go runtime of PID %d (%s) can not be read: %s",
				 golang->pid, golang->comm, strerror(-err));
	}
}

static int find_module(struct golang *golang, const struct target *target, struct error *error)
{
	int err = maps_read(golang->pid, &golang->maps);

	if (!err)
		err = module_find(&golang->memory, &golang->maps, target->exe, &golang->module);
	if (err)
		return fail_module(golang, err, error);
	if (module_read_version(&golang->memory, &golang->maps, &golang->module, golang->version,
				sizeof(golang->version)))
		snprintf(golang->version, sizeof(golang->version), "%s",
			 target->go_version ? target->go_version : "");
	golang->minor = parse_minor(golang->version);
	return 0;
}

static int check_release(const struct golang *golang, struct error *error)
{
	if (golang->module.version != PCLNTAB_GO_116 &&
	    (!golang->minor ||
	     (golang->minor >= G_OLDEST_RELEASE && golang->minor <= G_NEWEST_RELEASE)))
		return 0;
	return error_set(error, -ENOTSUP,
			 "PID %d (%s) was built with %s: goroutines can be read of Go 1.%d to 1.%d",
			 golang->pid, golang->comm,
			 golang->version[0] ? golang->version : "Go 1.17 or older",
			 G_OLDEST_RELEASE, G_NEWEST_RELEASE);
}

/* Run-time address minus address in the file, by the code: parts of other segments share the first
 * page of a mapping of data. */
static uint64_t find_bias(const struct golang *golang)
{
	uint64_t text = golang->module.text, vaddr, bias = 0;
	const struct mapping *mapping = maps_find(&golang->maps, text);
	struct image *image;
	char path[8192];

	if (!mapping || mapping_open_path(golang->pid, mapping, path, sizeof(path)) ||
	    image_open(path, &image))
		return 0;
	if (!image_offset_to_vaddr(image, text - mapping->start + mapping->file_offset, &vaddr))
		bias = text - vaddr;
	image_free(image);
	return bias;
}

static int prepare_symbols(struct golang *golang, struct error *error)
{
	struct gosym *symbols = &golang->symbols;

	symbols->memory = &golang->memory;
	symbols->strings = strings_new();
	if (!symbols->strings)
		return error_set(error, -ENOMEM, "out of memory");
	if (pclntab_parse(golang->module.table, golang->module.table_bytes, golang->module.text,
			  &symbols->table) ||
	    gosym_find_marks(symbols))
		return error_set(error, -ENOTSUP,
				 "the table of Go functions of PID %d (%s) is damaged", golang->pid,
				 golang->comm);
	symbols->module = strings_intern(symbols->strings, golang->module.mapping->path);
	symbols->bias = find_bias(golang);
	symbols->inline_trees = golang->module.inline_trees;
	symbols->has_one_list = golang->minor && golang->minor < 27;
	golang->link_register = symbols->table.quantum == 4;
	return 0;
}

/* --- which layout its g structures have --- */

/* Do the g's in @table agree with @layout? The process runs: a few may just be changing. */
static bool layout_agrees(struct golang *golang, const struct g_layout *layout,
			  const uint64_t *table, size_t nr)
{
	size_t nr_live = 0, nr_good = 0, nr_waiting = 0, nr_frames = 0;
	bool has_start = false, has_frames;

	for (size_t i = 0; i < nr; i++) {
		uint8_t bytes[G_MAX_BYTES];
		struct g g;

		if (memory_read(&golang->memory, table[i], bytes, layout_bytes(layout)) ||
		    !layout_read(layout, table[i], bytes, &g) || !g_is_live(&g))
			continue;
		nr_live++;
		if (!g_is_plausible(&g, &golang->symbols.table))
			continue;
		nr_good++;
		has_start |= g.start && g.creator;
		nr_waiting += g.status == G_WAITING;
		nr_frames += g.status == G_WAITING && layout_keeps_frame(layout, bytes, &g);
	}
	has_frames = golang->minor || nr_frames >= nr_waiting - nr_waiting / 10;
	return has_start && has_frames && nr_good >= nr_live - nr_live / 10;
}

static const struct g_layout *choose_layout(struct golang *golang, const uint64_t *table, size_t nr)
{
	for (size_t i = 0; i < g_nr_layouts; i++)
		if (layout_fits(&g_layouts[i], golang->minor, golang->module.version) &&
		    layout_agrees(golang, &g_layouts[i], table, nr))
			return &g_layouts[i];
	return NULL;
}

static const char *named_release(const struct golang *golang)
{
	return golang->version[0] ? golang->version : "Go, release unknown";
}

static int find_layout(struct golang *golang, struct error *error)
{
	uint64_t table[CHECKED_GOROUTINES], address, length;
	size_t nr;

	if (allgs_find(golang) || allgs_read_extent(golang, &address, &length))
		return error_set(
			error, -ENOTSUP,
			"the list of goroutines of PID %d (%s, %s) is not where Go 1.%d to "
			"1.%d keep it, or it has only just begun",
			golang->pid, golang->comm, named_release(golang), G_OLDEST_RELEASE,
			G_NEWEST_RELEASE);
	nr = MIN(length, (uint64_t)CHECKED_GOROUTINES);
	if (!memory_read(&golang->memory, address, table, nr * sizeof(table[0])))
		golang->layout = choose_layout(golang, table, nr);
	if (!golang->layout)
		return error_set(error, -ENOTSUP,
				 "the goroutines of PID %d (%s, %s) do not look as those of Go "
				 "1.%d to 1.%d do: they can not be read",
				 golang->pid, golang->comm, named_release(golang), G_OLDEST_RELEASE,
				 G_NEWEST_RELEASE);
	return 0;
}

DEFINE_CLEANUP(golang, struct golang *, golang_free(*value))

int golang_open(const struct target *target, struct golang **ret_golang, struct error *error)
{
	struct golang *golang __cleanup_of(golang) = calloc(1, sizeof(*golang));
	int err;

	if (!golang)
		return error_set(error, -ENOMEM, "out of memory");
	golang->pid = golang->memory.pid = target->pid;
	snprintf(golang->comm, sizeof(golang->comm), "%s", target->comm);
	golang->window = malloc(WINDOW_BYTES);
	if (!golang->window)
		return error_set(error, -ENOMEM, "out of memory");
	err = find_module(golang, target, error);
	if (!err)
		err = check_release(golang, error);
	if (!err)
		err = prepare_symbols(golang, error);
	if (!err)
		err = find_layout(golang, error);
	if (err)
		return err;
	if (reasons_read(golang))
		log_write(LOG_VERBOSE, "PID %d: the names of wait reasons were not found",
			  golang->pid);
	*ret_golang = take(golang);
	return 0;
}

struct golang *golang_free(struct golang *golang)
{
	if (!golang)
		return NULL;
	scan_done(golang);
	gosym_done(&golang->symbols);
	module_done(&golang->module);
	maps_done(&golang->maps);
	free(golang);
	return NULL;
}

const char *golang_version(const struct golang *golang)
{
	return golang->version;
}

void golang_releases(const struct golang *golang, unsigned int *ret_first, unsigned int *ret_last)
{
	*ret_first = golang->minor ? golang->minor : golang->layout->first;
	*ret_last = golang->minor ? golang->minor : golang->layout->last;
}
