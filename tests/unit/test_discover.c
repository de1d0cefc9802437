/* SPDX-License-Identifier: GPL-2.0-only */
/* What a file offers to probe, on ELF files made here of a few functions each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "probe/discover.h"

#define TEXT_AT       0x1000
#define SLOT_BYTES    32UL /* room of one function */
#define MAX_FUNCTIONS 16
#define SECTIONS_AT   0x2000

/* A function at slot @slot: its name, binding and first bytes. */
struct function {
	const char *name;
	unsigned int slot;
	unsigned char binding;
	const char *code;
	size_t len;
};

#define PUSH          "\x53\xc3", 2                        /* push; ret */
#define LOOP          "\x53\x75\xfd\xc3", 4                /* push; jne to the entry */
#define JUMP_TO(hex)  "\xe9" hex "\xff\xff\xff", 5         /* jmp backwards */
#define CALL_TO(hex)  "\x53\xe8" hex "\xff\xff\xff\xc3", 7 /* push; call backwards; ret */
#define CHECK_TO(hex) "\x70\x05\xe9" hex "\xff\xff\xff", 7 /* jo; jmp backwards */

#define GLOBAL(name, slot, ...) { name, slot, STB_GLOBAL, __VA_ARGS__ }
#define LOCAL(name, slot, ...)  { name, slot, STB_LOCAL, __VA_ARGS__ }

enum file_kind { FILE_STATIC, FILE_DYNAMIC, FILE_GO };

static char file[0x4000];

static size_t put(size_t at, const void *bytes, size_t len)
{
	assert_true(at + len <= sizeof(file));
	memcpy(file + at, bytes, len);
	return at + len;
}

static void put_header(enum file_kind kind, size_t sections_at)
{
	const Elf64_Phdr segments[] = {
		{ .p_type = PT_LOAD,
		  .p_flags = PF_R | PF_X,
		  .p_filesz = sizeof(file),
		  .p_memsz = sizeof(file),
		  .p_align = 0x1000 },
		{ .p_type = PT_INTERP, .p_offset = TEXT_AT, .p_filesz = 1 },
	};
	const Elf64_Ehdr header = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(header),
		.e_shoff = sections_at,
		.e_ehsize = sizeof(header),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = kind == FILE_STATIC ? 1 : 2,
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = 5,
		.e_shstrndx = 4,
	};

	put(put(0, &header, sizeof(header)), segments, sizeof(segments));
}

/* Makes a file of the functions and opens it. */
static struct image *make_file(enum file_kind kind, const struct function *functions, size_t nr)
{
	static const char names[] = "\0.text\0.symtab\0.strtab\0.go.buildinfo";
	Elf64_Sym symbols[MAX_FUNCTIONS + 1] = { 0 };
	char strings[512] = { 0 };
	size_t len = 1, at;
	struct image *image;

	assert_true(nr <= MAX_FUNCTIONS);
	memset(file, 0xcc, sizeof(file));
	for (size_t i = 0; i < nr; i++) {
		const struct function *function = &functions[i];

		symbols[i + 1] = (Elf64_Sym){
			.st_name = (Elf64_Word)len,
			.st_info = ELF64_ST_INFO(function->binding, STT_FUNC),
			.st_shndx = 1,
			.st_value = TEXT_AT + function->slot * SLOT_BYTES,
			.st_size = function->len,
		};
		assert_true(len + strlen(function->name) < sizeof(strings));
		memcpy(strings + len, function->name, strlen(function->name) + 1);
		len += strlen(function->name) + 1;
		put(TEXT_AT + function->slot * SLOT_BYTES, function->code, function->len);
	}
	Elf64_Shdr sections[5] = {
		[1] = { .sh_name = kind == FILE_GO ? 23 : 1,
			.sh_type = SHT_PROGBITS,
			.sh_flags = SHF_ALLOC | SHF_EXECINSTR,
			.sh_addr = TEXT_AT,
			.sh_offset = TEXT_AT,
			.sh_size = SLOT_BYTES * MAX_FUNCTIONS },
		[2] = { .sh_name = 7,
			.sh_type = SHT_SYMTAB,
			.sh_offset = SECTIONS_AT,
			.sh_size = (nr + 1) * sizeof(Elf64_Sym),
			.sh_link = 3,
			.sh_info = 1,
			.sh_entsize = sizeof(Elf64_Sym) },
		[3] = { .sh_name = 15, .sh_type = SHT_STRTAB, .sh_size = len },
		[4] = { .sh_name = 15, .sh_type = SHT_STRTAB, .sh_size = sizeof(names) },
	};

