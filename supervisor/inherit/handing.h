/* handing.h — a keeper that cannot exec hands every descriptor to a successor that the supervisor has forked.
 *
 * A worker that lost its keeper makes another, which is then as confined as the worker is (worker/sandbox.h), for good.
 * It keeps, but neither it nor a child of its can become a worker that is free to open other sites' roots. So the
 * successor is born of the supervisor, and gets the table over a socket: what would have been open after the exec, by
 * its number.
 *
 *   supervisor   makes a socketpair, sends one end to the keeper (ORDER_HAND_DOWN), forks the successor with the other
 *   keeper       sends first what program and snapshot it knows if the order wants its own edition; then which numbers
 *                are free, and which are the cell and the epoll set; then descriptors, some at a time; then the end
 *   successor    makes room, puts each where it was, and says so
 *   keeper       notes who that is (keeper_forked()), unless its worker has forbidden it meanwhile, and lets go
 *   successor    goes on as if the keeper had forked it
 *
 * The keeper's table stays as it is: if the successor dies, the next one gets all that again. */
#ifndef PERDURE_INHERIT_HANDING_H
#define PERDURE_INHERIT_HANDING_H

#include "supervisor/inherit/contract.h"

#include <stdbool.h>
#include <sys/types.h>

/* In the keeper: hand all that MINE's process has open to whoever holds the other end of CHANNEL, which was made by
 * channel_pair(). Returns the pid of who has taken it all and waits for handing_let_go(); 0: nobody has. */
pid_t handing_give(const struct birth *mine, int channel, bool own_edition);
void handing_let_go(int channel);

/* In the successor before its exec: take the keeper's own program and snapshot into BIRTH. False: it has died. */
bool handing_take_edition(struct birth *birth);

/* In the successor, before it opens anything: take all else. BIRTH's own descriptors may move to other numbers; its
 * cell and epoll set are the predecessor's then, and its handed_fd is closed. False: the keeper has died or may not let
 * go, or there is no room. */
bool handing_take(struct birth *birth);

#endif
