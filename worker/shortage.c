/* shortage.c — see shortage.h. Level-triggered events would come again and again for who cannot go on, so such a
 * connection is not watched meanwhile; its deadline holds. */
#include "worker/shortage.h"

#include "supervisor/inherit/log.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

enum { PAUSE_MS = 100, WARN_AGAIN_MS = 60 * 1000 };

bool shortage_is(int error)
{
    return error == ENOMEM || error == ENOBUFS || error == ENOSPC;
}

static void warn(const struct worker *w, const char *why)
{
    static uint64_t quiet_until_ms;
    if (w->now.ms >= quiet_until_ms) {
        log_warn("connections: some wait, for the machine has no room for them: %s", why);
        quiet_until_ms = clock_after(w->now, WARN_AGAIN_MS).ms;
    }
}

static void come_again(struct worker *w, uint64_t after_ms)
{
    uint64_t when_ms = clock_after(w->now, after_ms).ms;
    if (w->shortage_ms == 0 || when_ms < w->shortage_ms) {
        w->shortage_ms = when_ms;
    }
}

void shortage_note(struct worker *w, struct connection *c)
{
    warn(w, strerror(errno));
    c->at.flags |= SLOT_SHORT;
    worker_watch(w, c->fd, EPOLL_CTL_MOD, 0);
    come_again(w, PAUSE_MS);
}

void shortage_adopt(struct worker *w, const struct slot_record *record)
{
    if ((record->flags & SLOT_SHORT) != 0) {
        come_again(w, 0);
    }
}

static void watch_again(struct worker *w, int fd)
{
    struct connection c;
    if (!connection_load(w, fd, &c)) {
        return;
    }
    uint32_t events = (c.at.flags & SLOT_WRITABLE) != 0 ? EPOLLOUT : EPOLLIN;
    if (worker_watch(w, fd, EPOLL_CTL_MOD, events) || worker_watch(w, fd, EPOLL_CTL_ADD, events)) {
        c.at.flags &= (uint8_t)~SLOT_SHORT;
        connection_publish(&c);
    } else {
        come_again(w, PAUSE_MS);
    }
}

void shortage_turn(struct worker *w)
{
    if (w->shortage_ms == 0 || w->now.ms < w->shortage_ms) {
        return;
    }
    w->shortage_ms = 0;
    for (uint32_t fd = 0; fd <= w->cell.header->top && fd < w->cell.slots_count; fd++) {
        const struct slot *slot = &w->cell.slots[fd];
        const struct slot_record *record = &slot->record[slot->current & 1];
        if (record->stage != STAGE_FREE && (record->flags & SLOT_SHORT) != 0) {
            watch_again(w, (int)fd);
        }
    }
}
