/* ledger_mend.c — see ledger_mend.h. No system calls here but the log's. */
#include "supervisor/ledger_mend.h"

#include "supervisor/inherit/log.h"
#include "supervisor/supervisor.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE_LONGEST_MS = 24 * 3600 * 1000, DELAY_LONGEST_MS = 60 * 1000, SLOTS_MOST = 1 << 24 };

/* Where we are, for the log, and how much was put right. */
struct mending {
    struct instant now;
    uint64_t now_us;
    int slot; /* -1: in no worker's entry */
    unsigned mended;
};

static void note(struct mending *m, const char *field, long long was, long long is)
{
    m->mended++;
    if (m->slot >= 0) {
        log_warn("ledger: worker %d: %s cannot be %lld: %lld instead", m->slot, field, was, is);
    } else {
        log_warn("ledger: %s cannot be %lld: %lld instead", field, was, is);
    }
}

static void mend_number(struct mending *m, uint32_t *field, bool can_be, uint32_t instead, const char *name)
{
    if (!can_be) {
        note(m, name, *field, instead);
        *field = instead;
    }
}

static void mend_signed(struct mending *m, int32_t *field, bool can_be, int32_t instead, const char *name)
{
    if (!can_be) {
        note(m, name, *field, instead);
        *field = instead;
    }
}

static void mend_fd(struct mending *m, int32_t *fd, const char *name)
{
    mend_signed(m, fd, *fd == -1 || *fd > STDERR_FILENO, -1, name);
}

static void mend_pid(struct mending *m, int32_t *pid, const char *name)
{
    mend_signed(m, pid, *pid == 0 || (*pid > 1 && *pid != getpid()), 0, name);
}

/* An instant that has been; 0: never. */
static void mend_past(struct mending *m, uint64_t *when, uint64_t now, const char *name)
{
    if (*when > now) {
        note(m, name, (long long)*when, (long long)now);
        *when = now;
    }
}

/* An instant that may come, within PATIENCE_MS; 0: never. */
static void mend_future(struct mending *m, uint64_t *when_ms, uint64_t patience_ms, const char *name)
{
    if (*when_ms > m->now.ms + patience_ms) {
        note(m, name, (long long)*when_ms, (long long)m->now.ms);
        *when_ms = m->now.ms;
    }
}

static void mend_text(struct mending *m, char *text, size_t bytes, const char *name)
{
    if (memchr(text, '\0', bytes) == NULL) {
        text[bytes - 1] = '\0';
        note(m, name, (long long)bytes, (long long)bytes - 1);
    }
}

/* ---- workers ---- */

static bool has_anything(const struct worker *w)
{
    return w->pid != 0 || w->parked_pid != 0 || w->keeper_pid != 0 || w->control_fd >= 0 || w->keeper_fd >= 0 ||
           w->next_control_fd >= 0 || w->next_keeper_fd >= 0 || w->cell_fd >= 0;
}

/* A worker of its own, and no successor on its way. */
static bool could_serve(const struct worker *w)
{
    return w->pid != 0 && w->parked_pid == 0 && w->control_fd >= 0 && w->next_control_fd < 0;
}

/* Does W's state go with its pids and descriptors? Where a death of the supervisor may have come between two stores,
 * both are right. */
static bool state_fits(const struct ledger *ledger, const struct worker *w)
{
    switch ((enum worker_state)w->state) {
    case WORKER_EMPTY:
        return !has_anything(w);
    case WORKER_STARTING:
    case WORKER_ADOPTING:
    case WORKER_SUCCEEDING:
    case WORKER_BACKING_OFF:
    case WORKER_ENDING:
        return !could_serve(w);
    case WORKER_GIVING:
        return w->heir >= 0;
    case WORKER_STOPPING:
        return ledger->phase == PHASE_STOPPING || ledger->phase == PHASE_ENDING || w->heir >= 0;
    case WORKER_SERVING:
    case WORKER_RETIRING:
    case WORKER_SHOT:
        return true;
    }
    return false;
}

