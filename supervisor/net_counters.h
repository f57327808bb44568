/* net_counters.h — what the kernel counts of TCP in this network namespace: nobody's alone, but often the reason.
 *
 * From /proc/net/netstat, snmp and sockstat: proc(5). */
#ifndef PERDURE_NET_COUNTERS_H
#define PERDURE_NET_COUNTERS_H

#include <stdint.h>

/* Since the namespace was made, but for the last one; -1: not known. */
struct net_counters {
    int64_t listen_overflows; /* connections that found an accept queue full */
    int64_t listen_drops;     /* those, and all others that a listener could not take */
    int64_t resets_sent;
    int64_t time_wait; /* now */
};

void net_counters_read(struct net_counters *counters);

#endif
