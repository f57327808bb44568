/* hang.c — see hang.h. */
#include "supervisor/hang.h"

#include "supervisor/inherit/log.h"
#include "supervisor/reap.h"
#include "supervisor/tend.h"

enum { PERIOD_LONGEST_MS = 1000 };

uint64_t hang_period_ms(const struct supervisor *s)
{
    uint64_t period_ms = s->settings->hang_timeout_ms / 4;
    return period_ms < PERIOD_LONGEST_MS ? period_ms : PERIOD_LONGEST_MS;
}

static uint64_t later(uint64_t one, uint64_t other)
{
    return one > other ? one : other;
}

/* One that is about to get ready has ready_timeout instead. */
static bool makes_turns(const struct supervisor *s, const struct worker *w)
{
    return w->pid != 0 && s->cells[w->slot].header != NULL && w->state != WORKER_ADOPTING &&
           w->state != WORKER_STARTING;
}

/* A successor inherits the heartbeat of a predecessor that hung. One that is still to come is no sign of life: somebody
 * scribbled it there. The clock is asked after it, so that a beat of this very moment is not taken for such a one. */
static uint64_t last_beat(const struct supervisor *s, const struct worker *w)
{
    uint64_t beat_ms = cell_beat_ms(&s->cells[w->slot]);
    return later(beat_ms <= clock_now().ms ? beat_ms : 0, w->ready_ms);
}

bool hang_is_overdue(const struct supervisor *s, uint64_t now_ms, uint64_t grace_ms)
{
    for (uint32_t i = 0; i < s->ledger->workers.count; i++) {
        const struct worker *w = &s->ledger->workers.all[i];
        if (makes_turns(s, w) && now_ms > last_beat(s, w) + s->settings->hang_timeout_ms + grace_ms) {
            return true;
        }
    }
    return false;
}

static void check_one(struct supervisor *s, struct worker *w, uint64_t now)
{
    if (!makes_turns(s, w)) {
        return;
    }
    w->beat_ms = last_beat(s, w);
    if (now > w->beat_ms + s->settings->hang_timeout_ms) {
        tend_event(s, w, EVENT_HUNG);
    }
}

void hang_check(struct supervisor *s)
{
    uint64_t now = clock_now().ms;
    uint64_t since_ms = now - s->hang_checked_ms;
    if (since_ms < hang_period_ms(s) || s->phase == PHASE_ENDING) {
        return;
    }
    s->hang_checked_ms = now;
    s->ledger->oom_kills = reap_oom_kills(); /* others' misfortunes say nothing about a later death of ours */
    if (since_ms > hang_period_ms(s) + s->settings->hang_timeout_ms / 2) {
        log_warn("the supervisor itself did not run for %llu ms: no worker is blamed for that time",
                 (unsigned long long)since_ms);
        return;
    }
    for (uint32_t i = 0; i < s->ledger->workers.count; i++) {
        check_one(s, &s->ledger->workers.all[i], now);
    }
}
