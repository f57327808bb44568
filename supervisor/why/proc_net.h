/* proc_net.h — /proc/PID/net/tcp: a network namespace's TCP sockets, also of one that is not ours. */
#ifndef PERDURE_WHY_PROC_NET_H
#define PERDURE_WHY_PROC_NET_H

#include "supervisor/why/facts.h"

/* One LINE of the table (of tcp6 if FAMILY is AF_INET6) into SOCKET. False: it is none. */
bool proc_net_line(const char *line, int family, struct socket_fact *socket);

/* Add the sockets of facts->port that PROCESS ("self" or a pid) sees: where NETLINK_SOCK_DIAG cannot be asked. What
 * is only bound is not there, and whether [::] is for IPv6 only is not told. */
void proc_net_sockets(struct facts *facts, const char *process);

/* True if somebody listens on PORT in the namespace that PROCESS lives in. */
bool proc_net_listens(uint16_t port, const char *process);

#endif
