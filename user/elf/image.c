/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Opening a binary file and its segments. The file is read, never mapped: a mapped file that is
 * cut while we look at it would end the observer with SIGBUS.
 */
#include "elf/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_SEGMENTS 4096
#define MAX_SECTIONS 65536
#define MAX_MEMORY   (256UL << 20)
#define MAX_COPIED   (1ULL << 30) /* sections that are no code or data, all together */

/* Opens a regular file. It is looked at before it is opened for reading: opening a device or a
 * pipe to which a hostile path leads would have effects. */
static int open_regular(const char *path, uint64_t *ret_size)
{
	int handle __cleanup_fd = open(path, O_PATH | O_CLOEXEC);
	char self[64];
	struct stat st;
	int fd;

	if (handle < 0 || fstat(handle, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOEXEC;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", handle);
	fd = open(self, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_size = (uint64_t)st.st_size;
	return fd;
}

static int add_segment(struct image *image, const GElf_Phdr *header)
{
	uint64_t end;
	int err;

	if (__builtin_add_overflow(header->p_vaddr, header->p_memsz, &end) ||
	    __builtin_add_overflow(header->p_offset, header->p_filesz, &end) ||
	    header->p_filesz > header->p_memsz || image->nr_segments == MAX_SEGMENTS)
		return -ENOEXEC;
	err = vec_reserve((void **)&image->segments, &image->segments_capacity,
			  image->nr_segments + 1, sizeof(*image->segments));
	if (err)
		return err;
	image->segments[image->nr_segments++] = (struct segment){
		.vaddr = header->p_vaddr,
		.memory_bytes = header->p_memsz,
		.offset = header->p_offset,
		.file_bytes = header->p_filesz,
		.executable = header->p_flags & PF_X,
		.writable = header->p_flags & PF_W,
	};
	return 0;
}

/* Does the dynamic segment name a library to load? */
static bool needs_library(const struct image *image, const GElf_Phdr *header)
{
	uint64_t left = MIN(header->p_filesz, 1UL << 20);
	Elf64_Dyn entry;

	for (uint64_t at = header->p_vaddr; left >= sizeof(entry); at += sizeof(entry)) {
		if (image_read(image, at, &entry, sizeof(entry)) != sizeof(entry) ||
		    entry.d_tag == DT_NULL)
			return false;
		if (entry.d_tag == DT_NEEDED)
			return true;
		left -= sizeof(entry);
	}
	return false;
}

static int read_segments(struct image *image)
{
	GElf_Phdr header, dynamic = { 0 };
	size_t nr_headers;
	int err = 0;

	if (elf_getphdrnum(image->elf, &nr_headers))
		return -ENOEXEC;
	for (size_t i = 0; i < nr_headers && !err; i++) {
		if (!gelf_getphdr(image->elf, (int)i, &header))
			return -ENOEXEC;
		if (header.p_type == PT_LOAD)
			err = add_segment(image, &header);
		else if (header.p_type == PT_INTERP)
			image->has_interpreter = true;
		else if (header.p_type == PT_DYNAMIC)
			dynamic = header;
	}
	if (!err && dynamic.p_type == PT_DYNAMIC)
		image->has_needed = needs_library(image, &dynamic);
	return err;
}

/* Is it of a class, byte order, type and machine that we know? */
static int check_header(struct image *image)
{
	GElf_Ehdr header;

	if (elf_kind(image->elf) != ELF_K_ELF || !gelf_getehdr(image->elf, &header))
		return -ENOEXEC;
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB)
		return -ENOEXEC;
	if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
		return -ENOEXEC;
	if (header.e_machine != EM_X86_64 && header.e_machine != EM_AARCH64)
		return -ENOEXEC;
	image->machine = header.e_machine;
	return 0;
}

/* Relocations that a linker left for other tools; we look at those that are loaded. */
static bool is_for_linkers(const GElf_Shdr *header)
{
	return header->sh_type == SHT_RELA && !(header->sh_flags & SHF_ALLOC);
}

/* libelf copies each section that is asked for as a whole and keeps it. Those that we ask for must fit
 * into the file side by side, so that neither overlapping nor sparse ones take all memory. */
static int check_sections(const struct image *image)
{
	uint64_t total = 0, most = MIN(image->size_bytes, MAX_COPIED);
	Elf_Scn *section = NULL;

	for (int i = 0; i < MAX_SECTIONS && (section = elf_nextscn(image->elf, section)); i++) {
		GElf_Shdr header;

		if (!gelf_getshdr(section, &header))
			return -ENOEXEC;
		if (header.sh_type == SHT_NOBITS || header.sh_type == SHT_PROGBITS ||
		    is_for_linkers(&header))
			continue;
		if (__builtin_add_overflow(total, header.sh_size, &total) || total > most)
			return -ENOEXEC;
	}
	return 0;
}

/* What follows once image->elf is there. */
static int read_headers(struct image *image)
{
	int err;

	if (!image->elf)
		return -ENOEXEC;
	err = check_header(image);
	if (!err)
		err = check_sections(image);
	if (!err)
		err = read_segments(image);
	if (!err)
		image_read_identity(image);
	return err;
}

static struct image *image_new(void)
{
	struct image *image = calloc(1, sizeof(*image));

	elf_version(EV_CURRENT);
	if (image)
		image->fd = -1;
	return image;
}

Elf *image_begin_elf(const struct image *image)
{
	if (image->memory)
		return elf_memory(image->memory, image->size_bytes);
	return elf_begin(image->fd, ELF_C_READ, NULL);
}

/* libelf makes memory for all headers that a file says it has, which may be billions. */
static int check_counts(const struct image *image)
{
	Elf64_Ehdr header;
	Elf64_Shdr first = { 0 };

	if (image_read_at(image, 0, &header, sizeof(header)) != sizeof(header) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) || header.e_ident[EI_CLASS] != ELFCLASS64)
		return -ENOEXEC;
	if (!header.e_shnum && header.e_shoff)
		image_read_at(image, header.e_shoff, &first, sizeof(first));
	return header.e_phnum == PN_XNUM || first.sh_size > MAX_SECTIONS ? -ENOEXEC : 0;
}

int image_open(const char *path, struct image **ret_image)
{
	struct image *image __cleanup_image = image_new();
	int err;

	if (!image)
		return -ENOMEM;
	image->fd = open_regular(path, &image->size_bytes);
	if (image->fd < 0)
		return image->fd;
	err = check_counts(image);
	if (err)
		return err;
	image->elf = image_begin_elf(image);
	err = read_headers(image);
	if (err)
		return err;
	*ret_image = take(image);
	return 0;
}

int image_open_memory(const void *bytes, size_t len, struct image **ret_image)
{
	struct image *image __cleanup_image = image_new();
	int err;

	if (!len || len > MAX_MEMORY)
		return -ENOEXEC;
	if (!image)
		return -ENOMEM;
	image->memory = malloc(len);
	if (!image->memory)
		return -ENOMEM;
	memcpy(image->memory, bytes, len);
	image->size_bytes = len;
	err = check_counts(image);
	if (err)
		return err;
	image->elf = image_begin_elf(image);
	err = read_headers(image);
	if (err)
		return err;
	*ret_image = take(image);
	return 0;
}

struct image *image_free(struct image *image)
{
	if (!image)
		return NULL;
	lines_free(image->lines);
	plt_done(&image->plt);
	symbols_done(image);
	image_free(image->mini);
	image_free(image->debug);
	elf_end(image->elf);
	base_close_fd(&image->fd);
	free(image->memory);
	free(image->segments);
	free(image->debug_root);
	free(image);
	return NULL;
}

Elf_Scn *elf_section(Elf *elf, const char *name, GElf_Shdr *ret_header)
{
	Elf_Scn *section = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return NULL;
	for (int i = 0; i < MAX_SECTIONS; i++) {
		const char *found;

		section = elf_nextscn(elf, section);
		if (!section || !gelf_getshdr(section, ret_header))
			return NULL;
		found = elf_strptr(elf, names, ret_header->sh_name);
		if (found && !strcmp(found, name))
			return section;
	}
	return NULL;
}

Elf_Scn *image_section(const struct image *image, const char *name, GElf_Shdr *ret_header)
{
	return elf_section(image->elf, name, ret_header);
}

unsigned int image_machine(const struct image *image)
{
	return image->machine;
}

bool image_is_go(const struct image *image)
{
	return image->is_go;
}

bool image_is_static(const struct image *image)
{
	return !image->has_interpreter && !image->has_needed;
}

size_t image_build_id(const struct image *image, uint8_t ret_id[BUILD_ID_MAX])
{
	memcpy(ret_id, image->build_id, image->build_id_len);
	return image->build_id_len;
}

static const struct segment *segment_of_vaddr(const struct image *image, uint64_t vaddr)
{
	for (size_t i = 0; i < image->nr_segments; i++)
		if (vaddr - image->segments[i].vaddr < image->segments[i].memory_bytes)
			return &image->segments[i];
	return NULL;
}

int image_vaddr_to_offset(const struct image *image, uint64_t vaddr, uint64_t *ret_offset)
{
	const struct segment *segment = segment_of_vaddr(image, vaddr);

	if (!segment || vaddr - segment->vaddr >= segment->file_bytes)
		return -ENXIO;
	*ret_offset = vaddr - segment->vaddr + segment->offset;
	return 0;
}

/* Segments may share file bytes; code is what is asked for, so executable ones come first. */
int image_offset_to_vaddr(const struct image *image, uint64_t offset, uint64_t *ret_vaddr)
{
	const struct segment *found = NULL;

	for (size_t i = 0; i < image->nr_segments; i++) {
		const struct segment *segment = &image->segments[i];

		if (offset - segment->offset < segment->file_bytes &&
		    (!found || (segment->executable && !found->executable)))
			found = segment;
	}
	if (!found)
		return -ENXIO;
	*ret_vaddr = offset - found->offset + found->vaddr;
	return 0;
}

bool image_is_executable(const struct image *image, uint64_t vaddr)
{
	const struct segment *segment = segment_of_vaddr(image, vaddr);

	return segment && segment->executable;
}

bool image_code_around(const struct image *image, uint64_t vaddr, uint64_t *ret_before,
		       uint64_t *ret_behind)
{
	const struct segment *segment = segment_of_vaddr(image, vaddr);

	if (!segment || !segment->executable)
		return false;
	*ret_before = vaddr - segment->vaddr;
	*ret_behind = segment->memory_bytes - *ret_before;
	return true;
}

long image_read_at(const struct image *image, uint64_t offset, void *bytes, size_t len)
{
	ssize_t done;

	if (offset >= image->size_bytes)
		return -EIO;
	len = MIN(len, image->size_bytes - offset);
	if (image->memory) {
		memcpy(bytes, image->memory + offset, len);
		return (long)len;
	}
	done = pread(image->fd, bytes, len, (off_t)offset);
	return done < 0 ? -errno : done;
}

long image_read(const struct image *image, uint64_t vaddr, void *bytes, size_t len)
{
	const struct segment *segment = segment_of_vaddr(image, vaddr);
	uint64_t inside;

	if (!segment || vaddr - segment->vaddr >= segment->file_bytes)
		return -ENXIO;
	inside = vaddr - segment->vaddr;
	return image_read_at(image, segment->offset + inside, bytes,
			     MIN(len, segment->file_bytes - inside));
}
