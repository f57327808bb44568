/* loop.h — the worker's loop: wait, step what is ready, look after deadlines, write the log; until told to end. */
#ifndef PERDURE_WORKER_LOOP_H
#define PERDURE_WORKER_LOOP_H

#include "worker/worker.h"

/* Returns when the worker has retired, stopped, or given everything away. */
void loop_run(struct worker *w);

#endif
