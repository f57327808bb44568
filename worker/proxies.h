/* proxies.h — which listeners are behind proxies, and which proxies are believed. */
#ifndef PERDURE_WORKER_PROXIES_H
#define PERDURE_WORKER_PROXIES_H

#include "worker/worker.h"

/* At birth. */
void proxies_open(struct worker *w);

/* True if connections that are accepted on LISTENER begin with a PROXY header. */
bool proxies_is_marked(const struct worker *w, int listener);

/* The same for a connection of which nobody knows where it was accepted: by the address of its own end. */
bool proxies_is_of_marked(const struct worker *w, int connection);

/* True if who connects from CLIENT, or over a unix socket, may speak for others. */
bool proxies_trusts(const struct worker *w, bool is_unix, const struct client_address *client);

#endif
