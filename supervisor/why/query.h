/* query.h — what `perdure why` is asked about: a port on every address, one address, or a unix socket. */
#ifndef PERDURE_WHY_QUERY_H
#define PERDURE_WHY_QUERY_H

#include "supervisor/inherit/address.h"
#include "supervisor/why/facts.h"

#include <stdbool.h>

/* TEXT ("8000", ":8000", "*:8000", "127.0.0.1:8000", "[::1]:8000", "unix:/path", "/path") into FACTS, which is
 * otherwise empty from then on. TEXT is borrowed. Returns false with "what is wrong; what would be right" in why. */
bool query_parse(const char *text, struct facts *facts, char why[ADDRESS_WHY_BYTES]);

/* The sockaddr of a target, for bind(2). Returns its length. */
socklen_t query_sockaddr(const struct target *target, struct sockaddr_storage *name);

#endif