static enum worker_state likely_state(const struct worker *w)
{
    if (could_serve(w)) {
        return WORKER_SERVING;
    }
    return has_anything(w) ? WORKER_BACKING_OFF : WORKER_EMPTY; /* the end of a delay sees what is left of it */
}

static bool waits_for_long(const struct worker *w)
{
    switch ((enum worker_state)w->state) {
    case WORKER_EMPTY:
    case WORKER_SERVING:
    case WORKER_GIVING:
    case WORKER_STOPPING:
        return true;
    case WORKER_STARTING:
    case WORKER_RETIRING:
    case WORKER_SHOT:
    case WORKER_SUCCEEDING:
    case WORKER_ADOPTING:
    case WORKER_BACKING_OFF:
    case WORKER_ENDING:
        return false;
    }
    return false;
}

/* Nobody is parked beside a worker that runs; but for the instant in which it parks itself. */
static void mend_parked(struct mending *m, struct worker *w)
{
    bool runs = w->state == WORKER_SERVING || w->state == WORKER_RETIRING || w->state == WORKER_SHOT ||
                w->state == WORKER_GIVING || w->state == WORKER_STOPPING;
    bool beside = runs && w->pid != 0 && w->pid != w->parked_pid;
    mend_signed(m, &w->parked_pid, w->parked_pid == 0 || !beside, 0, "parked_pid");
}

static void mend_state(struct mending *m, const struct ledger *ledger, struct worker *w)
{
    mend_parked(m, w);
    if (!state_fits(ledger, w)) {
        enum worker_state likely = likely_state(w);
        note(m, "state", w->state, likely);
        w->state = likely; /* no transition: it was never in the other one */
        w->deadline_ms = likely == WORKER_BACKING_OFF ? m->now.ms + 1 : 0;
    }
    if (w->deadline_ms == 0 && !waits_for_long(w)) {
        w->deadline_ms = m->now.ms + DELAY_LONGEST_MS; /* between the state and its deadline it may have died */
    }
}

static void mend_processes(struct mending *m, struct worker *w)
{
    mend_pid(m, &w->pid, "pid");
    mend_pid(m, &w->parked_pid, "parked_pid");
    mend_pid(m, &w->keeper_pid, "keeper_pid");
    mend_pid(m, &w->next_keeper_pid, "next_keeper_pid");
    mend_fd(m, &w->control_fd, "control_fd");
    mend_fd(m, &w->keeper_fd, "keeper_fd");
    mend_fd(m, &w->next_control_fd, "next_control_fd");
    mend_fd(m, &w->next_keeper_fd, "next_keeper_fd");
    mend_fd(m, &w->cell_fd, "cell_fd");
    for (size_t i = 0; i < WORKER_LEAVING_MAX; i++) {
        mend_pid(m, &w->leaving[i].pid, "leaving.pid");
        mend_fd(m, &w->leaving[i].fd, "leaving.fd");
    }
}

static void mend_times(struct mending *m, struct worker *w)
{
    mend_past(m, &w->started_ms, m->now.ms, "started_ms");
    mend_past(m, &w->ready_ms, m->now.ms, "ready_ms");
    mend_past(m, &w->entered_ms, m->now.ms, "entered_ms");
    mend_past(m, &w->keeper_asked_ms, m->now.ms, "keeper_asked_ms");
    mend_past(m, &w->beat_ms, m->now.ms, "beat_ms");
    mend_past(m, &w->died_us, m->now_us, "died_us");
    mend_future(m, &w->deadline_ms, PATIENCE_LONGEST_MS, "deadline_ms");
    mend_future(m, &w->give_until_ms, PATIENCE_LONGEST_MS, "give_until_ms");
}

