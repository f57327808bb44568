/* pressure.h — when every place is taken and others wait: who is used least makes way. */
#ifndef PERDURE_WORKER_PRESSURE_H
#define PERDURE_WORKER_PRESSURE_H

#include "worker/worker.h"

/* End some connections, those first that nobody would miss: those that are over, and have all they were sent; those
 * that never asked for anything; those that rest between two requests, the longest first; those whose request does not
 * come to its head's end. Nobody is ended who was just doing something. False: there was none. */
bool pressure_relieve(struct worker *w);

#endif
