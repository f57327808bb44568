/* drain.c — see drain.h. */
#include "supervisor/drain.h"

#include "supervisor/inherit/contract.h"
#include "supervisor/inherit/log.h"
#include "supervisor/scale.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_MS = 1000 };

struct draining {
    struct supervisor *s;
    int channel; /* to the worker that takes them; -1: nobody waited yet, or there is no worker */
    uint64_t until_ms;
    unsigned given, lost;
};

/* The channel holds some 250 parcels; the worker makes room. */
static bool send_parcel(const struct draining *draining, const struct parcel *parcel, int connection)
{
    while (channel_send(draining->channel, parcel, sizeof *parcel, &connection, 1) != 0) {
        struct pollfd room = {.fd = draining->channel, .events = POLLOUT};
        uint64_t now = clock_now().ms;
        if (errno != EAGAIN || now >= draining->until_ms || poll(&room, 1, (int)(draining->until_ms - now)) != 1) {
            return false;
        }
    }
    return true;
}

static void give(struct draining *draining, int connection, bool is_unix, bool is_proxied)
{
    if (draining->channel < 0) {
        draining->channel = scale_open_gift(draining->s);
    }
    const struct parcel parcel = {.cookie = listeners_cookie(connection), .is_unix = is_unix, .header_due = is_proxied};
    if (draining->channel >= 0 && send_parcel(draining, &parcel, connection)) {
        draining->given++;
    } else {
        draining->lost++;
    }
}

static void empty(const struct listener *listener, void *context)
{
    struct draining *draining = context;
    unsigned before = draining->given;
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t length = sizeof peer;
    for (;;) {
        int connection = accept4(listener->fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (connection < 0 && (errno == ECONNABORTED || errno == EINTR || errno == EPROTO)) {
            continue;
        }
        if (connection < 0) {
            break;
        }
        give(draining, connection, peer.ss_family == AF_UNIX, listener->proxied != 0);
        close(connection);
        length = sizeof peer;
    }
    if (draining->given > before) {
        log_info("%s is closed: %u connections that waited there go to a worker", listener->address,
                 draining->given - before);
    }
}

void drain(struct supervisor *s, const struct listeners *listeners, const struct listeners *others)
{
    struct draining draining = {.s = s, .channel = -1, .until_ms = clock_now().ms + PATIENCE_MS};
    listeners_bar(listeners, others, empty, &draining);
    if (draining.lost > 0) {
        log_warn("%u connections that waited to be accepted are closed: no worker can take them now", draining.lost);
    }
    close_fd(&draining.channel);
}
