/* SPDX-License-Identifier: GPL-2.0-only */
#include "pclntab/pclntab.h"

#include <errno.h>
#include <string.h>

#include "base/base.h"

/* struct pcHeader: magic, two zeros, quantum, pointer size, then words */
#define NR_FUNCTIONS_AT 8
#define NAMES_AT        32
#define UNITS_AT        40
#define FILES_AT        48
#define VALUES_AT       56
#define FUNCTIONS_AT    64

/* struct _func */
#define NAME_AT        4
#define FRAME_BYTES_AT 16
#define FILE_AT        20
#define LINE_AT        24
#define NR_PCDATA_AT   28
#define UNIT_AT        32

#define ENTRY_BYTES        8 /* of the table that is searched: entry offset, record offset */
#define PCDATA_INLINE      2 /* abi.PCDATA_InlTreeIndex */
#define FUNCDATA_INLINE    3 /* abi.FUNCDATA_InlTree */
#define NO_OFFSET          UINT32_MAX
#define MAX_NAME_BYTES     65536
#define MAX_STEPS          (1 << 20)
#define MAX_INLINE_STEPS   (1 << 14)
#define MAX_FUNCTION_BYTES (256U << 20)

static bool read_u8(const struct pclntab *table, size_t at, uint8_t *ret_value)
{
	if (at >= table->len)
		return false;
	*ret_value = table->bytes[at];
	return true;
}

static bool read_u32(const struct pclntab *table, size_t at, uint32_t *ret_value)
{
	if (at > table->len || table->len - at < sizeof(*ret_value))
		return false;
	memcpy(ret_value, table->bytes + at, sizeof(*ret_value));
	return true;
}

static uint64_t header_word(const uint8_t *header, size_t at)
{
	uint64_t value;

	memcpy(&value, header + at, sizeof(value));
	return value;
}

/* The string at @at; NULL: it does not end in the table. */
static const char *read_string(const struct pclntab *table, size_t at)
{
	const char *string;

	if (at >= table->len)
		return NULL;
	string = (const char *)table->bytes + at;
	return memchr(string, '\0', MIN(table->len - at, (size_t)MAX_NAME_BYTES)) ? string : NULL;
}

bool pclntab_is_header(const uint8_t *bytes, enum pclntab_version *ret_version)
{
	uint32_t magic;

	memcpy(&magic, bytes, sizeof(magic));
	if (bytes[4] || bytes[5] || (bytes[6] != 1 && bytes[6] != 4) || bytes[7] != 8)
		return false;
	switch (magic) {
	case 0xfffffffa:
		*ret_version = PCLNTAB_GO_116;
		return true;
	case 0xfffffff0:
		*ret_version = PCLNTAB_GO_118;
		return true;
	case 0xfffffff1:
		*ret_version = PCLNTAB_GO_120;
		return true;
	default:
		return false;
	}
}

uint64_t pclntab_names_offset(const uint8_t *header)
{
	return header_word(header, NAMES_AT);
}

static bool parse_offsets(const uint8_t *bytes, struct pclntab *table)
{
	size_t *const parts[] = { &table->names, &table->units, &table->files, &table->values,
				  &table->functions };

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		uint64_t offset = header_word(bytes, NAMES_AT + i * 8);

		if (offset < PCLNTAB_HEADER_BYTES || offset > table->len)
			return false;
		*parts[i] = offset;
	}
	return true;
}

int pclntab_parse(const uint8_t *bytes, size_t len, uint64_t text, struct pclntab *ret_table)
{
	struct pclntab table = { .bytes = bytes, .len = len, .text = text };
	uint64_t nr_functions;

	if (len < PCLNTAB_HEADER_BYTES || !pclntab_is_header(bytes, &table.version) ||
	    table.version == PCLNTAB_GO_116 || !parse_offsets(bytes, &table))
		return -ENOEXEC;
	nr_functions = header_word(bytes, NR_FUNCTIONS_AT);
	/* behind the last entry stands the offset at which the last function ends */
	if (!nr_functions || len - table.functions < 4 ||
	    nr_functions > (len - table.functions - 4) / ENTRY_BYTES)
		return -ENOEXEC;
	table.nr_functions = nr_functions;
	table.quantum = bytes[6];
	*ret_table = table;
	return 0;
}