	at = put(SECTIONS_AT, symbols, (nr + 1) * sizeof(Elf64_Sym));
	sections[3].sh_offset = at;
	at = put(at, strings, len);
	sections[4].sh_offset = at;
	at = (put(at, names, sizeof(names)) + 7) & ~(size_t)7;
	put(at, sections, sizeof(sections));
	put_header(kind, at);
	assert_int_equal(image_open_memory(file, sizeof(file), &image), 0);
	return image;
}

static struct discovery look(enum file_kind kind, const struct function *functions, size_t nr)
{
	struct image *image = make_file(kind, functions, nr);
	struct discovery discovery;

	assert_int_equal(discover(image, &discovery), 0);
	image_free(image);
	return discovery;
}

#define LOOK(kind, ...)                                                                            \
	look(kind, (const struct function[]){ __VA_ARGS__ },                                       \
	     ARRAY_SIZE(((const struct function[]){ __VA_ARGS__ })))

/* The probe called @symbol; one without a name when there is none. */
static struct site_probe probe_of(const struct discovery *discovery, const char *symbol)
{
	for (size_t i = 0; i < discovery->nr_probes; i++)
		if (strcmp(discovery->probes[i].symbol, symbol) == 0)
			return discovery->probes[i];
	return (struct site_probe){ 0 };
}

static void test_unknown_allocator(void **state)
{
	struct discovery found =
		LOOK(FILE_DYNAMIC, GLOBAL("malloc", 0, PUSH), GLOBAL("free", 1, PUSH),
		     GLOBAL("calloc", 2, PUSH), GLOBAL("xmalloc", 3, PUSH));

	(void)state;
	assert_string_equal(found.allocator, "custom");
	assert_true(found.replaces_malloc);
	assert_null(found.prefixed_allocator);
	assert_int_equal(found.nr_probes, 3);
	assert_int_equal(probe_of(&found, "malloc").placement.offset, TEXT_AT);
	assert_int_equal(probe_of(&found, "malloc").cookie,
			 LB_CALL_ALLOC + (LB_REG_ARG0 << LB_COOKIE_A_SHIFT));
	assert_true(probe_of(&found, "calloc").cookie & LB_COOKIE_MULTIPLY);
	discovery_done(&found);
}

/* A library may call its own functions malloc or free. */
static void test_not_an_allocator(void **state)
{
	struct discovery found = LOOK(FILE_DYNAMIC, GLOBAL("malloc", 0, PUSH));

	(void)state;
	assert_null(found.allocator);
	assert_int_equal(found.nr_probes, 0);
	discovery_done(&found);
	found = LOOK(FILE_DYNAMIC, LOCAL("malloc", 0, PUSH), LOCAL("free", 1, PUSH));
	assert_null(found.allocator);
	assert_int_equal(found.nr_probes, 0);
	discovery_done(&found);
	found = LOOK(FILE_DYNAMIC, GLOBAL("je_free", 0, PUSH), GLOBAL("mi_malloc", 1, PUSH));
	assert_null(found.prefixed_allocator);
	assert_int_equal(found.nr_probes, 0);
	discovery_done(&found);
	found = LOOK(FILE_DYNAMIC, GLOBAL("_Znwm", 0, PUSH), GLOBAL("_ZdlPv", 1, PUSH));
	assert_int_equal(found.nr_probes, 0);
	discovery_done(&found);
}

/* The file of these functions, with @text among its constants at @at. */
static struct discovery look_with_text(const char *text, size_t at,
				       const struct function *functions, size_t nr)
{
	struct image *image = make_file(FILE_DYNAMIC, functions, nr);
	struct discovery discovery;

	image_free(image);
	put(at, text, strlen(text));
	assert_int_equal(image_open_memory(file, sizeof(file), &image), 0);
	assert_int_equal(discover(image, &discovery), 0);
	image_free(image);
	return discovery;
}

