/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small Go program as it looks from outside, made by hand: a function table, moduledata, a few
 * g's with stacks, and the list of them. Built in the memory of whoever includes this, at its real
 * addresses, so that it can be read by process_vm_readv(). Layout: Go 1.23, amd64.
 */
#ifndef FAKE_GO_H
#define FAKE_GO_H

#include <stdint.h>
#include <string.h>

#define FAKE_NAMES_AT     72
#define FAKE_UNITS_AT     256
#define FAKE_FILES_AT     272
#define FAKE_VALUES_AT    320
#define FAKE_FUNCTIONS_AT 400
#define FAKE_TABLE_BYTES  1024

#define FAKE_NR_G        5
#define FAKE_STACK_BYTES 2048

/* Functions, by offset from the text. */
enum {
	FAKE_MAIN = 0x00,   /* main.work, frame of 24 bytes, line 10, from 0x10 on line 11 */
	FAKE_INNER = 0x40,  /* main.inner, frame of 8 bytes; calls runtime.gopark */
	FAKE_PARK = 0x80,   /* runtime.gopark, no frame */
	FAKE_GOEXIT = 0xc0, /* runtime.goexit */
	FAKE_END = 0x100,
};

struct fake_slice {
	uint64_t address, len, capacity;
};

struct fake_string {
	uint64_t address, len;
};

struct fake_g {
	uint8_t bytes[440];
};

/* What moduledata calls data: variables. */
struct fake_variables {
	uint64_t zero;
	struct fake_string reasons[4];
	uint64_t gap[8];
	struct fake_slice allgs;
	uint64_t end[4];
};

struct fake_go {
	_Alignas(64) uint8_t table[FAKE_TABLE_BYTES];
	_Alignas(64) uint64_t moduledata[48];
	_Alignas(16) char build_info[192];
	struct fake_variables variables;
	uint64_t list[8];
	_Alignas(64) struct fake_g gs[FAKE_NR_G];
	_Alignas(16) uint64_t stacks[FAKE_NR_G][FAKE_STACK_BYTES / 8];
	_Alignas(16) uint8_t text[FAKE_END]; /* never read, but an address of its own */
};

static inline void fake_u32(uint8_t *bytes, size_t at, uint32_t value)
{
	memcpy(bytes + at, &value, sizeof(value));
}

static inline void fake_u64(void *bytes, size_t at, uint64_t value)
{
	memcpy((uint8_t *)bytes + at, &value, sizeof(value));
}

static inline uint64_t fake_address(const void *object)
{
	return (uint64_t)(uintptr_t)object;
}

/* One record of struct _func; @frame, @line: offsets of value lists. */
static inline void fake_function(uint8_t *table, unsigned int index, uint32_t entry, uint32_t name,
				 uint32_t frame, uint32_t line)
{
	uint32_t record = 5 * 8 + index * 64;
	size_t at = FAKE_FUNCTIONS_AT + record;

	fake_u32(table, FAKE_FUNCTIONS_AT + index * 8, entry);
	fake_u32(table, FAKE_FUNCTIONS_AT + index * 8 + 4, record);
	fake_u32(table, at, entry);
	fake_u32(table, at + 4, name);
	fake_u32(table, at + 16, frame);
	fake_u32(table, at + 20, 1); /* file: always the first */
	fake_u32(table, at + 24, line);
}

