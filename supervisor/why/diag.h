/* diag.h — asks the kernel which sockets there are: NETLINK_SOCK_DIAG, sock_diag(7). */
#ifndef PERDURE_WHY_DIAG_H
#define PERDURE_WHY_DIAG_H

#include "supervisor/why/facts.h"

/* What to ask for: a bit for each state that tcp(7) has. The kernel leaves out bits that it does not know. */
enum {
    DIAG_ALL = 0x3fff,
    DIAG_HOLDERS = 1 << TCP_LISTEN | 1 << TCP_CLOSE | 1 << 13, /* 13: TCP_BOUND_INACTIVE, Linux 6.8 */
};

/* Add the TCP sockets of facts->port in this network namespace, on any address, in STATES. Returns 0, or an errno:
 * this kernel cannot tell, or may not. */
int diag_tcp(struct facts *facts, unsigned states);

/* Add the unix sockets whose file is facts->path; family AF_UNIX. Returns 0 or an errno. */
int diag_unix(struct facts *facts);

#endif
