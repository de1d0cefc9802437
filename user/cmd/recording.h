/* SPDX-License-Identifier: GPL-2.0-only */
/* The recording that a watch makes, if any. Private to the module. */
#ifndef CMD_RECORDING_H
#define CMD_RECORDING_H

#include "base/base.h"
#include "model.h"

struct session;
struct recording;

/* Makes the file options->record, before anything is attached. Without options->force there must be
 * none yet. */
int recording_open(struct session *session, struct error *error);
/* The watch begins. */
int recording_begin(struct session *session, struct error *error);
/* Appends one poll; new stacks get their names. */
int recording_append(struct session *session, const struct snapshot *snapshot, struct error *error);
/* The watch has ended in order. */
int recording_end(struct session *session, struct error *error);
/* Says in one line what was recorded. */
void recording_tell(const struct session *session);
/* Closes the file; one in which nothing stands is removed. */
struct recording *recording_free(struct recording *recording);

#endif
