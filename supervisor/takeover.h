/* takeover.h — a new image of the supervisor takes over from the one before: after a restart's exec, in the same
 * process; or after its death, in a process that its keeper has started.
 *
 * The ledger says what there is, but the one before may have died between any two of its instructions. So nothing is
 * believed that can be asked: whether a descriptor is what it should be, whether a process lives; and workers and
 * keepers are called, and say again what the dead one may have read and not noted. What does not add up is dropped,
 * with a line in the log. */
#ifndef PERDURE_TAKEOVER_H
#define PERDURE_TAKEOVER_H

#include "supervisor/supervisor.h"

/* Take everything over. False if that cannot be, which is logged: the ledger is none, or cannot be served from. */
bool takeover(struct supervisor *s);

#endif
