/* witness.h — how far a TCP stream got, by the kernel's own count. See tcp(7), and DESIGN: "the kernel is the witness".
 */
#ifndef PERDURE_WORKER_WITNESS_H
#define PERDURE_WORKER_WITNESS_H

#include <stdbool.h>
#include <stdint.h>

struct testimony {
    uint64_t received; /* bytes taken from the socket by recv(2) since accept */
    uint64_t sent;     /* bytes given to the socket by send(2) or sendfile(2) since accept */
};

/* Ask about FD. Both counts are exact as long as nobody uses the socket meanwhile; traffic from the peer does not
 * matter. False if FD is not a TCP connection (errno), or is one that has been reset (ECONNRESET). */
bool witness_ask(int fd, struct testimony *testimony);

#endif
