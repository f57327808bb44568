/* deaths.c — see deaths.h. A report that was sent before a death is in the channel's queue when the death shows, so the
 * queue is emptied first: one that said READY and died was ready. */
#include "supervisor/deaths.h"

#include "supervisor/bury.h"
#include "supervisor/channels.h"
#include "supervisor/hear.h"
#include "supervisor/inherit/log.h"
#include "supervisor/obituary.h"
#include "supervisor/own_keeper.h"
#include "supervisor/preview.h"
#include "supervisor/reap.h"
#include "supervisor/reload.h"
#include "supervisor/roll.h"
#include "supervisor/tend.h"

#include <signal.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

enum { REAP_LATE_MS = 100 };

/* W is dead: who keeps its connections now? If it was only on its way, that is its predecessor's keeper; its own one,
 * which has the very same descriptors, only if that is dead. */
static void settle_keeper(struct supervisor *s, struct worker *w)
{
    if (w->cell_ruined != 0) {
        log_error("worker %u gen %u: its cell is ruined, and nobody knows what its connections were in the middle of",
                  w->slot, w->generation);
        w->cell_ruined = 0;
        channels_close_next(s, w);
        channels_dismiss(s, w, &w->keeper_fd, &w->keeper_pid);
        return;
    }
    if (w->state != WORKER_ADOPTING || channels_is_held(w->keeper_fd) || !channels_is_held(w->next_keeper_fd)) {
        channels_close_next(s, w);
        return;
    }
    channels_dismiss(s, w, &w->keeper_fd, &w->keeper_pid);
    w->keeper_fd = w->next_keeper_fd;
    w->keeper_pid = w->next_keeper_pid;
    w->keeper_confined = CONFINED_RIGHTS;
    w->next_keeper_fd = -1;
    w->next_keeper_pid = 0;
    watch_close(s, &w->next_control_fd);
}

static uint32_t last_words(const struct supervisor *s, const struct worker *w)
{
    return s->cells[w->slot].header != NULL ? cell_last_words(&s->cells[w->slot]) : 0;
}

/* W was not our child: how it ended, it may have said itself. A wait status. */
static int status_of_orphan(const struct supervisor *s, const struct worker *w)
{
    uint32_t words = last_words(s, w);
    uint32_t signal = words & CELL_SIGNAL_MASK;
    if (words == CELL_ENDED_WELL) {
        return W_EXITCODE(0, 0);
    }
    return W_EXITCODE(0, signal > 0 && signal < NSIG ? (int)signal : SIGKILL);
}

static struct succession_death death_of(struct supervisor *s, const struct worker *w, int status)
{
    struct succession_death death = reap_death(status, &s->ledger->oom_kills);
    if (death.signal == SIGSYS && (last_words(s, w) & CELL_SIGNAL_MASK) == SIGSYS) {
        death.refused_call = last_words(s, w) >> CELL_CALL_SHIFT;
    }
    death.sent = death.signal != 0 && last_words(s, w) == ((uint32_t)death.signal | CELL_SENT);
    return death;
}

void deaths_worker(struct supervisor *s, struct worker *w, int status)
{
    uint64_t noticed_us = clock_now_us();
    if (status == REAP_UNKNOWN) {
        status = status_of_orphan(s, w);
    }
    struct succession_death death = death_of(s, w, status);
    bool was_ready = w->state != WORKER_STARTING && w->state != WORKER_ADOPTING;
    int64_t lived_ms = was_ready ? (int64_t)(clock_now().ms - w->ready_ms) : -1;
    enum birth_cause cause = succession_cause(w, &death);
    enum backoff_death blame = succession_blame(cause, w, &death);
    if (was_ready) {
        w->died_us = noticed_us;
        w->signal = w->stopped != 0 ? SIGSTOP : death.signal;
    }
    bury(s, w, &death, cause, was_ready);
    w->pid = 0;
    w->cause = cause;
    if (w->parked_pid == 0) {
        watch_close(s, &w->control_fd);
    }
    settle_keeper(s, w);
    roll_death(s, w, blame, lived_ms, &death);
    struct succession_facts facts = tend_facts(s, w);
    facts.death = death;
    if (!facts.keeper_holds && !facts.ending && blame != BACKOFF_RETIRE) {
        tend_mourn(s, w);
    }
    facts.delay_ms = backoff_after(&w->backoff, blame, lived_ms);
    if (facts.delay_ms != 0 && !facts.ending) {
        log_warn("worker %u gen %u: cannot live long (%u times in a row): waiting %u ms before the next", w->slot,
                 w->generation, w->backoff.crashes + w->backoff.kills, facts.delay_ms);
    }
    tend_act(s, w, succession_decide(w, EVENT_DIED, &facts));
}

/* Is W waiting for what a keeper that cannot exec was to hand down? Its death shows in no channel, for the ends that it
 * had are in the table that it shared with a parked worker. */
static void end_heir(struct worker *w)
{
    bool waits = w->state == WORKER_ADOPTING && w->next_keeper_pid == 0;
    if (waits && (w->keeper_confined & CONFINED_FOR_EVER) != 0) {
        reap_signal(w->pid, SIGKILL);
    }
}

static void keeper_died(struct supervisor *s, struct worker *w)
{
    w->keeper_pid = 0;
    if (w->state == WORKER_SERVING && s->phase != PHASE_ENDING) {
        log_warn("keeper %u: died; worker %u makes another", w->slot, w->slot);
    }
    tend_event(s, w, EVENT_KEEPER_DIED);
    tend_end_if_alone(s, w);
    end_heir(w);
}

