/* loop.c — see loop.h. Level-triggered: what one worker learned from an event and could not act on any more, its
 * successor is told again. */
#include "worker/loop.h"

#include "supervisor/inherit/log.h"
#include "worker/accept.h"
#include "worker/access_log.h"
#include "worker/connection.h"
#include "worker/handover.h"
#include "worker/orders.h"
#include "worker/orphan.h"
#include "worker/shortage.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

enum {
    EVENTS_PER_TURN = 128,
    SWEEP_MS = 50, /* deadlines are looked through at most this often */
    TRIM_MS = 1000,
    TRIM_ON_MS = 100, /* while a burst's memory is being given back, some of it at a time */
};

/* ---- deadlines ---- */

/* Expire what is due, and learn the next deadline. A connection's deadline moves with each of its steps, so a look over
 * all slots now and then costs less than keeping them in order. */
static void sweep_deadlines(struct worker *w)
{
    w->swept_ms = w->now.ms;
    w->soonest_ms = UINT64_MAX;
    uint32_t top = w->cell.header->top;
    for (uint32_t fd = 0; fd <= top && fd < w->cell.slots_count; fd++) {
        const struct slot *slot = &w->cell.slots[fd];
        const struct slot_record *record = &slot->record[slot->current & 1];
        if (record->stage == STAGE_FREE) {
            continue;
        }
        if (record->deadline_ms <= w->now.ms) {
            connection_expire(w, (int)fd);
        } else if (record->deadline_ms < w->soonest_ms) {
            w->soonest_ms = record->deadline_ms;
        }
    }
}

static bool sweep_is_due(const struct worker *w)
{
    return w->soonest_ms <= w->now.ms && w->now.ms >= w->swept_ms + SWEEP_MS;
}

static uint64_t sooner(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

/* How long the loop may sleep: to the next deadline, but never so long that the heartbeat is missed. */
static int patience_ms(const struct worker *w)
{
    uint64_t until = clock_after(w->now, w->settings->hang_timeout_ms / 4).ms;
    uint64_t sweep = w->soonest_ms > w->swept_ms + SWEEP_MS ? w->soonest_ms : w->swept_ms + SWEEP_MS;
    if (w->soonest_ms != UINT64_MAX) {
        until = sooner(until, sweep);
    }
    if (w->rest_until_ms != 0) {
        until = sooner(until, w->rest_until_ms);
    }
    if (access_log_waits(w)) {
        until = sooner(until, clock_after(w->now, TRIM_MS).ms);
    }
    if (w->shortage_ms != 0) {
        until = sooner(until, w->shortage_ms);
    }
    if (w->accepting) {
        until = sooner(until, w->accept_look_ms);
    }
    if (w->stopping) {
        until = sooner(until, w->stop_deadline.ms);
    }
    if (w->giving_fd >= 0) {
        until = sooner(until, w->now.ms + SWEEP_MS);
    }
    if (desks_have_more(&w->desks)) {
        until = sooner(until, w->trim_at_ms);
    }
    return until > w->now.ms ? (int)(until - w->now.ms) : 0;
}

/* ---- one turn ---- */

static void handle_event(struct worker *w, int fd)
{
    if (accept_is_listener(w, fd)) {
        accept_some(w, fd);
    } else if (fd == w->birth.control_fd) {
        orders_obey(w);
    } else if (handover_is_channel(w, fd)) {
        handover_receive(w, fd);
    } else {
        connection_step(w, fd);
    }
}

static void trim(struct worker *w)
{
    file_cache_trim(w->responder, w->now.ms);
    desks_trim(&w->desks);
    (void)log_recover();
    w->trim_at_ms = clock_after(w->now, desks_have_more(&w->desks) ? TRIM_ON_MS : TRIM_MS).ms;
}

static void look_after(struct worker *w)
{
    if (sweep_is_due(w)) {
        sweep_deadlines(w);
    }
    accept_resume(w);
    if (orphan_is(w) && w->now.ms >= w->accept_look_ms) {
        orphan_look(w);
    }
    accept_look(w);
    handover_resume(w);
    shortage_turn(w);
    if (w->now.ms >= w->trim_at_ms) {
        trim(w);
    }
    access_log_flush(w);
}

/* False when there is nothing left to do for this worker. */
static bool goes_on(struct worker *w)
{
    if (w->retiring) {
        return false;
    }
    if (w->giving_fd >= 0 && handover_give_idle(w)) {
        return false;
    }
    return !w->stopping || (w->cell.header->connections > 0 && w->now.ms < w->stop_deadline.ms);
}

static void beat(struct worker *w)
{
    w->now = clock_now();
    *(volatile uint64_t *)&w->cell.header->beat_ms = w->now.ms;
}

void loop_run(struct worker *w)
{
    struct epoll_event events[EVENTS_PER_TURN];
    beat(w);
    w->trim_at_ms = clock_after(w->now, TRIM_MS).ms;
    while (goes_on(w)) {
        int count = epoll_wait(w->birth.epoll_fd, events, EVENTS_PER_TURN, patience_ms(w));
        if (count < 0 && errno != EINTR) {
            log_error("waiting for events: %s", strerror(errno));
            return;
        }
        beat(w);
        for (int i = 0; i < count; i++) {
            handle_event(w, events[i].data.fd);
        }
        look_after(w);
    }
    if (w->retiring) {
        access_log_flush(w); /* the rest is the successor's */
    } else {
        access_log_finish(w);
    }
}
