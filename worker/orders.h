/* orders.h — what the supervisor tells the worker, and what the worker answers. See contract.h. */
#ifndef PERDURE_WORKER_ORDERS_H
#define PERDURE_WORKER_ORDERS_H

#include "worker/worker.h"

/* Obey all that has come on the control channel. EOF: the supervisor is gone; see orphan.h. */
void orders_obey(struct worker *w);

/* Tell the supervisor that this worker stands: it accepts and serves. */
void orders_report_ready(const struct worker *w, uint32_t adopted, uint32_t dropped);

/* This worker has retired: say so, then touch nothing any more, and only hold the descriptors until the supervisor lets
 * it go (false). Makes another keeper if it is told to. True if the supervisor is gone, and there is no successor: then
 * this worker has to serve on, as an orphan. */
bool orders_park(struct worker *w);

/* Tell the supervisor why this worker cannot serve. ERROR: EPROTO if that is for its cell, else 0. */
void orders_report_cannot(const struct worker *w, const char *why, int error);

/* Stop gracefully until DEADLINE. */
void orders_begin_stop(struct worker *w, struct instant deadline);

#endif
