/* limits.h — what one client's address may take of all workers together: connections, and requests a second. */
#ifndef PERDURE_WORKER_LIMITS_H
#define PERDURE_WORKER_LIMITS_H

#include "worker/connection.h"

/* At birth, before any connection is adopted: if anything is limited, begin to count. */
void limits_open(struct worker *w);

/* What is to become of a connection that was just accepted. */
enum admission {
    ADMIT,
    ADMIT_TO_REFUSE, /* it is one too many: tell it so, and let it go */
    ADMIT_NOT,       /* and the address has had enough of that, too: close it */
};
enum admission limits_admission(struct worker *w, const struct client_address *client);

/* C begins: its address is known now. C ends, or goes to another worker. */
void limits_count(struct worker *w, struct connection *c);
void limits_uncount(struct worker *w, struct connection *c);

/* A successor counts C, which it has adopted. */
void limits_recount(struct worker *w, struct connection *c);

/* C has sent one request more. False: its address has had its share. */
bool limits_allow_request(struct worker *w, const struct connection *c);

#endif
