/* SPDX-License-Identifier: GPL-2.0-only */
/* What a reader holds. Private to the module. */
#ifndef RECORD_READER_H
#define RECORD_READER_H

#include "record/format.h"

struct record_reader {
	struct chunk_stream stream;
	uint64_t first_offset; /* behind the header */
	uint64_t until_ns, max_polls;
	struct record_header header;
	struct names *names;
	struct target *targets; /* of the last poll; owned */
	size_t nr_targets;
	struct target *next_targets; /* of the next poll, when they change; owned */
	size_t nr_next_targets;
	struct site_table table;
	struct snapshot snapshot; /* made of it; the sites are owned */
	struct record_state state;
};

#endif
