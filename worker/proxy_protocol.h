/* proxy_protocol.h — the PROXY protocol's header, versions 1 and 2: a proxy's word for whose connection it passes on.
 */
#ifndef PERDURE_WORKER_PROXY_PROTOCOL_H
#define PERDURE_WORKER_PROXY_PROTOCOL_H

#include "supervisor/inherit/client_address.h"

#include <stddef.h>

/* Of a version 2 header with all that may stand behind its addresses; version 1 has at most 107. */
enum { PROXY_HEADER_MOST = 2048 };

enum proxy_verdict {
    PROXY_WHOLE,
    PROXY_PARTIAL, /* what has come may be the beginning of one */
    PROXY_REFUSED, /* it is none, or too long */
};

struct proxy_header {
    size_t bytes;                 /* the stream that was passed on begins behind them */
    struct client_address client; /* none: the proxy speaks for itself, or does not say for whom */
};

/* Look for a header at the beginning of BYTES, and at nothing beyond COUNT. HEADER holds for PROXY_WHOLE. */
enum proxy_verdict proxy_header_parse(const char *bytes, size_t count, struct proxy_header *header);

#endif
