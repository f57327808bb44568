/* accept.c — see accept.h. */
#include "worker/accept.h"

#include "supervisor/inherit/log.h"
#include "worker/connection.h"
#include "worker/limits.h"
#include "worker/proxies.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ACCEPTS_PER_TURN = 8, /* then others get their turn: connections here, workers elsewhere */
    SHARE = 4,            /* so many, and another worker is the first that the kernel wakes */
    REST_MS = 1000,
    LOOK_MS = 1000,
    SPARE_DESCRIPTORS = 64, /* for files; fewer where there are few */
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

void accept_begin(struct worker *w)
{
    for (size_t i = 0; i < w->birth.listeners_count; i++) {
        worker_watch(w, w->birth.listener_fds[i], EPOLL_CTL_ADD, EPOLLIN | EPOLLEXCLUSIVE);
    }
    w->accepting = true;
}

void accept_pause(struct worker *w)
{
    for (size_t i = 0; i < w->birth.listeners_count; i++) {
        worker_watch(w, w->birth.listener_fds[i], EPOLL_CTL_DEL, 0);
    }
    w->accepting = false;
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

static void rest(struct worker *w, const char *why)
{
    static bool warned;
    if (!warned) {
        log_warn("accepting: resting, with %u connections: %s", w->cell.header->connections, why);
        warned = true;
    }
    accept_pause(w);
    w->rest_until_ms = clock_after(w->now, REST_MS).ms;
}

static bool is_full(const struct worker *w)
{
    return w->cell.header->connections >= w->settings->connections;
}

void accept_resume(struct worker *w)
{
    if (w->rest_until_ms == 0 || w->now.ms < w->rest_until_ms) {
        return;
    }
    if (!accept_has_room(w)) {
        w->rest_until_ms = clock_after(w->now, REST_MS / 10).ms;
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

/* One connection. False if there was none, or accept rests now. */
static bool accept_one(struct worker *w, int listener)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t length = sizeof peer;
    /* Without close-on-exec: a connection lives on in the successor. */
    int fd = accept4(listener, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            file_cache_shed(w->responder);
            rest(w, strerror(errno));
        }
        return errno == ECONNABORTED || errno == EINTR || errno == EPROTO;
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
        worker_watch(w, listener, EPOLL_CTL_ADD, EPOLLIN | EPOLLEXCLUSIVE);
    }
}

void accept_some(struct worker *w, int listener)
{
    give_precedence(w, listener);
    for (int i = 0; i < ACCEPTS_PER_TURN && w->rest_until_ms == 0; i++) {
        if (is_full(w)) {
            rest(w, "the limit \"connections\" is reached");
            return;
        }
        if (!has_descriptor(w)) {
            rest(w, "descriptors have run out");
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
