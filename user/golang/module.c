/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Both are found by what they look like, since stripped and packed binaries have no sections: the
 * function table by its header, moduledata (Go 1.18 to 1.27 runtime/symtab.go) by beginning with
 * pointers to that header and to the names behind it.
 */
#include "golang/module.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_BYTES     (1UL << 20)
#define MAX_TABLE_BYTES (512UL << 20)
#define MAX_SEARCH      (2UL << 30) /* bytes looked through for a header or moduledata */
#define MAX_DISTANCE    (2UL << 30) /* between parts of one binary */
#define MAX_HEADERS     64          /* things that look like a header */

/* moduledata */
#define NAMES_AT     8
#define TABLE_AT     104
#define TABLE_LEN_AT 112
#define TEXT_AT      176
#define DATA_AT      192 /* start and end of each of the four ranges */
#define TYPES_120    296
#define GOFUNC_118   304
#define GOFUNC_120   320
#define GOFUNC_127   344
#define MODULE_BYTES 352

/* build information (Go 1.23 debug/buildinfo/buildinfo.go, readRawBuildInfo()) */
#define INFO_FLAGS_AT   15
#define INFO_INLINE     0x2 /* Go 1.18 and later: the texts stand behind the header */
#define INFO_VERSION_AT 32
#define VERSION_BYTES   128

/* A mapping being read: what can not differ from the file comes from there, so that the process
 * does not get pages mapped that it never used. */
struct source {
	struct memory *memory;
	const struct mapping *mapping;
	int fd; /* -1: read memory */
};