/* An allocator without symbols is known by what it would say; one with symbols is not nameless. */
static void test_nameless_allocator(void **state)
{
	const struct function other = GLOBAL("serve", 0, PUSH);
	const struct function own[] = { LOCAL("je_malloc", 0, PUSH), LOCAL("je_free", 1, PUSH) };
	const char *text = "mimalloc: error: %s";
	struct discovery found = look_with_text(text, 0x3000, &other, 1);

	(void)state;
	assert_string_equal(found.nameless_allocator, "mimalloc");
	assert_null(found.allocator);
	discovery_done(&found);
	found = look_with_text("<jemalloc>: ", sizeof(file) - strlen("<jemalloc>: "), &other, 1);
	assert_string_equal(found.nameless_allocator, "jemalloc");
	discovery_done(&found);
	found = look_with_text("<jemalloc>:", sizeof(file) - strlen("<jemalloc>:"), &other, 1);
	assert_null(found.nameless_allocator);
	discovery_done(&found);
	found = look_with_text("<jemalloc>: ", 0x3000, own, ARRAY_SIZE(own));
	assert_null(found.nameless_allocator);
	assert_string_equal(found.prefixed_allocator, "jemalloc");
	discovery_done(&found);
}

/* A language with a heap of its own is known by what it exports. */
static void test_runtime_heap(void **state)
{
	const struct function python[] = { GLOBAL("PyObject_Malloc", 0, PUSH) };
	const struct function local[] = { LOCAL("zend_mm_gc", 0, PUSH) };
	const struct function php[] = { GLOBAL("zend_mm_gc", 0, PUSH) };
	struct discovery found = look(FILE_DYNAMIC, python, ARRAY_SIZE(python));

	(void)state;
	assert_string_equal(found.runtime_heap->variable, "PYTHONMALLOC=malloc");
	discovery_done(&found);
	found = look(FILE_DYNAMIC, local, ARRAY_SIZE(local));
	assert_null(found.runtime_heap);
	discovery_done(&found);
	found = look(FILE_DYNAMIC, php, ARRAY_SIZE(php));
	assert_string_equal(found.runtime_heap->variable, "USE_ZEND_ALLOC=0");
	discovery_done(&found);
}

static void test_prefixed_allocator(void **state)
{
	struct discovery found = LOOK(FILE_DYNAMIC, LOCAL("je_malloc", 0, PUSH),
				      LOCAL("je_free", 1, PUSH), LOCAL("je_mallocx", 2, PUSH),
				      GLOBAL("_Znwm", 3, PUSH), GLOBAL("calloc", 4, PUSH));

	(void)state;
	assert_null(found.allocator);
	assert_string_equal(found.prefixed_allocator, "jemalloc");
	assert_false(found.replaces_malloc);
	assert_int_equal(found.nr_probes, 4);
	assert_non_null(probe_of(&found, "_Znwm").symbol);
	assert_null(probe_of(&found, "calloc").symbol);
	discovery_done(&found);
}

static void test_names(void **state)
{
	struct discovery found = LOOK(FILE_STATIC, GLOBAL("malloc", 0, PUSH),
				      GLOBAL("free", 1, PUSH), LOCAL("_int_malloc", 2, PUSH),
				      GLOBAL("je_malloc", 3, PUSH), GLOBAL("je_free", 4, PUSH));

	(void)state;
	assert_string_equal(found.allocator, "glibc");
	assert_string_equal(found.prefixed_allocator, "jemalloc");
	assert_false(found.replaces_malloc);
	discovery_done(&found);
	found = LOOK(FILE_STATIC, GLOBAL("malloc", 0, PUSH), GLOBAL("free", 1, PUSH),
		     LOCAL("_int_malloc", 2, PUSH), GLOBAL("mallctl", 3, PUSH));
	assert_string_equal(found.allocator, "jemalloc");
	assert_true(found.replaces_malloc);
	discovery_done(&found);
	found = LOOK(FILE_STATIC, GLOBAL("malloc", 0, PUSH), GLOBAL("free", 1, PUSH),
		     LOCAL("__libc_malloc_impl", 2, PUSH));
	assert_string_equal(found.allocator, "musl");
	discovery_done(&found);
}

