/* orders.c — see orders.h. */
#include "worker/orders.h"

#include "supervisor/inherit/keeper.h"
#include "supervisor/inherit/log.h"
#include "worker/accept.h"
#include "worker/connection.h"
#include "worker/handover.h"
#include "worker/orphan.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NEWCOMER_MS = 1000 }; /* a round trip or several, and no longer than an init script likes to wait */

static void report(const struct worker *w, const struct report *report)
{
    if (channel_report(w->birth.control_fd, report) != 0 && errno != EPIPE) {
        log_warn("reporting to the supervisor: %s", strerror(errno));
    }
}

void orders_report_ready(const struct worker *w, uint32_t adopted, uint32_t dropped)
{
    report(w, &(struct report){.kind = REPORT_READY,
                               .pid = w->keeper_pid,
                               .adopted = adopted,
                               .dropped = dropped,
                               .confined = w->confined});
}

void orders_report_cannot(const struct worker *w, const char *why, int error)
{
    struct report cannot = {.kind = REPORT_CANNOT, .error = error};
    snprintf(cannot.text, sizeof cannot.text, "%s", why);
    report(w, &cannot);
}

static void obey_reopen(struct worker *w, const int *fds, size_t count)
{
    if (count != 2) {
        return;
    }
    /* The same numbers, so that worker, keeper and successor go on without knowing. */
    dup3(fds[0], w->birth.access_log_fd, O_CLOEXEC);
    dup2(fds[1], STDERR_FILENO);
    close(fds[0]);
    close(fds[1]);
}

/* A keeper that died with an order in hand left the ends of a successor's channels open in the table that we shared.
 * They would make the supervisor believe that the successor is there. */
static void close_stray_channels(const struct worker *w)
{
    for (int fd = STDERR_FILENO + 1; fd < (int)w->cell.slots_count; fd++) {
        int type;
        socklen_t length = sizeof type;
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET && !worker_owns(w, fd)) {
            close(fd);
        }
    }
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        close(fds[i]);
    }
}

/* An order that the dead keeper did not read holds the ends of a successor's channels, too; and the first keeper's
 * channel stays open, for the sandbox has it so. */
static void drop_unread(int channel)
{
    struct pollfd some = {.fd = channel, .events = POLLIN};
    int got = 1;
    while (got > 0 && poll(&some, 1, 0) == 1) {
        struct order order;
        int fds[CONTRACT_FDS_MAX];
        size_t count = CONTRACT_FDS_MAX;
        got = channel_receive(channel, &order, sizeof order, fds, &count, NULL);
        close_all(fds, count);
    }
}

static void obey_make_keeper(struct worker *w, const int *fds, size_t count)
{
    if (count != 1) {
        return;
    }
    drop_unread(w->birth.keeper_fd);
    if (w->birth.keeper_fd != w->guarded_fd) {
        close(w->birth.keeper_fd);
    }
    w->birth.keeper_fd = fds[0];
    if (w->retiring) {
        close_stray_channels(w);
    }
    w->keeper_pid = keeper_make(&w->birth, w->confined);
    if (w->keeper_pid < 0) {
        log_error("making a new keeper: %s", strerror(errno));
        return;
    }
    report(w, &(struct report){.kind = REPORT_KEEPER_MADE, .pid = w->keeper_pid});
}

/* The first request of C is on its way, or its client has come too early for one, as browsers do. */
static void give_newcomer_time(struct worker *w, struct connection *c)
{
    uint64_t latest = clock_after(w->now, NEWCOMER_MS).ms;
    c->at.deadline_ms = c->at.deadline_ms < latest ? c->at.deadline_ms : latest;
    w->soonest_ms = w->soonest_ms < latest ? w->soonest_ms : latest;
    connection_publish(c);
}

