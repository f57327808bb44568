/* accept.h — new connections from the shared listeners. */
#ifndef PERDURE_WORKER_ACCEPT_H
#define PERDURE_WORKER_ACCEPT_H

#include "worker/worker.h"

/* Put the listeners into the epoll set (EPOLLEXCLUSIVE: one connection wakes one worker), or take them out. */
void accept_begin(struct worker *w);
void accept_pause(struct worker *w);

/* True if FD is one of the listeners. */
bool accept_is_listener(const struct worker *w, int fd);

/* Take some of the connections that wait on LISTENER. Rests for a second when descriptors or places have run out. */
void accept_some(struct worker *w, int listener);

/* True if one more connection has a place and a descriptor here. */
bool accept_has_room(const struct worker *w);

/* Rest is over, or not: call it once a turn. */
void accept_resume(struct worker *w);

/* Once a second, whatever the events say: a connection wakes one worker alone, and that one may be stopped, or have no
 * room. Call it once a turn. */
void accept_look(struct worker *w);

/* Stop for good: take what waits already, then leave. */
void accept_finish(struct worker *w);

/* Close the listeners here: others accept, and when they stop, nobody must be let in any more. */
void accept_leave(struct worker *w);

#endif
