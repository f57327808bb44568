/* succession.h — which act follows which event in the life of a worker: the one place that decides.
 *
 * Pure: an event and what is known in, an act out. tend.c carries the acts out. The table of the states is workers.h,
 * the succession step by step is in contract.h. */
#ifndef PERDURE_SUCCESSION_H
#define PERDURE_SUCCESSION_H

#include "supervisor/workers.h"

#include <stdbool.h>
#include <stdint.h>

enum succession_event {
    EVENT_READY,         /* the worker on its way stands */
    EVENT_FORKED,        /* the keeper has forked the successor */
    EVENT_NOT_FORKED,    /* the keeper could not */
    EVENT_RETIRED,       /* the worker is parked */
    EVENT_DIED,          /* the worker was reaped */
    EVENT_KEEPER_DIED,   /* the keeper was reaped, or its channel is at its end */
    EVENT_KEEPER_STANDS, /* one that the worker was told to make */
    EVENT_PATIENCE,      /* the deadline of the present state has passed */
    EVENT_HUNG,          /* the worker's heartbeat is too old */
};
enum { EVENTS = EVENT_HUNG + 1 };

enum succession_act {
    ACT_NOTHING,
    ACT_STAND,       /* the one on its way is the worker; its predecessor's keeper may leave */
    ACT_AWAIT,       /* the successor is there: wait for its READY */
    ACT_SUCCEED,     /* order the keeper to fork a successor, after delay_ms */
    ACT_RENEW,       /* nothing is left to succeed: fork a fresh worker with an empty cell, after delay_ms */
    ACT_MAKE_KEEPER, /* order the worker to make another keeper */
    ACT_STOP,        /* order the worker to stop gracefully: it has been handing over for long enough */
    ACT_SHOOT,       /* SIGKILL to the worker because it hangs; its death follows */
    ACT_KILL,        /* SIGKILL to the worker that does not get ready; its death follows */
    ACT_KILL_KEEPER, /* SIGKILL to the keeper that does not do what it is told; its death follows */
    ACT_END,         /* the worker is gone for good: its keepers are to leave */
};
enum { ACTS = ACT_END + 1 };

/* How a worker ended. */
struct succession_death {
    int signal; /* 0: it exited, with */
    int exit_code;
    bool oom;              /* the kernel's OOM killer was at work */
    bool sent;             /* another process sent the signal */
    uint32_t refused_call; /* by the sandbox, its number plus one; 0: none */
};

/* What the decision rests on, besides the worker's state. Fields that do not belong to the event are not looked at. */
struct succession_facts {
    struct succession_death death; /* DIED */
    bool keeper_holds;             /* somebody holds the other end of the keeper's channel: the kernel's word */
    bool successor_holds;          /* the same of the channel of the successor on its way */
    bool ending;                   /* everything is to end now: nobody is succeeded any more */
    uint32_t delay_ms;             /* DIED: as backoff.h has it */
};

enum { SUCCESSION_FORK_RETRY_MS = 100 };

struct succession_step {
    enum succession_act act;
    uint32_t delay_ms;
};

struct succession_step succession_decide(const struct worker *worker, enum succession_event event,
                                         const struct succession_facts *facts);

/* Why the successor of WORKER, which died so, is born. */
enum birth_cause succession_cause(const struct worker *worker, const struct succession_death *death);

/* Whose fault a death is, by itself: BIRTH_CRASH or BIRTH_KILLED. */
enum birth_cause succession_fault(const struct succession_death *death);

/* What this death means to the backoff. */
enum backoff_death succession_blame(enum birth_cause cause, const struct worker *worker,
                                    const struct succession_death *death);

#endif
