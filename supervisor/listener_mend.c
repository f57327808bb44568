/* listener_mend.c — a listener that was broken by some process that holds it is put right. See listeners.h.
 *
 * Who has a descriptor of ours, by inheritance or by pidfd_getfd(2), has the very socket: what it does to it is done to
 * us, and no bind of ours is asked. */
#include "supervisor/inherit/log.h"
#include "supervisor/listeners.h"
#include "supervisor/why/brief.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static bool listens(const struct listener *listener)
{
    int number = 0;
    socklen_t length = sizeof number;
    return getsockopt(listener->fd, SOL_SOCKET, SO_ACCEPTCONN, &number, &length) != 0 || number != 0;
}

/* While it did not listen, another may have taken its port: then that is said once, and tried again every time. */
static bool mend_shut_down(struct listener *listener)
{
    char why[LISTENERS_ERROR_BYTES / 2];
    if (listen(listener->fd, listener->backlog) == 0) {
        log_warn("%s had stopped listening: a process that holds the socket shut it down; it listens again",
                 listener->address);
        listener->failing = 0;
        return true;
    }
    if (!listener->failing) {
        why_not_bind(listener->address, errno, why, sizeof why);
        log_error("%s has stopped listening: a process that holds the socket shut it down; it cannot listen again: %s",
                  listener->address, why);
        listener->failing = 1;
    }
    return false;
}

/* Of several workers that are told of one connection, one gets it: the others would wait for the next, and hang. */
static bool mend_blocking(const struct listener *listener)
{
    int flags = fcntl(listener->fd, F_GETFL);
    if (flags < 0 || (flags & O_NONBLOCK) != 0 || fcntl(listener->fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        return false;
    }
    log_warn("%s had no O_NONBLOCK: a process that holds the socket took it away; it has it again", listener->address);
    return true;
}

unsigned listeners_mend(struct listeners *listeners)
{
    unsigned mended = 0;
    for (size_t i = 0; i < listeners->count; i++) {
        struct listener *listener = &listeners->all[i];
        if (!listener->resting) {
            mended += mend_blocking(listener);
            mended += !listens(listener) && mend_shut_down(listener);
        }
    }
    return mended;
}
