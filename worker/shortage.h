/* shortage.h — connections for which the machine has no room at the moment: each is left alone for a while, and then
 * goes on where it was. */
#ifndef PERDURE_WORKER_SHORTAGE_H
#define PERDURE_WORKER_SHORTAGE_H

#include "worker/connection.h"

/* True if ERROR says that the machine, not the peer, is short of something. */
bool shortage_is(int error);

/* C could not be watched, or nothing could be sent or received on it, for the reason errno. The caller publishes C. */
void shortage_note(struct worker *w, struct connection *c);

/* A successor found RECORD: if it is so, it is tried in the next turn. */
void shortage_adopt(struct worker *w, const struct slot_record *record);

/* Watch again whom it is time to. */
void shortage_turn(struct worker *w);

#endif
