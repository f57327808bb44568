/* patience.h — how long a client may take: by its stage, and by what it gets done.
 *
 * Who waits, or is waited for, has a deadline. Who sends a body, or takes a response, has an account of patience: it is
 * opened with the whole of body_timeout or write_timeout, time spends it, and each min_receive_rate or min_send_rate
 * bytes buy a second back, up to the whole. So one that stalls has the whole, one below the rate runs out of it within
 * bounded time however it spreads its bytes, and one above it never does.
 *
 * What a client has taken, the kernel knows: bytes that wait in our socket are not taken. It is asked now and then,
 * when a deadline is due, and never on the way of a response. All of it lies in the slot, so a succession changes
 * nothing. */
#ifndef PERDURE_WORKER_PATIENCE_H
#define PERDURE_WORKER_PATIENCE_H

#include "worker/connection.h"

/* What a kind of account allows. */
struct patience {
    uint64_t whole_ms;
    uint32_t rate; /* bytes that buy a second; 0: any byte buys the whole */
};

/* Until when an account lasts that lasted until UNTIL_MS, now that BYTES have moved. */
uint64_t patience_earn(const struct patience *patience, uint64_t until_ms, uint64_t bytes, struct instant now);

/* C has entered its stage: set what belongs to it. */
void patience_begin(struct worker *w, struct connection *c);

/* Bring C's deadline back to what its stage may have from now on. */
void patience_curb(const struct worker *w, struct connection *c);

/* BYTES more of a body have come from C. */
void patience_received(struct worker *w, struct connection *c, uint64_t bytes);

/* C, to which a response is being sent, is due: see what it has taken. False: it has run out of patience. */
bool patience_look(struct worker *w, struct connection *c);

/* True if C is in a stage in which something is sent to it. */
bool patience_is_sending(const struct connection *c);

#endif