static void mend_words(struct mending *m, struct worker *w)
{
    struct worker_death *death = &w->last_death;
    mend_text(m, death->request, sizeof death->request, "last_death.request");
    mend_text(m, death->client, sizeof death->client, "last_death.client");
    mend_number(m, &death->cause, death->cause < BIRTH_CAUSES, BIRTH_KILLED, "last_death.cause");
    mend_signed(m, &death->signal, death->signal >= 0 && death->signal < NSIG, 0, "last_death.signal");
}

static void mend_worker(struct mending *m, const struct ledger *ledger, struct worker *w)
{
    mend_number(m, &w->slot, w->slot == (uint32_t)m->slot, (uint32_t)m->slot, "slot");
    mend_processes(m, w);
    mend_signed(m, &w->heir, w->heir >= -1 && w->heir < WORKERS_MAX && w->heir != m->slot, -1, "heir");
    mend_number(m, &w->cause, w->cause < BIRTH_CAUSES, BIRTH_KILLED, "cause");
    bool retires = w->state == WORKER_RETIRING;
    bool on_order = w->retire_cause == BIRTH_RELOAD || w->retire_cause == BIRTH_UPGRADE;
    mend_number(m, &w->retire_cause, on_order || (!retires && w->retire_cause == 0), BIRTH_RELOAD, "retire_cause");
    mend_signed(m, &w->signal, w->signal >= 0 && w->signal < NSIG, 0, "signal");
    mend_number(m, &w->generation, w->generation <= ledger->generation, ledger->present.generation, "generation");
    mend_number(m, &w->cell_slots, w->cell_slots <= SLOTS_MOST, 0, "cell_slots");
    mend_number(m, &w->backoff.delay_ms, w->backoff.delay_ms <= DELAY_LONGEST_MS, 0, "backoff.delay_ms");
    mend_times(m, w);
    mend_words(m, w);
    mend_state(m, ledger, w);
}

/* One that should be in the table and is not would be forgotten, so all entries are looked at. */
static void mend_workers(struct mending *m, struct ledger *ledger)
{
    struct workers *workers = &ledger->workers;
    uint32_t end = 0;
    for (int i = 0; i < WORKERS_MAX; i++) {
        m->slot = i;
        mend_worker(m, ledger, &workers->all[i]);
        end = workers->all[i].state != WORKER_EMPTY ? (uint32_t)i + 1 : end;
    }
    m->slot = -1;
    /* Empty ones at the end are no fault: the table is trimmed when somebody has left. */
    bool can_be = workers->count >= end && workers->count <= WORKERS_MAX;
    mend_number(m, &workers->count, can_be, end, "workers.count");
    bool wanted = workers->wanted > 0 && workers->wanted <= WORKERS_MAX;
    mend_number(m, &workers->wanted, wanted, end > 0 ? end : 1, "workers.wanted");
}

/* ---- the rest ---- */

static uint32_t count_listeners(const struct listeners *listeners)
{
    uint32_t count = 0;
    while (count < CONTRACT_LISTENERS_MAX && listeners->all[count].address[0] != '\0') {
        count++;
    }
    return count;
}

/* A set that is not IN_USE may have been given up by its count alone. */
static void mend_listeners(struct mending *m, struct listeners *listeners, bool in_use, const char *name)
{
    for (size_t i = 0; i < CONTRACT_LISTENERS_MAX; i++) {
        mend_text(m, listeners->all[i].address, sizeof listeners->all[i].address, "listeners.address");
    }
    uint32_t counted = count_listeners(listeners);
    mend_number(m, &listeners->count, in_use ? listeners->count == counted : listeners->count <= counted,
                in_use ? counted : 0, name);
    for (size_t i = 0; i < listeners->count; i++) {
        mend_fd(m, &listeners->all[i].fd, "listeners.fd");
    }
}

static void mend_edition(struct mending *m, struct ledger_edition *edition)
{
    mend_fd(m, &edition->snapshot_fd, "edition.snapshot_fd");
    mend_fd(m, &edition->program_fd, "edition.program_fd");
}

static uint32_t highest_generation(const struct ledger *ledger)
{
    uint32_t good = ledger->good.generation;
    return good > ledger->present.generation ? good : ledger->present.generation;
}

