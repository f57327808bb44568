/* network.h — "10.0.0.0/8", "2001:db8::/32" or one address: a set of addresses. */
#ifndef PERDURE_INHERIT_NETWORK_H
#define PERDURE_INHERIT_NETWORK_H

#include "supervisor/inherit/client_address.h"

struct network {
    struct client_address base;
    unsigned bits; /* of it, that count: 0 to 128 */
};

/* False: TEXT is none. Bits behind the prefix must be 0, for who sets them means something else. */
bool network_parse(const char *text, struct network *network);

bool network_has(const struct network *network, const struct client_address *address);

#endif