/* Nobody ordered its end, but its keeper, or its successor, has everything. */
static void parked_died(struct supervisor *s, struct worker *w)
{
    w->parked_pid = 0;
    watch_close(s, &w->control_fd);
    if (!channels_is_held(w->keeper_fd)) {
        tend_event(s, w, EVENT_KEEPER_DIED);
    }
    tend_end_if_alone(s, w);
}

static void leaving_left(struct supervisor *s, struct worker *w, pid_t pid)
{
    for (size_t i = 0; i < WORKER_LEAVING_MAX; i++) {
        if (w->leaving[i].pid == pid) {
            channels_forget_leaving(s, &w->leaving[i]);
        }
    }
    channels_tell_alone(w);
    tend_end_if_alone(s, w);
}

static void hear_all(struct supervisor *s)
{
    for (uint32_t i = 0; i < s->ledger->workers.count; i++) {
        hear_worker(s, &s->ledger->workers.all[i]);
    }
}

static void remember_stranger(struct supervisor *s, pid_t pid, int status)
{
    s->strangers[s->strangers_next] = (struct stranger){.pid = pid, .status = status};
    s->strangers_next = (s->strangers_next + 1) % STRANGERS_MAX;
    log_debug("reaped pid %d, which is nobody yet", pid);
}

/* Whose PID is it, once everything that was said before its death is heard? PID is a zombie still, so it is nobody
 * else's meanwhile. */
static struct worker *find_dead(struct supervisor *s, pid_t pid, enum worker_role *role)
{
    struct worker *w = workers_find(&s->ledger->workers, pid, role);
    if (w != NULL) {
        hear_worker(s, w);
    } else {
        hear_all(s);
    }
    return workers_find(&s->ledger->workers, pid, role);
}

static void died(struct supervisor *s, pid_t pid, int status)
{
    enum worker_role role;
    struct worker *w = find_dead(s, pid, &role);
    switch (role) {
    case ROLE_NOBODY:
        remember_stranger(s, pid, status);
        return;
    case ROLE_WORKER:
        deaths_worker(s, w, status);
        return;
    case ROLE_PARKED:
        parked_died(s, w);
        return;
    case ROLE_KEEPER:
        keeper_died(s, w);
        return;
    case ROLE_NEXT_KEEPER:
        w->next_keeper_pid = 0;
        return;
    case ROLE_LEAVING:
        leaving_left(s, w, pid);
        return;
    }
}

void deaths_miss(struct supervisor *s, pid_t pid)
{
    if (pid <= 0 || !reap_is_gone(pid)) {
        return;
    }
    int status;
    int process_fd = pidfd_open(pid, 0);
    bool known = process_fd >= 0 && obituary_read(process_fd, pid, &status);
    close_fd(&process_fd);
    died(s, pid, known ? status : REAP_UNKNOWN);
}

/* ---- reaping ---- */

/* Whose successor is forked or boots, it needs the processor that reaping takes, and its clients wait for it. */
static bool may_wait(const struct supervisor *s)
{
    const struct workers *workers = &s->ledger->workers;
    return s->phase == PHASE_RUNNING &&
           (workers_in(workers, WORKER_SUCCEEDING) != 0 || workers_in(workers, WORKER_ADOPTING) != 0);
}

static void catch_up(struct supervisor *s)
{
    reap_catch_up();
    s->reap_until_ms = 0;
}

static void lay_out(struct supervisor *s, pid_t pid)
{
    if (!may_wait(s) || !reap_later(pid)) {
        reap(pid);
    } else if (s->reap_until_ms == 0) {
        s->reap_until_ms = clock_now().ms + REAP_LATE_MS;
    }
}

/* One of those in the table who has ended, while one that is unreaped hides them. Strangers have time. */
static pid_t peek_known(const struct supervisor *s, int *status)
{
    if (reap_has_ended(s->ledger->keeper_pid, status)) {
        return s->ledger->keeper_pid;
    }
    for (uint32_t i = 0; i < s->ledger->workers.count; i++) {
        const struct worker *w = &s->ledger->workers.all[i];
        const pid_t pids[] = {w->pid, w->keeper_pid, w->parked_pid, w->next_keeper_pid};
        for (size_t j = 0; j < sizeof pids / sizeof pids[0]; j++) {
            if (reap_has_ended(pids[j], status)) {
                return pids[j];
            }
        }
        for (size_t j = 0; j < WORKER_LEAVING_MAX; j++) {
            if (reap_has_ended(w->leaving[j].pid, status)) {
                return w->leaving[j].pid;
            }
        }
    }
    return 0;
}

static pid_t peek(const struct supervisor *s, int *status)
{
    pid_t known = reap_is_behind() ? peek_known(s, status) : 0;
    return known != 0 ? known : reap_peek(status);
}

uint64_t deaths_clock(struct supervisor *s)
{
    if (!reap_is_behind()) {
        return UINT64_MAX;
    }
    if (!may_wait(s) || clock_now().ms >= s->reap_until_ms) {
        catch_up(s);
        return 0; /* whom they hid is looked at in the next turn */
    }
    return s->reap_until_ms;
}

bool deaths_reap(struct supervisor *s)
{
    for (;;) {
        int status;
        pid_t pid = peek(s, &status);
        if (pid <= 0) {
            return pid == 0;
        }
        if (reload_reaps(s, pid) || preview_reaps(s, pid)) {
            continue;
        }
        if (!own_keeper_reaps(s, pid)) {
            died(s, pid, status);
        }
        lay_out(s, pid);
    }
}
