/* peers.h — with whom the connections of a cause are, how many with each, and how long still. */
#ifndef PERDURE_WHY_PEERS_H
#define PERDURE_WHY_PEERS_H

#include "supervisor/why/causes.h"

#include <stdio.h>

/* "with 10.0.0.7 (11), 10.0.0.9 and 3 other hosts", the most first. */
void peers_tell_hosts(FILE *out, const struct facts *facts, const struct cause *cause);

/* "10.0.0.7:5001 (41 s), 10.0.0.7:5002 (43 s) and 9 more": the last to go first; without times what does not go by
 * itself. */
void peers_tell_each(FILE *out, const struct facts *facts, const struct cause *cause);

/* "11 in TIME_WAIT, 1 in LAST_ACK". */
void peers_tell_states(FILE *out, const struct facts *facts, const struct cause *cause);

#endif