/* A number that no edition was given: a few billions of reloads would be another reason for it. Numbers that leave no
 * room for the next ones are none either: behind the highest comes 0. */
static void mend_generations(struct mending *m, struct ledger *ledger)
{
    enum { STEP_MOST = 1 << 20 };
    static const uint32_t most = UINT32_MAX - 4 * STEP_MOST;
    struct ledger_edition *present = &ledger->present, *good = &ledger->good;
    mend_number(m, &good->generation, good->generation <= most, 0, "good.generation");
    bool far =
        present->generation > most || (good->generation != 0 && present->generation > good->generation + STEP_MOST);
    mend_number(m, &present->generation, present->generation != 0 && !far, good->generation + 1, "present.generation");
    uint32_t highest = highest_generation(ledger);
    bool can_be = ledger->generation >= highest && ledger->generation - highest <= STEP_MOST;
    mend_number(m, &ledger->generation, can_be, highest, "generation");
}

/* Without listeners there is nothing to roll to: what rolls had some, or was never begun. */
static void mend_rolling(struct mending *m, struct ledger *ledger)
{
    bool can_be = ledger->rolling <= ROLLING_BACK &&
                  (ledger->rolling != ROLLING_ON ||
                   (ledger->next_listeners.count > 0 && ledger->good.generation != ledger->present.generation));
    mend_number(m, &ledger->rolling, can_be, ROLLING_NOT, "rolling");
    bool verb = ledger->rolling_verb == CONTROL_RELOAD || ledger->rolling_verb == CONTROL_RESTART;
    mend_number(m, &ledger->rolling_verb, verb || ledger->rolling == ROLLING_NOT, CONTROL_RELOAD, "rolling_verb");
    mend_future(m, &ledger->calm_ms, DELAY_LONGEST_MS, "calm_ms");
    mend_future(m, &ledger->trial_ms, DELAY_LONGEST_MS, "trial_ms");
    mend_text(m, ledger->rolling_text, sizeof ledger->rolling_text, "rolling_text");
}

static void mend_phase(struct mending *m, struct ledger *ledger)
{
    bool can_be = ledger->phase <= PHASE_ENDING && (ledger->phase != PHASE_STOPPING || ledger->stop_deadline_ms != 0);
    mend_number(m, &ledger->phase, can_be, PHASE_RUNNING, "phase");
    mend_future(m, &ledger->stop_deadline_ms, PATIENCE_LONGEST_MS, "stop_deadline_ms");
}

static void mend_asked(struct mending *m, struct ledger_asked *asked, uint32_t more)
{
    const uint32_t known = 1U << CONTROL_RELOAD | 1U << CONTROL_RESTART | more;
    mend_number(m, &asked->verbs, (asked->verbs & ~known) == 0, 0, "asked.verbs");
    mend_text(m, asked->by, sizeof asked->by, "asked.by");
}

static void mend_result(struct mending *m, struct ledger_result *result)
{
    mend_number(m, &result->verb, result->verb < CONTROL_VERBS, CONTROL_RELOAD, "last_result.verb");
    mend_text(m, result->by, sizeof result->by, "last_result.by");
    mend_text(m, result->text, sizeof result->text, "last_result.text");
}

/* A client that is not found is forgotten, with its waiting (reload.c). */
static void mend_clients(struct mending *m, struct ledger *ledger)
{
    mend_number(m, &ledger->waiters_count, ledger->waiters_count <= CONTROL_CLIENTS_MAX, 0, "waiters_count");
    for (uint32_t i = 0; i < ledger->waiters_count; i++) {
        uint32_t *verb = &ledger->waiters[i].verb;
        mend_number(m, verb, *verb == CONTROL_RELOAD || *verb == CONTROL_RESTART, CONTROL_RELOAD, "waiters.verb");
    }
    mend_fd(m, &ledger->control.listener_fd, "control.listener_fd");
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        mend_fd(m, &ledger->control.clients[i].fd, "control.clients.fd");
    }
    mend_asked(m, &ledger->asked, ASKED_ANSWERED);
    mend_asked(m, &ledger->asked_next, 0);
    mend_result(m, &ledger->last_result);
}

