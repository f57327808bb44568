/* accept.c — see accept.h. */
#include "worker/accept.h"

#include "supervisor/inherit/log.h"
#include "worker/connection.h"
#include "worker/limits.h"
#include "worker/pressure.h"
#include "worker/proxies.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ACCEPTS_PER_TURN = 8, /* then others get their turn: connections here, workers elsewhere */
    SHARE = 4,            /* so many, and another worker is the first that the kernel wakes */
    REST_MS = 1000,
    FULL_MS = 100, /* somebody leaves soon, or others have room */
    LOOK_MS = 1000,
    WARN_AGAIN_MS = 60 * 1000, /* of a rest */
    SPARE_DESCRIPTORS = 64,    /* for files; fewer where there are few */
};

/* Connections get descriptors below this one. */
static uint32_t ceiling(const struct worker *w)
{
    uint32_t all = w->descriptors;
    return all - (all / 4 < SPARE_DESCRIPTORS ? all / 4 : SPARE_DESCRIPTORS);
}

/* True if the next descriptor is one that a connection may have. Asked only by one who came near the ceiling once. */
static bool has_descriptor(const struct worker *w)
{
    if (w->cell.header->top + ACCEPTS_PER_TURN < ceiling(w)) {
        return true;
    }
    int next = fcntl(w->birth.epoll_fd, F_DUPFD_CLOEXEC, 0);
    if (next >= 0) {
        close(next);
    }
    return next >= 0 && (uint32_t)next < ceiling(w);
}

bool accept_has_room(const struct worker *w)
{
    return w->cell.header->connections < w->settings->connections && has_descriptor(w);
}

void accept_pause(struct worker *w)
{
    for (size_t i = 0; i < w->birth.listeners_count; i++) {
        worker_watch(w, w->birth.listener_fds[i], EPOLL_CTL_DEL, 0);
    }
    w->accepting = false;
}

static void rest(struct worker *w, const char *why, uint64_t pause_ms)
{
    static uint64_t quiet_until_ms;
    if (w->now.ms >= quiet_until_ms) {
        log_warn("accepting: resting, with %u connections: %s", w->cell.header->connections, why);
        quiet_until_ms = clock_after(w->now, WARN_AGAIN_MS).ms;
    }
    accept_pause(w);
    w->rest_until_ms = clock_after(w->now, pause_ms).ms;
}

/* One that found no room in the epoll set is tried again before long. */
static void watch_listener(struct worker *w, int listener)
{
    if (!worker_watch(w, listener, EPOLL_CTL_ADD, EPOLLIN | EPOLLEXCLUSIVE) && errno != EEXIST) {
        rest(w, strerror(errno), REST_MS / 10);
    }
}

void accept_begin(struct worker *w)
{
    w->accepting = true;
    for (size_t i = 0; i < w->birth.listeners_count && w->accepting; i++) {
        watch_listener(w, w->birth.listener_fds[i]);
    }
}

bool accept_is_listener(const struct worker *w, int fd)
{
    for (size_t i = 0; i < w->birth.listeners_count; i++) {
        if (w->birth.listener_fds[i] == fd) {
            return true;
        }
    }
    return false;
}

static bool is_full(const struct worker *w)
{
    return w->cell.header->connections >= w->settings->connections;
}

/* No other worker has taken them meanwhile, so no other has room. */
static bool somebody_waits(const struct worker *w)
{
    struct pollfd looks[CONTRACT_LISTENERS_MAX];
    nfds_t count = (nfds_t)w->birth.listeners_count;
    for (nfds_t i = 0; i < count; i++) {
        looks[i] = (struct pollfd){.fd = w->birth.listener_fds[i], .events = POLLIN};
    }
    return poll(looks, count, 0) > 0;
}

void accept_resume(struct worker *w)
{
    if (w->rest_until_ms == 0 || w->now.ms < w->rest_until_ms) {
        return;
    }
    if (!accept_has_room(w) && !(somebody_waits(w) && pressure_relieve(w))) {
        w->rest_until_ms = clock_after(w->now, FULL_MS).ms;
        return;
    }
    w->rest_until_ms = 0;
    accept_begin(w);
}

