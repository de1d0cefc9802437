/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Function symbols: by name, by address, all of them.
 */
#include "elf/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SECTIONS 65536
#define MAX_SYMBOLS  (8UL << 20)
#define MAX_NAME     16384 /* longer names are left out: sorting compares them again and again */
/* Go cmd/link/internal/ld/symtab.go (1.23): where the code begins, and ends, that the Go linker has
 * put together; C code lies outside. */
#define GO_TEXT     "runtime.text"
#define GO_TEXT_END "runtime.etext"
#define MAX_NESTED  256 /* symbols looked back over for one that covers an address */

size_t symbol_name_len(const char *name)
{
	size_t len = strcspn(name, "@");

	return len ? len : strlen(name);
}

static int compare_names(const char *a, const char *b)
{
	size_t a_len = symbol_name_len(a), b_len = symbol_name_len(b);
	int order = memcmp(a, b, MIN(a_len, b_len));

	return order ? order : (a_len > b_len) - (a_len < b_len);
}

/* Which of two names of one address do people know? Global before local, then the one with fewer
 * underscores in front (free, not __libc_free), then the shorter one, then by alphabet. */
static int compare_fame(const struct symbol_entry *a, const struct symbol_entry *b)
{
	size_t a_under = strspn(a->name, "_"), b_under = strspn(b->name, "_");
	size_t a_len, b_len;

	if (a->is_function != b->is_function)
		return a->is_function ? -1 : 1;
	if (a->sized != b->sized)
		return a->sized ? -1 : 1;
	if (a->is_global != b->is_global)
		return a->is_global ? -1 : 1;
	if (a_under != b_under)
		return a_under < b_under ? -1 : 1;
	a_len = symbol_name_len(a->name);
	b_len = symbol_name_len(b->name);
	if (a_len != b_len)
		return a_len < b_len ? -1 : 1;
	return strcmp(a->name, b->name);
}

static int compare_entries(const void *left, const void *right)
{
	const struct symbol_entry *a = left, *b = right;

	if (a->vaddr != b->vaddr)
		return a->vaddr < b->vaddr ? -1 : 1;
	return compare_fame(a, b);
}

/* By name; of equal names the better known place first, so that the choice is always the same. */
static int compare_by_name(const void *left, const void *right, void *context)
{
	const struct symbol_entry *entries = context;
	const struct symbol_entry *a = &entries[*(const uint32_t *)left];
	const struct symbol_entry *b = &entries[*(const uint32_t *)right];
	int order = compare_names(a->name, b->name);

	if (order)
		return order;
	order = compare_fame(a, b);
	return order ? order : (a->vaddr > b->vaddr) - (a->vaddr < b->vaddr);
}

/* A function, or a label in code that somebody may want to see as one. Labels beginning with $ only
 * mark what follows (ELF for the Arm 64-bit Architecture, "Mapping symbols"). */
static bool is_code(const struct image *image, const GElf_Sym *sym, const char *name)
{
	unsigned int type = GELF_ST_TYPE(sym->st_info);

	if (sym->st_shndx == SHN_UNDEF || sym->st_shndx == SHN_ABS || sym->st_shndx == SHN_COMMON)
		return false;
	if (!name || !*name || strnlen(name, MAX_NAME) == MAX_NAME ||
	    !image_is_executable(image, sym->st_value))
		return false;
	return type == STT_FUNC || type == STT_GNU_IFUNC || (type == STT_NOTYPE && *name != '$');
}

/* The first address behind the section that @sym lies in, or the symbol's own when it lies in none:
 * then it covers nothing. */
static uint64_t section_end(const struct image *image, const GElf_Sym *sym)
{
	Elf_Scn *section = elf_getscn(image->elf, sym->st_shndx);
	GElf_Shdr header;
	uint64_t end;

	if (!section || !gelf_getshdr(section, &header) ||
	    sym->st_value - header.sh_addr >= header.sh_size ||
	    __builtin_add_overflow(header.sh_addr, header.sh_size, &end))
		return sym->st_value;
	return end;
}

static int add_symbol(struct image *image, const GElf_Sym *sym, const char *name)
{
	struct symbol_table *table = &image->symbols;
	struct symbol_entry entry = {
		.name = name,
		.vaddr = sym->st_value,
		.sized = sym->st_size,
		.is_function = GELF_ST_TYPE(sym->st_info) != STT_NOTYPE,
		.is_global = GELF_ST_BIND(sym->st_info) != STB_LOCAL,
	};
	int err;

	if (!entry.sized)
		entry.end = section_end(image, sym);
	else if (__builtin_add_overflow(sym->st_value, sym->st_size, &entry.end))
		entry.end = UINT64_MAX;
	err = vec_reserve((void **)&table->entries, &table->capacity, table->nr_entries + 1,
			  sizeof(entry));
	if (!err)
		table->entries[table->nr_entries++] = entry;
	return err;
}

