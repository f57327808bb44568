/* status.h — renders what `perdure status` prints, for people and as JSON (RFC 8259). Pure: it only reads.
 *
 * The supervisor renders, the client prints. The members of the JSON are an interface: add, do not rename. */
#ifndef PERDURE_STATUS_H
#define PERDURE_STATUS_H

#include "supervisor/inherit/clock.h"

#include <stdbool.h>

struct ledger;
struct ports;

/* The whole text, malloc'ed; NULL only when memory is out. The caller has copied each worker's connections and counters
 * from its cell into the ledger before, and has looked at its PORTS. */
char *status_render(const struct ledger *ledger, const struct ports *ports, struct instant now, bool json);

#endif
