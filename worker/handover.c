/* handover.c — see handover.h. */
#include "worker/handover.h"

#include "supervisor/inherit/log.h"
#include "worker/accept.h"
#include "worker/connection.h"
#include "worker/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t socket_cookie(int fd)
{
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length);
    return cookie;
}

/* ---- giving ---- */

void handover_give(struct worker *w, int channel)
{
    if (w->giving_fd >= 0) {
        close(w->giving_fd);
    }
    w->giving_fd = channel;
    accept_leave(w);
    log_info("surplus: handing over %u connections", w->cell.header->connections);
}

static void forget(struct worker *w, struct connection *c)
{
    worker_watch(w, c->fd, EPOLL_CTL_DEL, 0);
    limits_uncount(w, c);
    close(c->fd); /* not shutdown: the connection lives on with the heir */
    c->at = (struct slot_record){.desk = -1, .stage = STAGE_FREE};
    connection_publish(c);
    w->cell.header->connections--;
    w->cell.header->counters.given++;
}

/* False: the heir has no room at the moment. */
static bool give_one(struct worker *w, int fd)
{
    struct connection c;
    if (!connection_load(w, fd, &c) || (c.at.stage != STAGE_IDLE && c.at.stage != STAGE_GIVING)) {
        return true;
    }
    struct slot_record before = c.at;
    connection_enter(w, &c, STAGE_GIVING);
    connection_publish(&c);
    struct parcel parcel = {.received = c.at.received,
                            .sent = c.at.sent,
                            .cookie = socket_cookie(fd),
                            .is_unix = (c.at.flags & SLOT_UNIX) != 0,
                            .header_due = (c.at.flags & SLOT_HEADER_DUE) != 0,
                            .proxied = (c.at.flags & SLOT_PROXIED) != 0,
                            .client = c.slot->client,
                            .again = c.at.given};
    if (channel_send(w->giving_fd, &parcel, sizeof parcel, &fd, 1) == 0) {
        forget(w, &c);
        return true;
    }
    c.at = before;
    connection_publish(&c);
    return false;
}

bool handover_give_idle(struct worker *w)
{
    for (uint32_t fd = 0; fd <= w->cell.header->top && fd < w->cell.slots_count; fd++) {
        if (!give_one(w, (int)fd)) {
            break;
        }
    }
    return w->cell.header->connections == 0;
}

/* ---- taking ---- */

static bool is_same_socket(int one, int other)
{
    struct stat one_facts;
    struct stat other_facts;
    return one >= 0 && fstat(one, &one_facts) == 0 && fstat(other, &other_facts) == 0 &&
           one_facts.st_ino == other_facts.st_ino;
}

/* True if nothing is left in CHANNEL, and nobody will put anything into it. */
static bool is_at_end(int channel)
{
    char byte;
    return recv(channel, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void end_taking(struct worker *w, int channel)
{
    for (size_t i = 0; i < CELL_TAKING_MAX; i++) {
        if (w->cell.header->taking[i] == channel) {
            w->cell.header->taking[i] = -1;
        }
    }
    worker_watch(w, channel, EPOLL_CTL_DEL, 0);
    close(channel);
}

/* The supervisor may see a giver's end, and send us another giver's channel, before we have looked. */
static void forget_ended(struct worker *w)
{
    for (size_t i = 0; i < CELL_TAKING_MAX; i++) {
        int channel = w->cell.header->taking[i];
        if (channel >= 0 && is_at_end(channel)) {
            end_taking(w, channel);
        }
    }
}

/* The supervisor tells each successor once more from whom to take; our predecessor may have left us the channel. */
static bool takes_already(const struct worker *w, int channel)
{
    for (size_t i = 0; i < CELL_TAKING_MAX; i++) {
        if (is_same_socket(w->cell.header->taking[i], channel)) {
            return true;
        }
    }
    return false;
}

void handover_take(struct worker *w, int channel)
{
    if (takes_already(w, channel)) {
        close(channel);
        return;
    }
    forget_ended(w);
    for (size_t i = 0; i < CELL_TAKING_MAX; i++) {
        if (w->cell.header->taking[i] < 0) {
            /* It must outlive us like a connection: parcels may be in it when we die. */
            fcntl(channel, F_SETFD, 0);
            fcntl(channel, F_SETFL, O_NONBLOCK);
            w->cell.header->taking[i] = channel;
            worker_watch(w, channel, EPOLL_CTL_ADD, EPOLLIN);
            return;
        }
    }
    log_warn("taking connections: too many givers at once");
    close(channel);
}

bool handover_is_channel(const struct worker *w, int fd)
{
    for (size_t i = 0; i < CELL_TAKING_MAX; i++) {
        if (w->cell.header->taking[i] == fd) {
            return true;
        }
    }
    return false;
}

/* True if this very socket is here already: its giver died between sending it and noting that. */
static bool is_here_already(const struct worker *w, uint64_t cookie)
{
    for (uint32_t fd = 0; fd <= w->cell.header->top && fd < w->cell.slots_count; fd++) {
        const struct slot *slot = &w->cell.slots[fd];
        if (slot->record[slot->current & 1].stage != STAGE_FREE && socket_cookie((int)fd) == cookie) {
            return true;
        }
    }
    return false;
}

bool handover_has(const struct worker *w, int fd)
{
    return is_here_already(w, socket_cookie(fd));
}

/* A parcel has arrived: it is a connection of ours from here on. */
static void take_parcel(struct worker *w, const struct parcel *parcel, int fd)
{
    if (parcel->again != 0 && is_here_already(w, parcel->cookie)) {
        close(fd);
        return;
    }
    connection_taken(w, fd, parcel);
    w->unverified[fd / 8] |= (uint8_t)(1U << (fd & 7)); /* what a giver says is held against the kernel's word */
    w->cell.header->counters.taken++;
}

void handover_resume(struct worker *w)
{
    if (!w->taking_rests || !accept_has_room(w)) {
        return;
    }
    w->taking_rests = false;
    for (size_t i = 0; i < CELL_TAKING_MAX; i++) {
        if (w->cell.header->taking[i] >= 0) {
            worker_watch(w, w->cell.header->taking[i], EPOLL_CTL_ADD, EPOLLIN);
        }
    }
}

/* A successor that finds a connection in no slot must know where it came from. */
static void note_receiving(struct worker *w, uint32_t receiving)
{
    *(volatile uint32_t *)&w->cell.header->receiving = receiving;
}

/* One packet from CHANNEL, as parcel_receive() tells of it. */
static int receive_one(struct worker *w, int channel)
{
    struct parcel parcel;
    int fd;
    note_receiving(w, 1);
    int got = parcel_receive(channel, &parcel, &fd);
    if (fd >= 0) {
        take_parcel(w, &parcel, fd);
    }
    note_receiving(w, 0);
    return got;
}

void handover_receive(struct worker *w, int channel)
{
    for (int i = 0; i < 64; i++) {
        if (!accept_has_room(w)) {
            /* What cannot be taken waits in the channel, and then with its giver. */
            worker_watch(w, channel, EPOLL_CTL_DEL, 0);
            w->taking_rests = true;
            return;
        }
        int got = receive_one(w, channel);
        if (got == 0 || (got < 0 && errno != EAGAIN)) {
            end_taking(w, channel);
            return;
        }
        if (got < 0) {
            return;
        }
    }
}