/* Fills FAKE_TABLE_BYTES of a function table of Go 1.20 or later. */
static inline void fake_table(uint8_t *table)
{
	static const char names[] = "main.work\0main.inner\0runtime.gopark\0runtime.goexit";
	/* lists: difference to the last value (zigzag, the first to -1), length; 0 ends it */
	static const uint8_t values[] = {
		0,                /* offset 0 says that there is no list */
		2,  64, 0,        /* 1: 0 */
		18, 64, 0,        /* 4: 8 */
		50, 64, 0,        /* 7: 24 */
		22, 16, 2, 48, 0, /* 10: 10, from the 16th byte on 11 */
	};
	static const uint64_t header[] = { 4,
					   1,
					   0,
					   FAKE_NAMES_AT,
					   FAKE_UNITS_AT,
					   FAKE_FILES_AT,
					   FAKE_VALUES_AT,
					   FAKE_FUNCTIONS_AT };

	memset(table, 0, FAKE_TABLE_BYTES);
	fake_u32(table, 0, 0xfffffff1);
	table[6] = 1;
	table[7] = 8;
	memcpy(table + 8, header, sizeof(header));
	memcpy(table + FAKE_NAMES_AT, names, sizeof(names));
	memcpy(table + FAKE_FILES_AT, "/src/fake.go", 13);
	memcpy(table + FAKE_VALUES_AT, values, sizeof(values));
	fake_function(table, 0, FAKE_MAIN, 0, 7, 10);
	fake_function(table, 1, FAKE_INNER, 10, 4, 10);
	fake_function(table, 2, FAKE_PARK, 21, 1, 10);
	fake_function(table, 3, FAKE_GOEXIT, 36, 1, 10);
	fake_u32(table, FAKE_FUNCTIONS_AT + 4 * 8, FAKE_END);
}

/* A goroutine that waits: runtime.gopark, main.inner, main.work, runtime.goexit. */
static inline void fake_goroutine(struct fake_go *go, unsigned int index)
{
	uint8_t *g = go->gs[index].bytes;
	uint64_t *stack = go->stacks[index], text = fake_address(go->text);
	uint64_t sp = fake_address(stack) + FAKE_STACK_BYTES - 64;

	fake_u64(g, 0, fake_address(stack));
	fake_u64(g, 8, fake_address(stack) + FAKE_STACK_BYTES);
	fake_u64(g, 56, sp);
	fake_u64(g, 64, text + FAKE_PARK + 5);
	fake_u64(g, 72, fake_address(g));
	g[152] = 4; /* status: waiting */
	fake_u64(g, 160, 100 + index);
	g[184] = 2; /* wait reason */
	fake_u64(g, 280, 1);
	fake_u64(g, 288, text + FAKE_MAIN + 0x20);
	fake_u64(g, 304, text + FAKE_MAIN);
	stack += (FAKE_STACK_BYTES - 64) / 8;
	stack[0] = text + FAKE_INNER + 9; /* gopark's frame is empty */
	stack[2] = text + FAKE_MAIN + 0x11;
	stack[6] = text + FAKE_GOEXIT + 1;
	go->list[index] = fake_address(g);
}

static inline void fake_moduledata(struct fake_go *go)
{
	uint64_t *data = go->moduledata, table = fake_address(go->table);

	data[0] = table;
	data[1] = table + FAKE_NAMES_AT;
	data[13] = table + FAKE_FUNCTIONS_AT;
	data[14] = FAKE_TABLE_BYTES - FAKE_FUNCTIONS_AT;
	data[22] = fake_address(go->text);
	data[26] = fake_address(&go->variables);
	data[27] = fake_address(&go->variables + 1);
}

/* Fills @go, which has to be all zeros. */
static inline void fake_go(struct fake_go *go)
{
	static const char second[] = "GC assist marking", third[] = "waiting for nothing";

	fake_table(go->table);
	fake_moduledata(go);
	memcpy(go->build_info, "\xff Go buildinf:\x08\x02", 16);
	memcpy(go->build_info + 32, "\x08go1.23.9", 9);
	go->variables.reasons[1] = (struct fake_string){ fake_address(second), 17 };
	go->variables.reasons[2] = (struct fake_string){ fake_address(third), 19 };
	for (unsigned int i = 0; i < FAKE_NR_G; i++)
		fake_goroutine(go, i);
	go->variables.allgs = (struct fake_slice){ fake_address(go->list), FAKE_NR_G, 8 };
}

#endif