/* Whose connection a proxy passes on is not known yet; it is admitted when that is. */
static void admit_proxy(struct worker *w, int fd, bool is_unix, const struct client_address *client)
{
    if (proxies_trusts(w, is_unix, client)) {
        connection_accepted(w, fd, (is_unix ? SLOT_UNIX : 0U) | SLOT_HEADER_DUE, client);
        return;
    }
    w->cell.header->counters.refused++;
    close(fd);
}

static void admit(struct worker *w, int listener, int fd, const struct sockaddr_storage *peer)
{
    const struct client_address client = client_address_of(peer);
    if (proxies_is_marked(w, listener)) {
        admit_proxy(w, fd, peer->ss_family == AF_UNIX, &client);
        return;
    }
    enum admission admission = limits_admission(w, &client);
    if (admission == ADMIT_NOT) {
        close(fd);
        return;
    }
    connection_accepted(w, fd, peer->ss_family == AF_UNIX ? SLOT_UNIX : 0, &client);
    if (admission == ADMIT_TO_REFUSE) {
        connection_turn_away(w, fd);
    }
}

/* True if only the connection that was due is the matter (accept(2) lists what a protocol may bring): the next one may
 * do. Anything else is the machine's trouble, and the listener would go on to tell of who waits. */
static bool is_of_one(int error)
{
    return error == ECONNABORTED || error == EINTR || error == EPROTO || error == ENETDOWN || error == ENOPROTOOPT ||
           error == EHOSTDOWN || error == ENONET || error == EHOSTUNREACH || error == EOPNOTSUPP ||
           error == ENETUNREACH;
}

/* One connection. False if there was none, or accept rests now. */
static bool accept_one(struct worker *w, int listener)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t length = sizeof peer;
    /* Without close-on-exec: a connection lives on in the successor. */
    int fd = accept4(listener, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK);
    if (fd < 0) {
        int why = errno;
        if (why == EAGAIN || is_of_one(why)) {
            return why != EAGAIN;
        }
        file_cache_shed(w->responder);
        rest(w, strerror(why), REST_MS);
        return false;
    }
    admit(w, listener, fd, &peer);
    w->cell.header->counters.accepted++;
    return true;
}

/* Of those that wait for LISTENER the kernel wakes the first: it stays the same one, which would get nearly everybody,
 * as long as it waits for them. So whoever has had his share goes to the end of the row. */
static void give_precedence(struct worker *w, int listener)
{
    bool has_share = w->cell.header->counters.accepted - w->share_began >= SHARE;
    if (w->accepting && has_share && w->settings->workers != 1) {
        w->share_began = w->cell.header->counters.accepted;
        worker_watch(w, listener, EPOLL_CTL_DEL, 0);
        watch_listener(w, listener);
    }
}

void accept_some(struct worker *w, int listener)
{
    give_precedence(w, listener);
    for (int i = 0; i < ACCEPTS_PER_TURN && w->rest_until_ms == 0; i++) {
        if (is_full(w)) {
            rest(w, "the limit \"connections\" is reached", FULL_MS);
            return;
        }
        if (!has_descriptor(w)) {
            rest(w, "descriptors have run out", FULL_MS);
            return;
        }
        if (!accept_one(w, listener)) {
            return;
        }
    }
}

void accept_look(struct worker *w)
{
    if (!w->accepting || w->now.ms < w->accept_look_ms) {
        return;
    }
    w->accept_look_ms = clock_after(w->now, LOOK_MS).ms;
    for (size_t i = 0; i < w->birth.listeners_count; i++) {
        accept_some(w, w->birth.listener_fds[i]);
    }
}

void accept_finish(struct worker *w)
{
    for (size_t i = 0; i < w->birth.listeners_count; i++) {
        while (w->rest_until_ms == 0 && accept_has_room(w) && accept_one(w, w->birth.listener_fds[i])) {
        }
    }
    accept_leave(w);
}

void accept_leave(struct worker *w)
{
    for (size_t i = 0; i < w->birth.listeners_count; i++) {
        worker_watch(w, w->birth.listener_fds[i], EPOLL_CTL_DEL, 0);
        close(w->birth.listener_fds[i]);
    }
    w->birth.listeners_count = 0;
    w->rest_until_ms = 0;
    w->accepting = false;
}
