/* SPDX-License-Identifier: GPL-2.0-only */
#include "cmd/keys.h"

#include <string.h>

#include "base/base.h"
#include "report/report.h"

#define ESCAPE 0x1b

/* ECMA-48 control sequences as terminals send them, without their parameters but for the first of
 * those that end in '~' (xterm, ctlseqs, "PC-Style Function Keys" and "VT220-Style"). */
static const struct {
	char first; /* of the parameters; 0: any */
	char final;
	int key;
} sequences[] = {
	{ 0, 'A', LIVE_KEY_UP },        { 0, 'B', LIVE_KEY_DOWN },
	{ 0, 'C', LIVE_KEY_RIGHT },     { 0, 'D', LIVE_KEY_LEFT },
	{ 0, 'H', LIVE_KEY_HOME },      { 0, 'F', LIVE_KEY_END },
	{ '1', '~', LIVE_KEY_HOME },    { '7', '~', LIVE_KEY_HOME },
	{ '4', '~', LIVE_KEY_END },     { '8', '~', LIVE_KEY_END },
	{ '5', '~', LIVE_KEY_PAGE_UP }, { '6', '~', LIVE_KEY_PAGE_DOWN },
};

/* The key of a sequence that @final ends. */
static int sequence_key(const struct keys *keys, char final)
{
	char first = keys->len > 2 ? keys->sequence[2] : '\0';
	bool alone = keys->len == 3; /* "15~" is another key than "1~" */
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sequences); i++) {
		if (sequences[i].final == final &&
		    (!sequences[i].first || (alone && sequences[i].first == first)))
			return sequences[i].key;
	}
	return LIVE_KEY_NONE;
}

/* Is the sequence at its end with that byte? ESC [ and parameters go on until a letter or '~';
 * ESC O takes one byte; anything else that follows ESC is a key pressed with Alt. */
static bool is_final(const struct keys *keys, unsigned char byte)
{
	if (keys->len == 1)
		return byte != '[' && byte != 'O';
	return keys->sequence[1] == 'O' || byte < ' ' || byte >= '@';
}

int keys_take(struct keys *keys, unsigned char byte)
{
	bool ends = keys->len > 0 && is_final(keys, byte);
	int key = LIVE_KEY_NONE;

	if (byte == ESCAPE) {
		key = keys_end(keys);
		keys->len = 1;
		return key;
	}
	if (keys->len == 0)
		return byte;
	if (ends) {
		key = keys->len > 1 ? sequence_key(keys, (char)byte) : LIVE_KEY_NONE;
		keys->len = 0;
		return key;
	}
	if (keys->len < sizeof(keys->sequence))
		keys->sequence[keys->len] = (char)byte;
	keys->len++;
	return LIVE_KEY_NONE;
}

int keys_end(struct keys *keys)
{
	int key = keys->len == 1 ? LIVE_KEY_ESCAPE : LIVE_KEY_NONE;

	keys->len = 0;
	return key;
}