static void source_open(struct source *source, struct memory *memory, const struct mapping *mapping)
{
	char path[8192];

	*source = (struct source){ .memory = memory, .mapping = mapping, .fd = -1 };
	if (mapping->inode && !strchr(mapping->perms, 'w') &&
	    !mapping_open_path(memory->pid, mapping, path, sizeof(path)))
		source->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

static void source_done(struct source *source)
{
	base_close_fd(&source->fd);
}

DEFINE_CLEANUP(source, struct source, source_done(value))

/* Reads @len bytes at @offset of the mapping. */
static int source_read(const struct source *source, uint64_t offset, void *bytes, size_t len)
{
	const struct mapping *mapping = source->mapping;

	if (offset > mapping->end - mapping->start || len > mapping->end - mapping->start - offset)
		return -EFAULT;
	if (source->fd >= 0 &&
	    !io_pread_full(source->fd, bytes, len, mapping->file_offset + offset))
		return 0;
	return memory_read(source->memory, mapping->start + offset, bytes, len);
}

/* --- a search through mappings, word by word --- */

struct search {
	struct memory *memory;
	const struct maps *maps;
	uint8_t *chunk; /* CHUNK_BYTES + MODULE_BYTES */
	uint64_t left;  /* bytes that may still be looked through */
	unsigned int headers_left;
	struct go_module *module;
	char version[VERSION_BYTES];
};

/* Looks at the candidate with the bytes at @address. 0: found; -ENOENT: not it. */
typedef int (*search_test)(struct search *search, const struct mapping *mapping, uint64_t address,
			   const uint8_t *bytes, size_t len);

static int search_chunk(struct search *search, const struct mapping *mapping, uint64_t address,
			size_t len, search_test test)
{
	size_t at;
	int err = -ENOENT;

	for (at = 0; at + 8 <= MIN(len, CHUNK_BYTES) && err == -ENOENT; at += 8)
		err = test(search, mapping, address + at, search->chunk + at, len - at);
	return err;
}

static int search_mapping(struct search *search, const struct mapping *mapping, search_test test)
{
	struct source source __cleanup_of(source);
	uint64_t size = mapping->end - mapping->start, offset;
	int err = -ENOENT;

	source_open(&source, search->memory, mapping);
	for (offset = 0; offset < size && search->left && err == -ENOENT; offset += CHUNK_BYTES) {
		size_t len = MIN(size - offset, CHUNK_BYTES + MODULE_BYTES);

		search->left -= MIN(search->left, len);
		err = source_read(&source, offset, search->chunk, len);
		if (err == -EFAULT)
			return -ENOENT; /* behind the end of its file */
		if (!err)
			err = search_chunk(search, mapping, mapping->start + offset, len, test);
	}
	return err;
}

static uint64_t word_at(const uint8_t *bytes, size_t offset)
{
	uint64_t word;

	memcpy(&word, bytes + offset, sizeof(word));
	return word;
}

/* --- moduledata --- */

/* Reads @len bytes from the header on. The end may lie in the next mapping: of a position independent
 * binary the last page is not made read-only. */
static int read_from_header(struct search *search, uint8_t *bytes, size_t len)
{
	const struct go_module *module = search->module;
	size_t inside = MIN(len, module->mapping->end - module->header);
	struct source source __cleanup_of(source);
	int err;

	source_open(&source, search->memory, module->mapping);
	err = source_read(&source, module->header - module->mapping->start, bytes, inside);
	if (!err && inside < len)
		err = memory_read(search->memory, module->mapping->end, bytes + inside,
				  len - inside);
	return err;
}

/* Copies the function table, whose extent moduledata tells. */
static int read_table(struct search *search, const uint8_t *data)
{
	struct go_module *module = search->module;
	uint64_t start = word_at(data, TABLE_AT), len = word_at(data, TABLE_LEN_AT);
	uint8_t *table;
	int err;

	if (start < module->header || start - module->header > MAX_TABLE_BYTES ||
	    len > MAX_TABLE_BYTES)
		return -ENOENT;
	len += start - module->header;
	table = malloc(len);
	if (!table)
		return -ENOMEM;
	err = read_from_header(search, table, len);
	if (err) {
		free(table);
		return err == -EFAULT ? -ENOENT : err;
	}
	module->table = table;
	module->table_bytes = len;
	return 0;
}

/* Where moduledata.gofunc stands. Behind types comes etypes, a higher address; since Go 1.27 the
 * length of a part of them (typedesclen), and three fields more before gofunc. */
static size_t inline_trees_at(enum pclntab_version version, const uint8_t *bytes)
{
	if (version == PCLNTAB_GO_118)
		return GOFUNC_118;
	return word_at(bytes, TYPES_120) <= word_at(bytes, TYPES_120 + 8) ? GOFUNC_120 : GOFUNC_127;
}

static int test_moduledata(struct search *search, const struct mapping *mapping, uint64_t address,
			   const uint8_t *bytes, size_t len)
{
	struct go_module *module = search->module;
	size_t i;

	(void)mapping;
	(void)address;
	if (len < MODULE_BYTES || word_at(bytes, 0) != module->header ||
	    word_at(bytes, NAMES_AT) <= module->header ||
	    word_at(bytes, NAMES_AT) - module->header > PCLNTAB_HEADER_BYTES * 2)
		return -ENOENT;
	module->text = word_at(bytes, TEXT_AT);
	module->inline_trees = word_at(bytes, inline_trees_at(module->version, bytes));
	for (i = 0; i < ARRAY_SIZE(module->data); i++) {
		module->data[i].start = word_at(bytes, DATA_AT + i * 16);
		module->data[i].end = word_at(bytes, DATA_AT + i * 16 + 8);
		if (module->data[i].end < module->data[i].start ||
		    module->data[i].end - module->data[i].start > MAX_DISTANCE)
			return -ENOENT;
	}
	return read_table(search, bytes);
}

/* Is this a mapping of the same binary, where moduledata may be? */
static bool is_near(const struct mapping *mapping, const struct go_module *module)
{
	uint64_t distance = mapping->start > module->header ? mapping->start - module->header
							    : module->header - mapping->start;

	return mapping->perms[0] == 'r' && distance < MAX_DISTANCE &&
	       !strcmp(mapping->path, module->mapping->path);
}

/* Most likely it is writable; else it lies in what was made read-only after relocation. */
static int find_moduledata(struct search *search)
{
	int err = -ENOENT;

	for (int writable = 1; writable >= 0; writable--) {
		for (size_t i = 0; i < search->maps->nr_mappings && err == -ENOENT; i++) {
			const struct mapping *mapping = &search->maps->mappings[i];

			if (is_near(mapping, search->module) &&
			    (mapping->perms[1] == 'w') == writable)
				err = search_mapping(search, mapping, test_moduledata);
		}
	}
	return err;
}

/* --- version --- */

/* The words before it are also in the code of whatever reads build information. */
static bool is_version(const uint8_t *text, size_t len)
{
	return (len > 2 && !memcmp(text, "go", 2)) || (len > 5 && !memcmp(text, "devel", 5));
}

static int test_build_info(struct search *search, const struct mapping *mapping, uint64_t address,
			   const uint8_t *bytes, size_t len)
{
	static const char magic[] = "\xff Go buildinf:";
	size_t version_len;

	(void)mapping;
	if (address % 16 || len < INFO_VERSION_AT + VERSION_BYTES ||
	    memcmp(bytes, magic, sizeof(magic) - 1) != 0 || !(bytes[INFO_FLAGS_AT] & INFO_INLINE))
		return -ENOENT;
	version_len = bytes[INFO_VERSION_AT];
	if (version_len >= VERSION_BYTES || !is_version(bytes + INFO_VERSION_AT + 1, version_len))
		return -ENOENT;
	memcpy(search->version, bytes + INFO_VERSION_AT + 1, version_len);
	return 0;
}

int module_read_version(struct memory *memory, const struct maps *maps,
			const struct go_module *module, char *ret_version, size_t size)
{
	struct search search = { .memory = memory, .maps = maps, .left = MAX_SEARCH };
	int err = -ENOENT;

	search.chunk = malloc(CHUNK_BYTES + MODULE_BYTES);
	if (!search.chunk)
		return -ENOMEM;
	for (size_t i = 0; i < maps->nr_mappings && err == -ENOENT; i++)
		if (is_near(&maps->mappings[i], module))
			err = search_mapping(&search, &maps->mappings[i], test_build_info);
	free(search.chunk);
	if (!err)
		snprintf(ret_version, size, "%s", search.version);
	return err;
}

/* --- the function table --- */

static int test_header(struct search *search, const struct mapping *mapping, uint64_t address,
		       const uint8_t *bytes, size_t len)
{
	struct search inner = *search;
	enum pclntab_version version;
	int err;

	if (len < PCLNTAB_HEADER_BYTES || !pclntab_is_header(bytes, &version) ||
	    !search->headers_left)
		return -ENOENT;
	search->headers_left--;
	*search->module =
		(struct go_module){ .version = version, .mapping = mapping, .header = address };
	if (version == PCLNTAB_GO_116)
		return 0;
	inner.chunk = malloc(CHUNK_BYTES + MODULE_BYTES);
	if (!inner.chunk)
		return -ENOMEM;
	err = find_moduledata(&inner);
	search->left = inner.left;
	free(inner.chunk);
	return err;
}

/* Elsewhere than in the executable only what can not be written: data of other programs is large
 * and reading it would give them pages that they never used. */
static bool is_searchable(const struct mapping *mapping, bool in_exe)
{
	return mapping->perms[0] == 'r' && mapping->path[0] != '[' &&
	       (in_exe || mapping->perms[1] != 'w');
}

static bool is_same_file(const struct mapping *a, const struct mapping *b)
{
	return a->inode == b->inode && a->dev == b->dev;
}

/* Is code of the same file mapped beside it? Tables of Go functions are; other files may be data of
 * any size. */
static bool has_code(const struct maps *maps, size_t index)
{
	const struct mapping *all = maps->mappings;
	size_t first = index;

	while (first > 0 && is_same_file(&all[first - 1], &all[index]))
		first--;
	for (size_t i = first; i < maps->nr_mappings && is_same_file(&all[i], &all[index]); i++)
		if (all[i].perms[2] == 'x')
			return true;
	return false;
}

int module_find(struct memory *memory, const struct maps *maps, const char *exe,
		struct go_module *ret_module)
{
	struct go_module module = { 0 };
	struct search search = { .memory = memory,
				 .maps = maps,
				 .left = MAX_SEARCH,
				 .headers_left = MAX_HEADERS,
				 .module = &module };
	int err = -ENOENT;

	search.chunk = malloc(CHUNK_BYTES + MODULE_BYTES);
	if (!search.chunk)
		return -ENOMEM;
	for (int in_exe = 1; in_exe >= 0; in_exe--) {
		for (size_t i = 0; i < maps->nr_mappings && err == -ENOENT; i++) {
			const struct mapping *mapping = &maps->mappings[i];

			if (is_searchable(mapping, in_exe) &&
			    (exe && !strcmp(mapping->path, exe)) == in_exe && has_code(maps, i))
				err = search_mapping(&search, mapping, test_header);
		}
	}
	free(search.chunk);
	if (!err)
		*ret_module = module;
	return err;
}

void module_done(struct go_module *module)
{
	free(module->table);
	*module = (struct go_module){ 0 };
}
