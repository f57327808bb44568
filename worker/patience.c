/* patience.c — see patience.h. */
#include "worker/patience.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

enum {
    GIVING_PATIENCE_MS = 20000, /* how long a giver's successor waits to be told once more to whom to give: a crash
                                   loop's pauses are no longer */
    LOOKS = 4,                  /* while the whole patience lasts */
};

static uint64_t stage_patience(const struct settings *settings, enum stage stage)
{
    switch (stage) {
    case STAGE_IDLE:
        return settings->idle_timeout_ms;
    case STAGE_HEAD:
        return settings->head_timeout_ms;
    case STAGE_BODY:
        return settings->body_timeout_ms;
    case STAGE_CONTINUE:
    case STAGE_RESPOND:
        return settings->write_timeout_ms;
    case STAGE_PARTING:
        return settings->client_close_timeout_ms;
    case STAGE_LINGER:
        return settings->linger_timeout_ms;
    case STAGE_GIVING:
        return GIVING_PATIENCE_MS;
    case STAGE_FREE:
    case STAGE_CLOSING:
        break;
    }
    return 0;
}

/* A PROXY header is no request, which may take its time to begin. */
static uint64_t patience_of(const struct settings *settings, const struct connection *c)
{
    bool is_due = c->at.stage == STAGE_IDLE && (c->at.flags & SLOT_HEADER_DUE) != 0;
    return stage_patience(settings, is_due ? STAGE_HEAD : (enum stage)c->at.stage);
}

bool patience_is_sending(const struct connection *c)
{
    return c->at.stage == STAGE_RESPOND || c->at.stage == STAGE_CONTINUE;
}

static uint64_t sooner(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

uint64_t patience_earn(const struct patience *patience, uint64_t until_ms, uint64_t bytes, struct instant now)
{
    uint64_t most = clock_after(now, patience->whole_ms).ms;
    if (bytes == 0) {
        return sooner(until_ms, most);
    }
    if (patience->rate == 0 || bytes / patience->rate >= patience->whole_ms / 1000 + 1) {
        return most;
    }
    return sooner(clock_after((struct instant){.ms = until_ms}, bytes * 1000 / patience->rate).ms, most);
}

static void note_deadline(struct worker *w, const struct connection *c)
{
    w->soonest_ms = sooner(w->soonest_ms, c->at.deadline_ms);
}

static uint64_t next_look(const struct worker *w, const struct connection *c)
{
    return sooner(c->at.until_ms, clock_after(w->now, w->settings->write_timeout_ms / LOOKS + 1).ms);
}

/* One that is behind with what it was sent before has no new account for more of it. */
static void begin_sending(struct worker *w, struct connection *c)
{
    if ((c->at.flags & SLOT_BEHIND) == 0) {
        c->at.until_ms = clock_after(w->now, w->settings->write_timeout_ms).ms;
        c->at.taken = c->at.sent;
    }
    c->at.deadline_ms = next_look(w, c);
}

void patience_begin(struct worker *w, struct connection *c)
{
    if (patience_is_sending(c)) {
        begin_sending(w, c);
    } else {
        c->at.deadline_ms = clock_after(w->now, patience_of(w->settings, c)).ms;
    }
    if (c->at.stage == STAGE_IDLE) {
        c->at.flags &= (uint8_t) ~(SLOT_BEHIND | SLOT_SLOW);
    } else if (c->at.stage == STAGE_BODY) {
        c->at.flags &= (uint8_t)~SLOT_SLOW;
    }
    note_deadline(w, c);
}

void patience_curb(const struct worker *w, struct connection *c)
{
    uint64_t latest = clock_after(w->now, patience_of(w->settings, c)).ms;
    c->at.deadline_ms = sooner(c->at.deadline_ms, latest);
    c->at.until_ms = sooner(c->at.until_ms, clock_after(w->now, w->settings->write_timeout_ms).ms);
}

/* It has moved, and has the whole of its patience again, or not. */
static void mark_slow(struct connection *c, bool is_slow)
{
    c->at.flags &= (uint8_t)~SLOT_SLOW;
    c->at.flags |= is_slow ? SLOT_SLOW : 0;
}

void patience_received(struct worker *w, struct connection *c, uint64_t bytes)
{
    const struct patience patience = {.whole_ms = w->settings->body_timeout_ms, .rate = w->settings->min_receive_rate};
    c->at.deadline_ms = patience_earn(&patience, c->at.deadline_ms, bytes, w->now);
    mark_slow(c, c->at.deadline_ms < clock_after(w->now, patience.whole_ms).ms);
    note_deadline(w, c);
}

bool patience_look(struct worker *w, struct connection *c)
{
    const struct patience patience = {.whole_ms = w->settings->write_timeout_ms, .rate = w->settings->min_send_rate};
    int left = 0; /* given to the socket, and not yet there */
    uint64_t most = clock_after(w->now, patience.whole_ms).ms;
    bool told = ioctl(c->fd, SIOCOUTQ, &left) == 0;
    uint64_t taken = told && (uint64_t)left < c->at.sent ? c->at.sent - (uint64_t)left : 0;
    uint64_t moved = taken > c->at.taken ? taken - c->at.taken : 0;
    if (told && left == 0) {
        c->at.until_ms = most; /* it has all that we gave it: it waits for us */
        moved = 1;
    } else {
        c->at.until_ms = patience_earn(&patience, c->at.until_ms, moved, w->now);
    }
    if (moved > 0) {
        mark_slow(c, c->at.until_ms < most);
    }
    c->at.taken = taken;
    c->at.deadline_ms = next_look(w, c);
    note_deadline(w, c);
    return c->at.until_ms > w->now.ms;
}
