/* SPDX-License-Identifier: GPL-2.0-only */
/* What a terminal sends when keys are pressed -> the keys of the live screen. Private to the module. */
#ifndef CMD_KEYS_H
#define CMD_KEYS_H

#include <stddef.h>

/* Zero-initialise. */
struct keys {
	char sequence[8]; /* an escape sequence as far as it has come */
	size_t len;       /* of it; may be more than what is kept */
};

/* Takes one byte. Returns a byte or a LIVE_KEY_*; LIVE_KEY_NONE: more is to come, or it is a key
 * that is not known. */
int keys_take(struct keys *keys, unsigned char byte);
/* No more has come for a while: an escape character alone is the key Escape. */
int keys_end(struct keys *keys);

#endif
