/* worker.h — what one worker process knows. Everything here is private and may be lost at any moment; what must not be
 * lost is in the cell. */
#ifndef PERDURE_WORKER_WORKER_H
#define PERDURE_WORKER_WORKER_H

#include "supervisor/inherit/cell.h"
#include "supervisor/inherit/clock.h"
#include "supervisor/inherit/contract.h"
#include "supervisor/inherit/network.h"
#include "supervisor/inherit/settings.h"
#include "supervisor/inherit/tally.h"
#include "worker/desks.h"
#include "worker/response.h"

#include <stdbool.h>
#include <stdint.h>

struct client_name; /* access_log.c's */

struct worker {
    struct birth birth;
    struct settings *settings;
    struct responder *responder;
    struct cell cell;
    struct desks desks;
    struct tally tally;
    struct network *trusted;             /* as many as settings->proxy_trusted_count */
    bool marked[CONTRACT_LISTENERS_MAX]; /* of birth.listener_fds: who is accepted begins with a PROXY header */
    bool any_proxies;                    /* one is */
    /* By descriptor; NULL until an access-log line is written. */
    struct client_name *client_names;
    pid_t keeper_pid;
    uint32_t confined;       /* enum confinement; 0 until it is */
    int guarded_fd;          /* the first keeper's channel: the sandbox lets nobody close or replace it */
    struct instant now;      /* of this turn of the loop */
    uint64_t soonest_ms;     /* no deadline of a connection is earlier; it may be too early, never too late */
    uint64_t swept_ms;       /* when deadlines were last looked through */
    uint64_t trim_at_ms;     /* when caches and desks are trimmed next */
    uint8_t *unverified;     /* a bit per descriptor: adopted, the kernel not yet asked about it */
    uint8_t *inherited;      /* a bit per descriptor: the predecessor left it open */
    bool alone;              /* no predecessor's keeper holds our connections: close() alone ends them */
    bool retiring;           /* park at the end of this turn */
    bool stopping;           /* every response is the last of its connection */
    bool accepting;          /* the listeners are in the epoll set */
    uint64_t rest_until_ms;  /* accept rests: out of descriptors or connections */
    uint64_t shortage_ms;    /* when connections are tried again that the machine had no room for; 0: there are none */
    uint64_t accept_look_ms; /* when the listeners are looked at next, though no event speaks of them */
    uint64_t share_began;    /* counters.accepted when another worker was last let go first */
    struct instant stop_deadline;
    uint32_t descriptors; /* this process's limit; its keeper has some more, so that it can always receive an order */
    int was_in_hand;      /* the descriptor that the predecessor was stepping when it died, -1: none */
    uint64_t log_mark;    /* of the response whose lines the predecessor put into the log area last; 0: none */
    bool taking_rests;    /* no room: the channels from which connections come are not watched */
    uint64_t orphan_us;   /* since when nobody supervises it, on clock_now_us()'s clock; 0: it has a supervisor */
    int giving_fd;        /* where this surplus worker's connections go, -1: it is not surplus */
};

/* Change the epoll registration of FD. A wrapper, because each caller treats failure as "can't happen but survive". */
bool worker_watch(struct worker *w, int fd, int operation, uint32_t events);

/* True if FD is one of the worker's own: a channel, a log, a listener; not a connection, nor a response's file. */
bool worker_owns(const struct worker *w, int fd);

#endif