/* Idle connections are told by our FIN; the others by Connection: close in their next response. */
static void close_idle(struct worker *w)
{
    for (uint32_t fd = 0; fd <= w->cell.header->top && fd < w->cell.slots_count; fd++) {
        struct connection c;
        if (!connection_load(w, (int)fd, &c) || c.at.stage != STAGE_IDLE) {
            continue;
        }
        if (c.at.received == 0) {
            give_newcomer_time(w, &c);
        } else {
            shutdown((int)fd, SHUT_WR);
            connection_enter(w, &c, STAGE_LINGER);
            connection_publish(&c);
        }
    }
}

void orders_begin_stop(struct worker *w, struct instant deadline)
{
    w->stop_deadline = deadline;
    if (w->stopping) {
        return;
    }
    accept_finish(w);
    w->stopping = true;
    close_idle(w);
}

static void obey(struct worker *w, const struct order *order, const int *fds, size_t count)
{
    switch ((enum order_kind)order->kind) {
    case ORDER_RETIRE:
        w->retiring = true;
        return;
    case ORDER_STOP:
        orders_begin_stop(w, (struct instant){.ms = order->deadline_ms});
        return;
    case ORDER_REOPEN:
        obey_reopen(w, fds, count);
        return;
    case ORDER_ALONE:
        w->alone = true;
        return;
    case ORDER_MAKE_KEEPER:
        obey_make_keeper(w, fds, count);
        return;
    case ORDER_GIVE:
        if (count == 1) {
            handover_give(w, fds[0]);
        }
        return;
    case ORDER_TAKE:
        if (count == 1) {
            handover_take(w, fds[0]);
        }
        return;
    case ORDER_ROLL_CALL:
        orders_report_ready(w, w->cell.header->connections, 0);
        return;
    case ORDER_INHERIT: /* orphan.c reads it, at the door */
    case ORDER_SUCCEED:
    case ORDER_HAND_DOWN:
    case ORDER_LEAVE:
        break; /* a keeper's */
    }
    log_warn("an order that is not for a worker: %u", order->kind);
    close_all(fds, count);
}

enum parked { PARKED_STAYS, PARKED_LEAVES, PARKED_IS_LEFT };

/* One order to a parked worker. */
static enum parked obey_parked(struct worker *w)
{
    struct order order;
    int fds[4];
    size_t count = 4;
    int got = channel_receive(w->birth.control_fd, &order, sizeof order, fds, &count, NULL);
    if (got == 0) {
        return PARKED_IS_LEFT;
    }
    if (got > 0 && order.kind == ORDER_LEAVE) {
        return PARKED_LEAVES;
    }
    if (got > 0 && (order.kind == ORDER_ROLL_CALL || order.kind == ORDER_RETIRE)) {
        report(w, &(struct report){.kind = REPORT_RETIRED});
    }
    if (got > 0 && order.kind == ORDER_MAKE_KEEPER) {
        obey_make_keeper(w, fds, count);
    } else {
        close_all(fds, count);
    }
    return PARKED_STAYS;
}

bool orders_park(struct worker *w)
{
    struct pollfd channel = {.fd = w->birth.control_fd, .events = POLLIN};
    enum parked parked = PARKED_STAYS;
    if (orphan_is(w)) {
        w->retiring = false; /* that order was the last of its supervisor, who has forked no successor */
        return true;
    }
    report(w, &(struct report){.kind = REPORT_RETIRED});
    while (parked == PARKED_STAYS) {
        (void)poll(&channel, 1, -1);
        parked = obey_parked(w);
    }
    if (parked == PARKED_LEAVES || orphan_has_successor(w)) {
        return false;
    }
    w->retiring = false;
    orphan_begin(w);
    return true;
}

void orders_obey(struct worker *w)
{
    if (orphan_is(w)) {
        orphan_hear(w);
        return;
    }
    for (;;) {
        struct order order;
        int fds[4];
        size_t count = 4;
        int got = channel_receive(w->birth.control_fd, &order, sizeof order, fds, &count, NULL);
        if (got < 0 && errno == EBADMSG) {
            continue;
        }
        if (got < 0) {
            return;
        }
        if (got == 0) {
            orphan_begin(w);
            return;
        }
        obey(w, &order, fds, count);
    }
}
