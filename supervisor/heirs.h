/* heirs.h — which workers are surplus, and which of the others takes the connections of one.
 *
 * No system calls here: arithmetic over the table of workers and what each has to carry. */
#ifndef PERDURE_HEIRS_H
#define PERDURE_HEIRS_H

#include "supervisor/workers.h"

/* What a worker has to carry. */
struct heir_load {
    uint32_t givers;      /* that hand their connections to it now */
    uint64_t connections; /* it has, and will get from them */
};

/* Who may be an heir in this turn. */
struct heirs {
    uint32_t end;        /* no slot from here on: who serves there is surplus */
    uint32_t generation; /* none of another one: it will itself be renewed soon, or have to give */
    struct heir_load load[WORKERS_MAX];
};

/* The slot from which on every worker that serves is surplus, if SURPLUS of them are too many. One always stays. */
uint32_t heirs_end(const struct workers *workers, size_t surplus);

/* A giver's CONNECTIONS, so many, go to HEIR. */
void heirs_add(struct heirs *heirs, uint32_t heir, uint64_t connections);

/* True if WORKER serves, is none that has to go, and can take from one giver more. */
bool heirs_has_room(const struct worker *worker, const struct heirs *heirs);

/* The worker to which the fewest hand over, and of those the one with the fewest connections: so several givers at once
 * go to several heirs. NULL: none can take any more now. */
struct worker *heirs_choose(struct workers *workers, const struct heirs *heirs);

#endif