static int add_section(struct image *image, Elf_Scn *section, const GElf_Shdr *header)
{
	Elf_Data *data = elf_getdata(section, NULL);
	size_t nr_symbols = data ? data->d_size / sizeof(Elf64_Sym) : 0;
	int err = 0;

	for (size_t i = 0; i < nr_symbols && !err && image->symbols.nr_entries < MAX_SYMBOLS; i++) {
		const char *name;
		GElf_Sym sym;

		if (!gelf_getsym(data, (int)i, &sym))
			return 0;
		name = elf_strptr(image->elf, header->sh_link, sym.st_name);
		if (is_code(image, &sym, name))
			err = add_symbol(image, &sym, name);
	}
	return err;
}

static int add_sections(struct image *image)
{
	Elf_Scn *section = NULL;
	int err = 0;

	for (int i = 0; i < MAX_SECTIONS && !err; i++) {
		GElf_Shdr header;

		section = elf_nextscn(image->elf, section);
		if (!section || !gelf_getshdr(section, &header))
			return 0;
		if (header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM)
			err = add_section(image, section, &header);
	}
	return err;
}

static bool has_symbol(const struct symbol_table *table, const char *name)
{
	for (size_t i = 0; i < table->nr_entries; i++)
		if (!strcmp(table->entries[i].name, name))
			return true;
	return false;
}

/* The Go runtime knows its functions even when the symbols have been stripped. */
static int add_go_functions(struct image *image)
{
	const struct pclntab *functions = &image->gofuncs.table;
	struct symbol_table *table = &image->symbols;
	struct go_function func;
	int err;

	if (!image->is_go || has_symbol(table, GO_TEXT))
		return 0;
	err = gofuncs_find(image, &image->gofuncs);
	if (err)
		return err == -ENOMEM ? err : 0;
	for (size_t i = 0; i < functions->nr_functions && table->nr_entries < MAX_SYMBOLS; i++) {
		if (pclntab_function(functions, i, &func) || !func.name[0] ||
		    !image_is_executable(image, func.entry))
			continue;
		err = vec_reserve((void **)&table->entries, &table->capacity, table->nr_entries + 1,
				  sizeof(*table->entries));
		if (err)
			return err;
		table->entries[table->nr_entries++] = (struct symbol_entry){
			.name = func.name,
			.vaddr = func.entry,
			.end = func.end,
			.sized = true,
			.is_function = true,
		};
	}
	return 0;
}

/* Sorts, drops what .symtab and .dynsym both have, and lets symbols of unknown size end where the
 * next one begins. */
static void order_symbols(struct symbol_table *table)
{
	size_t kept = 0;

	if (table->nr_entries)
		qsort(table->entries, table->nr_entries, sizeof(*table->entries), compare_entries);
	for (size_t i = 0; i < table->nr_entries; i++) {
		struct symbol_entry *entry = &table->entries[i];
		struct symbol_entry *last = kept ? &table->entries[kept - 1] : NULL;

		if (last && last->vaddr == entry->vaddr && !compare_names(last->name, entry->name))
			continue;
		table->entries[kept++] = *entry;
	}
	table->nr_entries = kept;
	for (size_t i = kept, next = UINT64_MAX; i-- > 0;) {
		struct symbol_entry *entry = &table->entries[i];

		if (i + 1 < kept && table->entries[i + 1].vaddr != entry->vaddr)
			next = table->entries[i + 1].vaddr;
		if (!entry->sized)
			entry->end = MIN(entry->end, next);
	}
}

static int index_names(struct symbol_table *table)
{
	table->by_name = calloc(table->nr_entries + 1, sizeof(*table->by_name));
	if (!table->by_name)
		return -ENOMEM;
	for (size_t i = 0; i < table->nr_entries; i++)
		table->by_name[i] = (uint32_t)i;
	qsort_r(table->by_name, table->nr_entries, sizeof(*table->by_name), compare_by_name,
		table->entries);
	return 0;
}

