/* orphan.h — a worker whose supervisor, and that one's keeper, are gone: it serves on, and waits at its door for
 * another.
 *
 * Its own keeper has left, so it holds its connections alone meanwhile. Whoever comes and may, root or the supervisor's
 * user, gets all that a supervisor needs (struct orphan_words of contract.h), and gives orders from then on. SIGTERM,
 * which a worker leaves to its supervisor otherwise, ends it gracefully. */
#ifndef PERDURE_WORKER_ORPHAN_H
#define PERDURE_WORKER_ORPHAN_H

#include "worker/worker.h"

/* For a worker that stands: who knocks from now on is told by the kernel that this process is behind the door. */
void orphan_prepare(const struct worker *w);

/* The control channel is at its end. Where there is no door to wait at, the worker stops gracefully. */
void orphan_begin(struct worker *w);

/* For one that has retired and is left by its supervisor: true if its keeper has forked a successor, who has
 * everything. The keeper will not do so from now on. */
bool orphan_has_successor(const struct worker *w);

/* True from orphan_begin until somebody has come. Meanwhile the control channel's descriptor is another: it is readable
 * when orphan_hear has something to do. */
bool orphan_is(const struct worker *w);
void orphan_hear(struct worker *w);

/* Has the manager stopped the service meanwhile? Then nobody will come. Call it about once a second. */
void orphan_look(struct worker *w);

#endif