static void mend_gifts(struct mending *m, struct ledger *ledger)
{
    for (size_t i = 0; i < LEDGER_GIFTS_MAX; i++) {
        mend_fd(m, &ledger->gifts[i].fd, "gifts.fd");
        mend_number(m, &ledger->gifts[i].heir, ledger->gifts[i].heir < WORKERS_MAX, 0, "gifts.heir");
        mend_pid(m, &ledger->gifts[i].heir_pid, "gifts.heir_pid");
    }
}

/* A path that is none is "" afterwards. */
static void mend_path(struct mending *m, char path[PATH_MAX], const char *name)
{
    mend_text(m, path, PATH_MAX, name);
    if (path[0] != '/' && path[0] != '\0') {
        note(m, name, path[0], 0);
        path[0] = '\0';
    }
}

static void mend_names(struct mending *m, struct ledger *ledger)
{
    mend_path(m, ledger->run_dir, "run_dir");
    mend_path(m, ledger->own_path, "own_path");
    mend_path(m, ledger->worker_path, "worker_path");
    mend_text(m, ledger->config_path, sizeof ledger->config_path, "config_path");
    struct fd_store *store = &ledger->fd_store;
    mend_number(m, &store->present, store->present <= 1, 0, "fd_store.present");
    for (size_t i = 0; i < 2; i++) {
        mend_number(m, &store->lists[i].count, store->lists[i].count <= FD_STORE_MAX, 0, "fd_store.lists.count");
    }
    mend_number(m, &ledger->command_bytes, ledger->command_bytes <= LEDGER_COMMAND_BYTES, 0, "command_bytes");
    ledger->command[LEDGER_COMMAND_BYTES - 1] = '\0'; /* whatever long command line it was */
}

static void mend_descriptors(struct mending *m, struct ledger *ledger)
{
    mend_fd(m, &ledger->keeper_fd, "keeper_fd");
    mend_fd(m, &ledger->ready_fd, "ready_fd");
    mend_fd(m, &ledger->lock_fd, "lock_fd");
    mend_fd(m, &ledger->stderr_fd, "stderr_fd");
    mend_fd(m, &ledger->error_log_fd, "error_log_fd");
    mend_fd(m, &ledger->access_log_fd, "access_log_fd");
    mend_fd(m, &ledger->tally_fd, "tally_fd");
    mend_edition(m, &ledger->present);
    mend_edition(m, &ledger->good);
    mend_fd(m, &ledger->former_program_fd, "former_program_fd");
    bool put_back = ledger->put_back == 0 || (ledger->put_back == 1 && ledger->former_program_fd >= 0);
    mend_number(m, &ledger->put_back, put_back, 0, "put_back");
}

unsigned ledger_mend(struct ledger *ledger, struct instant now, uint64_t now_us)
{
    struct mending m = {.now = now, .now_us = now_us, .slot = -1};
    mend_phase(&m, ledger);
    mend_past(&m, &ledger->started_ms, now.ms, "started_ms");
    mend_past(&m, &ledger->died_us, now_us, "died_us");
    mend_descriptors(&m, ledger);
    mend_generations(&m, ledger);
    mend_listeners(&m, &ledger->listeners, ledger->phase <= PHASE_RUNNING, "listeners.count");
    mend_listeners(&m, &ledger->next_listeners, false, "next_listeners.count");
    mend_rolling(&m, ledger);
    mend_clients(&m, ledger);
    mend_gifts(&m, ledger);
    mend_number(&m, &ledger->orphans, ledger->orphans <= WORKERS_MAX, 0, "orphans");
    mend_names(&m, ledger);
    mend_workers(&m, ledger);
    return m.mended;
}
