/* workers.h — the table of workers: who runs in which slot, and what we await of it.
 *
 * Plain data without pointers, for it is part of the ledger. No system calls here, so every transition can be tested
 * without a fork. */
#ifndef PERDURE_WORKERS_H
#define PERDURE_WORKERS_H

#include "supervisor/backoff.h"
#include "supervisor/inherit/cell.h"
#include "supervisor/inherit/contract.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { WORKERS_MAX = 1024, WORKER_LEAVING_MAX = 8, WORKER_REQUEST_BYTES = 256, WORKER_CLIENT_BYTES = 64 };

enum worker_state {                     /* each value answers "what are we waiting for?" */
                    WORKER_EMPTY,       /* nothing: there is no worker in this slot */
                    WORKER_STARTING,    /* READY of a fresh worker, which has nothing to adopt */
                    WORKER_SERVING,     /* nothing: it takes connections */
                    WORKER_RETIRING,    /* RETIRED: it was told to make way for a successor */
                    WORKER_SHOT,        /* its death: it hung and was killed */
                    WORKER_SUCCEEDING,  /* FORKED of its keeper: the worker is dead or parked, the keeper has the order
                                           to fork a successor */
                    WORKER_ADOPTING,    /* READY of the successor */
                    WORKER_BACKING_OFF, /* the end of a delay; then its keeper gets the order, or a fresh one is forked
                                         */
                    WORKER_GIVING,      /* its exit: it is surplus and hands its connections to its heir */
                    WORKER_STOPPING,    /* its exit: it was told to stop gracefully */
                    WORKER_ENDING,      /* the end of its keepers: the worker itself is gone for good */
};
enum { WORKER_STATES = WORKER_ENDING + 1 };
extern const char *const worker_state_name[WORKER_STATES]; /* "empty", "starting", "serving", "retiring", … */

/* How the last one in this slot ended. */
struct worker_death {
    int64_t when; /* seconds since the epoch; 0: none has died yet */
    int32_t pid;
    int32_t signal; /* 0: it exited, with */
    int32_t exit_code;
    uint32_t cause;        /* enum birth_cause: what its successor was told */
    uint32_t connections;  /* it had */
    uint32_t oom;          /* 1: the kernel's OOM killer */
    uint32_t refused_call; /* the number of the system call that the sandbox ended it for, plus one; 0: none */
    char request[WORKER_REQUEST_BYTES]; /* first line of the request in hand, printable; "": none */
    char client[WORKER_CLIENT_BYTES];   /* its address; "": unknown */
};

/* A process of ours that will end by itself. */
struct worker_leaving {
    int32_t pid; /* 0: this place is free */
    int32_t fd;  /* our end of its channel */
};

/* Descriptors are -1 and pids 0 where there is none. */
struct worker {
    uint32_t state; /* enum worker_state; assigned by worker_enter alone */
    uint32_t slot;
    uint32_t generation; /* of the snapshot and program it was born with */
    uint32_t cause;      /* enum birth_cause: why the one in this slot was born, or is being born */
    int32_t signal;      /* that ended its predecessor, 0: none */

    int32_t pid;             /* 0 while it is dead or parked, and its successor not yet forked */
    int32_t parked_pid;      /* it has retired, and holds the connections until its successor stands */
    int32_t keeper_pid;      /* holds the connections with it, or alone while it is dead */
    int32_t control_fd;      /* our end of its channel; while it is parked, of that one's */
    int32_t keeper_fd;       /* our end of its keeper's channel */
    int32_t next_control_fd; /* the same of the successor on its way */
    int32_t next_keeper_fd;
    int32_t next_keeper_pid;
    struct worker_leaving leaving[WORKER_LEAVING_MAX]; /* predecessors, parked, and their keepers, told to leave */
    int32_t cell_fd;
    uint32_t cell_slots;
    uint32_t retire_cause; /* RETIRING: enum birth_cause its successor is to be told */
    int32_t heir;          /* the slot that takes the connections of this surplus worker, -1: it is not surplus. A
                              successor is surplus, too: it serves until it is told to give once more */

    /* instants of clock_now() and clock_now_us(); 0: not yet */
    uint64_t started_ms;
    uint64_t ready_ms;
    uint64_t entered_ms;      /* the present state */
    uint64_t deadline_ms;     /* when patience with the present state ends */
    uint64_t keeper_asked_ms; /* when it was last told to make a keeper */
    uint64_t beat_ms;         /* its heartbeat, as last looked at */
    uint64_t give_until_ms;   /* it gives, and no present program can adopt it: then it has to stop */
    uint64_t died_us;         /* the last one; then, once READY, */
    uint64_t gap_us;          /* is how long nobody served */

    uint64_t successions[BIRTH_CAUSES];
    struct worker_death last_death;
    struct backoff backoff;
    uint32_t adopted, dropped; /* connections, as the last successor reported */

    /* copied from the cell when somebody asks for the status */
    uint32_t connections;
    uint32_t killed_late; /* 1: it was killed because it did not get ready in time */
    struct cell_counters counters;
    uint32_t woken;           /* 1: it hung without a keeper, and was sent SIGCONT for that */
    uint32_t layout;          /* of its cell */
    uint32_t confined;        /* enum confinement, as it reported */
    uint32_t keeper_confined; /* the same of its keeper */
    uint32_t cell_ruined;     /* 1: of a dead worker whose program is proven, and no successor can read it */
    uint32_t stopped; /* 1: it was shot, and made no turn because somebody had stopped it: SIGSTOP, a debugger */
};

/* Invariant: all[i].slot == i; every slot from count on is EMPTY. */
struct workers {
    uint32_t count; /* slots in use or just left: one more than the highest that is not EMPTY */
    uint32_t wanted;
    struct worker all[WORKERS_MAX];
};

/* An empty table. */
void workers_clear(struct workers *workers);

/* The only place that assigns w->state, so every transition is checked and logged. NOW_MS on clock_now()'s clock. A
 * transition that cannot be is logged as an error and made all the same: the supervisor never dies of its own mistake.
 */
void worker_enter(struct worker *worker, enum worker_state next, uint64_t now_ms);

/* Not a transition: nobody knows how it got there, but there it is, and nothing that was under way is. */
void worker_find(struct worker *worker, enum worker_state state, uint64_t now_ms);
bool worker_may_enter(enum worker_state from, enum worker_state to);

/* Put an empty slot back to nothing but its number. */
void worker_clear(struct worker *worker);

/* Whom a pid belongs to. */
enum worker_role {
    ROLE_NOBODY,
    ROLE_WORKER,
    ROLE_PARKED,
    ROLE_KEEPER,
    ROLE_NEXT_KEEPER,
    ROLE_LEAVING,
};
struct worker *workers_find(struct workers *workers, pid_t pid, enum worker_role *role);

/* The lowest EMPTY slot (count grows if need be), or NULL if the table is full. */
struct worker *workers_take(struct workers *workers);

/* Lower count to what is in use. */
void workers_trim(struct workers *workers);

/* How many are in STATE; how many live or will live again (neither EMPTY, GIVING, STOPPING nor ENDING). */
size_t workers_in(const struct workers *workers, enum worker_state state);
size_t workers_active(const struct workers *workers);
bool worker_is_active(const struct worker *worker);

/* True if no predecessor, and no keeper of one, is there any more. */
bool worker_is_alone(const struct worker *worker);

#endif
