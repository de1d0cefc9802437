/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names as people write them. A short hostile name can demangle to gigabytes, so the output is
 * cut off: libiberty's callback forms keep (nearly) all their state on the stack, and are left by
 * longjmp() when there is too much of it. (Only the identifiers of Rust v0 in punycode are on the
 * heap for a moment; leaving there loses a few bytes.)
 */
#include "elf/image.h"

#include <errno.h>
#include <libiberty/demangle.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MANGLED_BYTES   4096
#define MAX_DEMANGLED_BYTES 16384

struct output {
	struct buf text;
	jmp_buf too_much;
};

static void take_output(const char *text, size_t len, void *opaque)
{
	struct output *output = opaque;

	buf_add(&output->text, text, len);
	if (output->text.error || output->text.len > MAX_DEMANGLED_BYTES)
		longjmp(output->too_much, 1);
}

/* Runs one demangler after the other; true when one of them knew the name. */
static bool run_demanglers(const char *name, struct output *output)
{
	const int options = DMGL_PARAMS | DMGL_ANSI | DMGL_RET_DROP;

	if (setjmp(output->too_much))
		return false;
	if (rust_demangle_callback(name, options, take_output, output))
		return true;
	buf_reset(&output->text);
	return cplus_demangle_v3_callback(name, options, take_output, output);
}

bool symbol_is_mangled(const char *name)
{
	return !strncmp(name, "_Z", 2) || !strncmp(name, "_R", 2) || !strncmp(name, "__Z", 3) ||
	       !strncmp(name, "_GLOBAL_", 8);
}

char *symbol_demangle(const char *name)
{
	struct output output = { 0 };

	if (!symbol_is_mangled(name) || strlen(name) > MAX_MANGLED_BYTES)
		return strdup(name);
	if (run_demanglers(name, &output) && output.text.len)
		return output.text.data;
	buf_done(&output.text);
	return strdup(name);
}
