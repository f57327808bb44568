/* deaths.h — learns of the deaths of workers and keepers, in the right order with what they said before. */
#ifndef PERDURE_DEATHS_H
#define PERDURE_DEATHS_H

#include "supervisor/supervisor.h"

/* Look at every child that has ended, do what follows, and reap it: at once, or, while a successor is on its way,
 * later. Returns false when there is no child left. */
bool deaths_reap(struct supervisor *s);

/* Reap whose reaping has waited long enough. Returns when this is to be called again, UINT64_MAX: nobody waits. */
uint64_t deaths_clock(struct supervisor *s);

/* W's process, which was reaped, ended with STATUS, as waitpid(2) has it. */
void deaths_worker(struct supervisor *s, struct worker *w, int status);

/* If PID, which we have just learned of, is gone: nobody will tell us of its end any more, so what follows from that
 * follows now. 0: nobody. */
void deaths_miss(struct supervisor *s, pid_t pid);

#endif
