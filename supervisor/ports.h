/* ports.h — how it stands about the ports we listen on: who waits to be accepted, and what is left in TIME_WAIT.
 *
 * Asked of the kernel for `perdure status`, and of nothing else: our own sockets by getsockopt(2), unix ones and
 * TIME_WAIT by sock_diag(7). */
#ifndef PERDURE_PORTS_H
#define PERDURE_PORTS_H

#include "supervisor/inherit/clock.h"
#include "supervisor/listeners.h"
#include "supervisor/net_counters.h"

#include <stdbool.h>
#include <stdint.h>

/* Of one listener; -1: not known. */
struct port {
    int64_t waiting;       /* connections in its accept queue */
    int64_t waiting_limit; /* the most that may be there: backlog, or net.core.somaxconn if that is less */
    int64_t overflowed;    /* connections that it could not take since it was made; of TCP only */
    int64_t time_wait;     /* connections to its address that it has closed first, in the last minute; of TCP only */
};

struct ports {
    struct port all[CONTRACT_LISTENERS_MAX]; /* in the order of the listeners */
    struct net_counters net;
    bool counted_all; /* else there are more in TIME_WAIT than was counted */
    /* ports.c alone uses these */
    uint64_t counted_ms; /* when TIME_WAIT was counted last; 0: never */
    struct listeners counted;
};

/* Ask. TIME_WAIT is counted at most once a second, and for COUNT_MOST_US of processor time: there can be 100,000 of
 * them, and who asks is the supervisor, which may be needed. */
void ports_look(struct ports *ports, const struct listeners *listeners, struct instant now);

#endif
