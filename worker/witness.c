/* witness.c — see witness.h.
 *
 *     received = tcpi_bytes_received - SIOCINQ      what came, less what still waits in the receive queue
 *     sent     = tcpi_bytes_acked + SIOCOUTQ        what arrived there, plus what is still on its way
 *
 * A segment or an acknowledgement may arrive between the two questions of a pair, so each is asked again until the
 * TCP_INFO counter is the same before and after. A FIN counts as a byte: the peer's in tcpi_bytes_received (SIOCINQ
 * leaves it out), ours in SIOCOUTQ and then in tcpi_bytes_acked. */
#include "worker/witness.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* States of the kernel's TCP (include/net/tcp_states.h) as tcpi_state says them. */
enum {
    STATE_FIN_WAIT1 = 4,
    STATE_FIN_WAIT2 = 5,
    STATE_TIME_WAIT = 6,
    STATE_CLOSE = 7,
    STATE_CLOSE_WAIT = 8,
    STATE_LAST_ACK = 9,
    STATE_CLOSING = 11,
};

enum { PATIENCE = 1000 };

static bool read_info(int fd, struct tcp_info *info)
{
    socklen_t length = sizeof *info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &length) != 0) {
        return false;
    }
    if (info->tcpi_state == STATE_CLOSE) {
        errno = ECONNRESET;
        return false;
    }
    return true;
}

static uint64_t peer_fin(const struct tcp_info *info)
{
    switch (info->tcpi_state) {
    case STATE_TIME_WAIT:
    case STATE_CLOSE_WAIT:
    case STATE_LAST_ACK:
    case STATE_CLOSING:
        return 1;
    default:
        return 0;
    }
}

static uint64_t our_fin(const struct tcp_info *info)
{
    switch (info->tcpi_state) {
    case STATE_FIN_WAIT1:
    case STATE_FIN_WAIT2:
    case STATE_TIME_WAIT:
    case STATE_LAST_ACK:
    case STATE_CLOSING:
        return 1;
    default:
        return 0;
    }
}

bool witness_ask(int fd, struct testimony *testimony)
{
    struct tcp_info before;
    struct tcp_info after;
    if (!read_info(fd, &before)) {
        return false;
    }
    for (int i = 0; i < PATIENCE; i++) {
        int unread;
        int unacknowledged;
        if (ioctl(fd, SIOCINQ, &unread) != 0 || ioctl(fd, SIOCOUTQ, &unacknowledged) != 0 || !read_info(fd, &after)) {
            return false;
        }
        if (before.tcpi_bytes_received == after.tcpi_bytes_received &&
            before.tcpi_bytes_acked == after.tcpi_bytes_acked && before.tcpi_state == after.tcpi_state) {
            testimony->received = after.tcpi_bytes_received - peer_fin(&after) - (uint64_t)unread;
            testimony->sent = after.tcpi_bytes_acked + (uint64_t)unacknowledged - our_fin(&after);
            return true;
        }
        before = after;
    }
    errno = EBUSY;
    return false;
}
