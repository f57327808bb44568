/* ledger_fds.h — whether the descriptors of a ledger are what it says they are.
 *
 * Each is looked at: a socket of the right kind, a memfd of the right name, a program. One that stands in two places
 * that cannot have it in common is neither's. What is not right is dropped, with a line in the log, and never closed.
 */
#ifndef PERDURE_LEDGER_FDS_H
#define PERDURE_LEDGER_FDS_H

#include "supervisor/ledger.h"

#include <stddef.h>

/* LEDGER is mended (ledger_mend.h). OURS: descriptors of this process that no ledger names. Returns how many were
 * dropped; listeners are not among them (takeover.c sees to those, for what is dropped must be bound anew). */
unsigned ledger_check_fds(struct ledger *ledger, const int *ours, size_t ours_count);

#endif