/* One function, one probe, under the plainest name. */
static void test_aliases(void **state)
{
	struct discovery found =
		LOOK(FILE_DYNAMIC, GLOBAL("malloc", 0, PUSH), GLOBAL("cfree", 1, PUSH),
		     GLOBAL("free", 1, PUSH), GLOBAL("_ZdlPv", 1, PUSH));

	(void)state;
	assert_int_equal(found.nr_probes, 2);
	assert_non_null(probe_of(&found, "free").symbol);
	discovery_done(&found);
}

static bool is_released_at(const struct discovery *discovery, unsigned int slot, size_t len)
{
	for (size_t i = 0; i < discovery->nr_releases; i++)
		if (discovery->releases[i].offset == TEXT_AT + slot * SLOT_BYTES)
			return discovery->releases[i].bytes == len;
	return false;
}

/* The functions of the allocator that release blocks are known, also those that are not probed. */
static void test_releases(void **state)
{
	struct discovery found =
		LOOK(FILE_DYNAMIC, GLOBAL("malloc", 0, PUSH), GLOBAL("free", 1, LOOP),
		     GLOBAL("cfree", 1, LOOP), GLOBAL("_ZdlPv", 2, CALL_TO("\xda")),
		     LOCAL("je_free", 3, PUSH), LOCAL("cfree", 4, PUSH), GLOBAL("munmap", 5, PUSH));

	(void)state;
	assert_int_equal(found.nr_releases, 2);
	assert_true(is_released_at(&found, 1, 4));
	assert_true(is_released_at(&found, 2, 7));
	discovery_done(&found);
	found = LOOK(FILE_DYNAMIC, GLOBAL("free", 0, PUSH), LOCAL("je_malloc", 1, PUSH),
		     LOCAL("je_free", 2, PUSH), GLOBAL("_ZdaPv", 3, PUSH));
	assert_int_equal(found.nr_releases, 2);
	assert_true(is_released_at(&found, 2, 2));
	assert_true(is_released_at(&found, 3, 2));
	discovery_done(&found);
	found = LOOK(FILE_STATIC, GLOBAL("free", 0, PUSH), LOCAL("malloc", 1, PUSH),
		     GLOBAL("mmap", 2, PUSH));
	assert_int_equal(found.nr_releases, 0);
	discovery_done(&found);
}

/* What only goes on to another one is counted there. Slots are 32 bytes apart. */
static void test_counted_elsewhere(void **state)
{
	struct discovery found = LOOK(
		FILE_DYNAMIC, GLOBAL("malloc", 0, PUSH), GLOBAL("_Znwm", 1, CALL_TO("\xda")),
		GLOBAL("_Znam", 2, JUMP_TO("\xdb")), GLOBAL("free", 3, PUSH),
		GLOBAL("_ZdlPv", 4, JUMP_TO("\xdb")), GLOBAL("realloc", 5, PUSH),
		GLOBAL("reallocarray", 6, CHECK_TO("\xd9")), GLOBAL("calloc", 7, CHECK_TO("\x19")));

	(void)state;
	assert_non_null(probe_of(&found, "malloc").symbol);
	assert_non_null(probe_of(&found, "free").symbol);
	assert_non_null(probe_of(&found, "realloc").symbol);
	/* Only on one of its paths does this one go on to malloc. */
	assert_non_null(probe_of(&found, "calloc").symbol);
	assert_int_equal(found.nr_probes, 4);
	discovery_done(&found);
}

/* A jump to a function of another kind is the function's own work. */
static void test_other_kind(void **state)
{
	struct discovery found =
		LOOK(FILE_DYNAMIC, GLOBAL("malloc", 0, PUSH), GLOBAL("realloc", 1, JUMP_TO("\xdb")),
		     GLOBAL("free", 2, PUSH));

	(void)state;
	assert_non_null(probe_of(&found, "realloc").symbol);
	assert_int_equal(probe_of(&found, "realloc").placement.kind, PLACEMENT_CHEAP);
	discovery_done(&found);
}