static size_t record_bytes(const struct pclntab *table)
{
	return table->version == PCLNTAB_GO_118 ? 40 : 44;
}

int pclntab_function(const struct pclntab *table, size_t index, struct go_function *ret_function)
{
	size_t at = table->functions + index * ENTRY_BYTES;
	uint32_t entry, record, end, name, own_entry;
	struct go_function function;

	if (!read_u32(table, at, &entry) || !read_u32(table, at + 4, &record) ||
	    !read_u32(table, at + ENTRY_BYTES, &end) || end <= entry ||
	    end - entry > MAX_FUNCTION_BYTES)
		return -ENOENT;
	if (table->text > UINT64_MAX - end)
		return -ENOENT;
	function.entry = table->text + entry;
	function.end = table->text + end;
	function.at = table->functions + record;
	if (!read_u32(table, function.at, &own_entry) || own_entry != entry ||
	    !read_u32(table, function.at + NAME_AT, &name) ||
	    !read_u8(table, function.at + record_bytes(table) - 4, &function.id))
		return -ENOENT;
	function.name = read_string(table, table->names + name);
	if (!function.name)
		return -ENOENT;
	*ret_function = function;
	return 0;
}

int pclntab_function_at(const struct pclntab *table, uint64_t pc, struct go_function *ret_function)
{
	size_t low = 0, high = table->nr_functions;
	uint64_t offset = pc - table->text;
	struct go_function function;

	if (pc < table->text || offset > UINT32_MAX)
		return -ENOENT;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		uint32_t entry;

		if (!read_u32(table, table->functions + middle * ENTRY_BYTES, &entry))
			return -ENOENT;
		if (entry <= offset)
			low = middle;
		else
			high = middle;
	}
	if (pclntab_function(table, low, &function) || pc < function.entry || pc >= function.end)
		return -ENOENT;
	*ret_function = function;
	return 0;
}

/* Compares without looking for the end of the name in the table: this is asked of all functions. */
static bool function_is(const struct pclntab *table, size_t index, const char *name, size_t len)
{
	uint32_t record, offset;
	size_t at;

	if (!read_u32(table, table->functions + index * ENTRY_BYTES + 4, &record) ||
	    !read_u32(table, table->functions + record + NAME_AT, &offset))
		return false;
	at = table->names + offset;
	return at < table->len && table->len - at > len &&
	       !memcmp(table->bytes + at, name, len + 1);
}

int pclntab_function_named(const struct pclntab *table, const char *name,
			   struct go_function *ret_function)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < table->nr_functions; i++)
		if (function_is(table, i, name, len))
			return pclntab_function(table, i, ret_function);
	return -ENOENT;
}

