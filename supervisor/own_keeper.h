/* own_keeper.h — the supervisor's own keeper: it shares the supervisor's descriptor table, and when the supervisor dies
 * without having sent it away, it starts another, from the same program, on the same ledger.
 *
 * At every moment one process is the keeper: the one whose pid is in the ledger. A new supervisor makes its own before
 * it sends its predecessor's away; who finds that he is not the keeper any more goes. */
#ifndef PERDURE_OWN_KEEPER_H
#define PERDURE_OWN_KEEPER_H

#include "supervisor/supervisor.h"

#include <stdbool.h>
#include <sys/types.h>

/* For a new image: before it makes the first descriptor of its own, for until then its predecessor's keeper has all
 * that the ledger names. Returns our end of that one's channel, -1: none, for own_keeper_dismiss. */
int32_t own_keeper_begin(struct supervisor *s);

/* Send the predecessor's keeper away. With it go the last descriptors that the ledger does not name. */
void own_keeper_dismiss(struct supervisor *s, int32_t former_fd);

/* Make the keeper if there is none, and send a predecessor's away; at most one try a second. Call in every turn. */
void own_keeper_turn(struct supervisor *s);

/* True if PID, which has ended, was the keeper; the next turn makes another. */
bool own_keeper_reaps(struct supervisor *s, pid_t pid);

#endif