static void test_mappings(void **state)
{
	struct discovery found = LOOK(FILE_DYNAMIC, GLOBAL("mmap", 0, PUSH));

	(void)state;
	assert_int_equal(found.nr_probes, 0);
	discovery_done(&found);
	found = LOOK(FILE_STATIC, GLOBAL("mmap", 0, PUSH), GLOBAL("munmap", 1, PUSH));
	assert_int_equal(found.nr_probes, 2);
	assert_null(found.allocator);
	discovery_done(&found);
	found = LOOK(FILE_DYNAMIC, GLOBAL("mmap", 0, PUSH), GLOBAL("malloc", 1, PUSH),
		     GLOBAL("free", 2, PUSH));
	assert_int_equal(found.nr_probes, 3);
	discovery_done(&found);
}

static void test_unplaced(void **state)
{
	struct discovery found =
		LOOK(FILE_DYNAMIC, GLOBAL("malloc", 0, PUSH), GLOBAL("free", 1, LOOP));

	(void)state;
	assert_int_equal(found.nr_probes, 1);
	assert_int_equal(found.nr_unplaced, 1);
	assert_string_equal(found.unplaced[0].symbol, "free");
	assert_int_equal(found.unplaced[0].error, -ENOTSUP);
	discovery_done(&found);
}

/* Where Go code is not known everything may be it. */
static void test_go(void **state)
{
	struct discovery found = LOOK(FILE_GO, GLOBAL("malloc", 0, PUSH), GLOBAL("free", 1, PUSH));

	(void)state;
	assert_true(found.is_go);
	assert_false(found.has_c);
	assert_string_equal(found.unknown_scheduler, "its version of Go is not known");
	assert_string_equal(found.unknown_threads, "its version of Go is not known");
	assert_string_equal(found.unknown_timers, "its version of Go is not known");
	assert_int_equal(found.nr_probes, 0);
	assert_int_equal(found.nr_unplaced, 2);
	assert_int_equal(found.unplaced[0].error, -EPERM);
	discovery_done(&found);
}

/* C functions linked into a Go program lie before or behind its own code. */
static void test_go_with_c(void **state)
{
	struct discovery found = LOOK(FILE_GO, GLOBAL("malloc", 0, PUSH),
				      LOCAL("runtime.text", 1, PUSH), GLOBAL("calloc", 1, PUSH),
				      GLOBAL("realloc", 2, PUSH), LOCAL("crosscall2", 3, PUSH),
				      LOCAL("runtime.etext", 4, PUSH), GLOBAL("free", 4, PUSH));

	(void)state;
	assert_true(found.is_go);
	assert_true(found.has_c);
	assert_int_equal(found.nr_probes, 2);
	assert_non_null(probe_of(&found, "malloc").symbol);
	assert_non_null(probe_of(&found, "free").symbol);
	assert_int_equal(found.nr_unplaced, 2);
	assert_int_equal(found.unplaced[0].error, -EPERM);
	discovery_done(&found);
}

/* The C function jumps into Go code: there is where the probe would be. */
static void test_go_by_jump(void **state)
{
	struct discovery found =
		LOOK(FILE_GO, LOCAL("runtime.text", 0, PUSH), LOCAL("runtime.etext", 1, PUSH),
		     GLOBAL("malloc", 1, JUMP_TO("\xdb")), GLOBAL("free", 2, PUSH));

	(void)state;
	assert_int_equal(found.nr_probes, 1);
	assert_int_equal(found.nr_unplaced, 1);
	assert_string_equal(found.unplaced[0].symbol, "malloc");
	discovery_done(&found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unknown_allocator),
		cmocka_unit_test(test_not_an_allocator),
		cmocka_unit_test(test_nameless_allocator),
		cmocka_unit_test(test_runtime_heap),
		cmocka_unit_test(test_prefixed_allocator),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_releases),
		cmocka_unit_test(test_counted_elsewhere),
		cmocka_unit_test(test_other_kind),
		cmocka_unit_test(test_mappings),
		cmocka_unit_test(test_unplaced),
		cmocka_unit_test(test_go),
		cmocka_unit_test(test_go_with_c),
		cmocka_unit_test(test_go_by_jump),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