static int load_symbols(struct image *image)
{
	struct symbol_table *table = &image->symbols;
	int err;

	if (table->loaded)
		return 0;
	err = add_sections(image);
	if (!err)
		err = add_go_functions(image);
	if (!err) {
		order_symbols(table);
		err = index_names(table);
	}
	if (err)
		symbols_done(image);
	else
		table->loaded = true;
	return err;
}

void symbols_done(struct image *image)
{
	free(image->symbols.entries);
	free(image->symbols.by_name);
	image->symbols = (struct symbol_table){ 0 };
	gofuncs_done(&image->gofuncs);
}

static struct symbol to_symbol(const struct symbol_entry *entry)
{
	return (struct symbol){
		.name = entry->name,
		.vaddr = entry->vaddr,
		.size = entry->sized ? entry->end - entry->vaddr : 0,
		.is_function = entry->is_function,
		.is_global = entry->is_global,
	};
}

/* The first place in by_name whose name is not less than @name. */
static size_t first_by_name(const struct symbol_table *table, const char *name)
{
	size_t low = 0, high = table->nr_entries;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_names(table->entries[table->by_name[middle]].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int image_find_function(struct image *image, const char *name, struct symbol *ret_symbol)
{
	const struct symbol_table *table = &image->symbols;
	int err = load_symbols(image);

	if (err)
		return err;
	for (size_t i = first_by_name(table, name); i < table->nr_entries; i++) {
		const struct symbol_entry *entry = &table->entries[table->by_name[i]];

		if (compare_names(entry->name, name))
			break;
		if (!entry->is_function)
			continue;
		*ret_symbol = to_symbol(entry);
		return 0;
	}
	return -ENOENT;
}

int image_for_each_function(struct image *image,
			    int (*visit)(const struct symbol *symbol, void *context), void *context)
{
	int result = load_symbols(image);

	for (size_t i = 0; i < image->symbols.nr_entries && !result; i++) {
		struct symbol symbol = to_symbol(&image->symbols.entries[i]);

		if (symbol.is_function)
			result = visit(&symbol, context);
	}
	return result;
}

bool image_may_be_go_code(struct image *image, uint64_t vaddr)
{
	const struct pclntab *table = &image->gofuncs.table;
	struct symbol start, end;
	struct go_function last;

	if (!image->is_go)
		return false;
	if (!image_find_function(image, GO_TEXT, &start) &&
	    !image_find_function(image, GO_TEXT_END, &end))
		return vaddr >= start.vaddr && vaddr < end.vaddr;
	if (table->nr_functions && !pclntab_function(table, table->nr_functions - 1, &last))
		return vaddr >= table->text && vaddr < last.end;
	return true;
}

/* How many entries begin at or before @vaddr. */
static size_t count_before(const struct symbol_table *table, uint64_t vaddr)
{
	size_t low = 0, high = table->nr_entries;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (table->entries[middle].vaddr <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Does @a say more about an address that both cover? A function before a label, a known size before
 * a guessed one, the inner of two, the better known name. */
static bool is_better(const struct symbol_entry *a, const struct symbol_entry *b)
{
	if (!b)
		return true;
	if (a->is_function != b->is_function)
		return a->is_function;
	if (a->sized != b->sized)
		return a->sized;
	if (a->vaddr != b->vaddr)
		return a->vaddr > b->vaddr;
	return compare_fame(a, b) < 0;
}

const struct symbol_entry *symbols_covering(struct image *image, uint64_t vaddr)
{
	const struct symbol_table *table = &image->symbols;
	const struct symbol_entry *best = NULL;
	size_t last, first;

	if (load_symbols(image))
		return NULL;
	last = count_before(table, vaddr);
	first = last > MAX_NESTED ? last - MAX_NESTED : 0;
	for (size_t i = last; i-- > first;) {
		const struct symbol_entry *entry = &table->entries[i];

		if (vaddr < entry->end && is_better(entry, best))
			best = entry;
	}
	return best;
}

int image_symbol_at(struct image *image, uint64_t vaddr, struct symbol *ret_symbol)
{
	const struct symbol_entry *best, *entry;

	if (!image_is_executable(image, vaddr))
		return -ENOENT;
	image_load_companions(image);
	best = symbols_covering(image, vaddr);
	entry = image->mini ? symbols_covering(image->mini, vaddr) : NULL;
	if (entry && is_better(entry, best))
		best = entry;
	entry = image->debug ? symbols_covering(image->debug, vaddr) : NULL;
	if (entry && is_better(entry, best))
		best = entry;
	if (!best)
		return -ENOENT;
	*ret_symbol = to_symbol(best);
	return 0;
}
