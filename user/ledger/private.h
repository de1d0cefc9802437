/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the ledger share; private to the module. */
#ifndef LEDGER_PRIVATE_H
#define LEDGER_PRIVATE_H

#include "ledger/ledger.h"

/* The descriptor of the live map. */
int ledger_live_fd(const struct ledger *ledger);

#endif