static bool read_varint(const struct pclntab *table, size_t *at, uint32_t *ret_value)
{
	uint32_t value = 0;
	uint8_t byte;

	for (unsigned int shift = 0; shift < 32; shift += 7) {
		if (!read_u8(table, *at, &byte))
			return false;
		(*at)++;
		value |= (uint32_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

/* A value that changes along the code: runtime.pcvalue(). The list at @at has, for each piece of
 * code, the difference to the last value and the length of the piece. */
struct pieces {
	size_t at;
	int step;
	uint32_t value;
	uint64_t end; /* of the piece, from the entry of the function on */
};

static struct pieces pieces_at(const struct pclntab *table, uint32_t offset)
{
	return (struct pieces){ .at = table->values + offset, .value = UINT32_MAX };
}

static bool next_piece(const struct pclntab *table, struct pieces *pieces)
{
	uint32_t difference, length;

	if (pieces->step >= MAX_STEPS || !read_varint(table, &pieces->at, &difference) ||
	    (!difference && pieces->step) || !read_varint(table, &pieces->at, &length))
		return false;
	pieces->step++;
	pieces->value += difference & 1 ? ~(difference >> 1) : difference >> 1;
	pieces->end += (uint64_t)length * table->quantum;
	return true;
}

static int value_at(const struct pclntab *table, const struct go_function *function,
		    uint32_t offset, uint64_t pc, int32_t *ret_value)
{
	struct pieces pieces = pieces_at(table, offset);

	if (!offset || pc < function->entry || pc >= function->end)
		return -ENOENT;
	while (next_piece(table, &pieces)) {
		if (pc - function->entry < pieces.end) {
			*ret_value = (int32_t)pieces.value;
			return 0;
		}
	}
	return -ENOENT;
}

/* The list whose offset stands in the record at @field. */
static int field_value_at(const struct pclntab *table, const struct go_function *function,
			  size_t field, uint64_t pc, int32_t *ret_value)
{
	uint32_t offset;

	if (!read_u32(table, function->at + field, &offset))
		return -ENOENT;
	return value_at(table, function, offset, pc, ret_value);
}

int pclntab_frame_bytes(const struct pclntab *table, const struct go_function *function,
			uint64_t pc, uint32_t *ret_bytes)
{
	int32_t value;
	int err = field_value_at(table, function, FRAME_BYTES_AT, pc, &value);

	if (err || value < 0)
		return -ENOENT;
	*ret_bytes = (uint32_t)value;
	return 0;
}

int pclntab_line(const struct pclntab *table, const struct go_function *function, uint64_t pc,
		 const char **ret_file, int *ret_line)
{
	int32_t file, line;
	uint32_t unit, name;
	const char *path;

	if (field_value_at(table, function, FILE_AT, pc, &file) || file < 0 ||
	    field_value_at(table, function, LINE_AT, pc, &line) || line < 0 ||
	    !read_u32(table, function->at + UNIT_AT, &unit) ||
	    !read_u32(table, table->units + ((size_t)unit + (size_t)file) * 4, &name) ||
	    name == NO_OFFSET)
		return -ENOENT;
	path = read_string(table, table->files + name);
	if (!path)
		return -ENOENT;
	*ret_file = path;
	*ret_line = line;
	return 0;
}

int pclntab_inline_index(const struct pclntab *table, const struct go_function *function,
			 uint64_t pc, uint32_t *ret_index)
{
	uint32_t nr_pcdata;
	int32_t index;

	if (!read_u32(table, function->at + NR_PCDATA_AT, &nr_pcdata) ||
	    nr_pcdata <= PCDATA_INLINE ||
	    field_value_at(table, function, record_bytes(table) + 4 * PCDATA_INLINE, pc, &index) ||
	    index < 0)
		return -ENOENT;
	*ret_index = (uint32_t)index;
	return 0;
}

uint32_t pclntab_inline_nr(const struct pclntab *table, const struct go_function *function)
{
	uint32_t nr_pcdata, offset, nr = 0;
	struct pieces pieces;

	if (!read_u32(table, function->at + NR_PCDATA_AT, &nr_pcdata) ||
	    nr_pcdata <= PCDATA_INLINE ||
	    !read_u32(table, function->at + record_bytes(table) + 4 * PCDATA_INLINE, &offset) ||
	    !offset)
		return 0;
	pieces = pieces_at(table, offset);
	while (pieces.step < MAX_INLINE_STEPS && next_piece(table, &pieces))
		if ((int32_t)pieces.value >= 0)
			nr = MAX(nr, pieces.value + 1);
	return nr;
}

int pclntab_inline_tree(const struct pclntab *table, const struct go_function *function,
			uint32_t *ret_offset)
{
	uint32_t nr_pcdata, offset;
	uint8_t nr_funcdata;
	size_t at = function->at + record_bytes(table);

	if (!read_u32(table, function->at + NR_PCDATA_AT, &nr_pcdata) ||
	    !read_u8(table, at - 1, &nr_funcdata) || nr_funcdata <= FUNCDATA_INLINE ||
	    !read_u32(table, at + 4 * ((size_t)nr_pcdata + FUNCDATA_INLINE), &offset) ||
	    offset == NO_OFFSET)
		return -ENOENT;
	*ret_offset = offset;
	return 0;
}

size_t pclntab_inline_bytes(const struct pclntab *table)
{
	return table->version == PCLNTAB_GO_118 ? PCLNTAB_MAX_INLINE_BYTES : 16;
}

int pclntab_inline_call(const struct pclntab *table, const uint8_t *entry,
			struct inline_call *ret_call)
{
	bool old = table->version == PCLNTAB_GO_118;
	struct inline_call call = { .id = entry[old ? 2 : 0] };
	uint32_t name;

	memcpy(&name, entry + (old ? 12 : 4), sizeof(name));
	memcpy(&call.parent_offset, entry + (old ? 16 : 8), sizeof(call.parent_offset));
	call.name = read_string(table, table->names + name);
	if (!call.name)
		return -ENOENT;
	*ret_call = call;
	return 0;
}
