/* tend.c — see tend.h. What to do is decided in succession.c; here it is done, one function for each act. The steps of
 * a succession are in contract.h.
 *
 * The state is entered before the order goes out that it waits for: if this process dies between the two, its successor
 * finds the state in the ledger, and asks (takeover.c). The other way round it would not know that an order is out. */
#include "supervisor/tend.h"

#include "supervisor/bury.h"
#include "supervisor/channels.h"
#include "supervisor/deaths.h"
#include "supervisor/door.h"
#include "supervisor/fd_store.h"
#include "supervisor/inherit/log.h"
#include "supervisor/inherit/tally.h"
#include "supervisor/reap.h"
#include "supervisor/spawn.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    RETRY_MS = 100, /* after the machine had no room for a process or a descriptor */
    WARN_AGAIN_MS = 60 * 1000,
    KEEPER_RETRY_MS = 1000, /* after a worker could not make a keeper */
    ENDING_PATIENCE_MS = 5000,
};

static uint64_t now_ms(void)
{
    return clock_now().ms;
}

/* Enter STATE and be patient with it for PATIENCE_MS; 0: for ever. */
static void enter(struct worker *w, enum worker_state state, uint64_t patience_ms)
{
    uint64_t now = now_ms();
    worker_enter(w, state, now);
    w->deadline_ms = patience_ms != 0 ? now + patience_ms : 0;
}

/* ---- births ---- */

static const struct listeners *listeners_for(const struct ledger *ledger, const struct worker *w)
{
    bool is_next = ledger->rolling == ROLLING_ON && ledger_can_adopt(ledger, w);
    return is_next ? &ledger->next_listeners : &ledger->listeners;
}

/* What the next one in W's slot is born with, under our numbers. */
static struct birth birth_of(const struct supervisor *s, const struct worker *w, const int ends[2])
{
    const struct ledger *ledger = s->ledger;
    struct birth birth = {
        .version = CONTRACT_VERSION,
        .slot = w->slot,
        .generation = w->generation,
        .cause = w->cause,
        .signal = w->signal,
        .syslog = ledger->error_log_is_syslog,
        .error_log_fd = ledger->error_log_fd,
        .control_fd = ends[0],
        .keeper_fd = ends[1],
        .snapshot_fd = ledger->present.snapshot_fd,
        .access_log_fd = ledger->access_log_fd,
        .program_fd = ledger->present.program_fd,
        .cell_fd = w->cell_fd,
        .epoll_fd = -1,
        .door_fd = -1,
        .ledger_fd = -1,
        .handed_fd = -1,
        .tally_fd = -1,
    };
    birth.listeners_count = (uint32_t)listeners_fds(listeners_for(ledger, w), birth.listener_fds);
    return birth;
}

/* ---- cells ---- */

void tend_map_cell(struct supervisor *s, struct worker *w)
{
    if (w->cell_fd >= 0 && cell_look(&s->cells[w->slot], w->cell_fd) != 0) {
        log_warn("worker %u: its cell cannot be looked at: %s", w->slot, strerror(errno));
    }
}

static void drop_cell(struct supervisor *s, struct worker *w)
{
    cell_unmap(&s->cells[w->slot]);
    close_fd(&w->cell_fd);
}

static bool make_cell(struct supervisor *s, struct worker *w)
{
    drop_cell(s, w);
    w->cell_slots = spawn_descriptors(s->settings->connections);
    w->cell_fd = cell_create(w->cell_slots);
    if (w->cell_fd < 0 || cell_look(&s->cells[w->slot], w->cell_fd) != 0) {
        return false;
    }
    fd_store_add(s, w->cell_fd);
    return true;
}

/* ---- the acts ---- */

/* The machine has no room for a birth, and is asked some times a second: it is said once, and then once a minute. */
static void warn_of_births(const struct worker *w, const char *what, int error)
{
    static uint64_t quiet_until_ms[WORKERS_MAX];
    uint64_t now = now_ms();
    if (now >= quiet_until_ms[w->slot % WORKERS_MAX]) {
        log_warn("worker %u: %s: %s; trying again", w->slot, what, strerror(error));
        quiet_until_ms[w->slot % WORKERS_MAX] = now + WARN_AGAIN_MS;
    }
}

static void back_off(struct worker *w, uint64_t delay_ms)
{
    enter(w, WORKER_BACKING_OFF, delay_ms != 0 ? delay_ms : 1);
}

/* Worker and keeper are gone: so are their connections. */
void tend_mourn(struct supervisor *s, struct worker *w)
{
    uint32_t connections = s->cells[w->slot].header != NULL ? cell_connections(&s->cells[w->slot]) : 0;
    connections = connections < w->cell_slots ? connections : w->cell_slots; /* who wrote it may have been mad */
    if (w->state != WORKER_STARTING && w->cell_fd >= 0) {
        log_error("worker %u gen %u: its keeper is gone too: %u connections are lost", w->slot, w->generation,
                  connections);
        s->ledger->lost_connections += connections;
    }
    tally_forget(s->ledger->tally_fd, w->slot);
    drop_cell(s, w);
}

/* What a fresh worker is given, and its successors inherit of it, so that it can outlive the supervisor and its keeper.
 * It can be done without. `perdure serve` has a run directory that nobody will look into again. */
static void open_door(const struct supervisor *s, const struct worker *w, struct birth *birth)
{
    if (s->ledger->config_is_text != 0) {
        return;
    }
    birth->ledger_fd = ledger_reader(s->ledger_fd);
    birth->door_fd = birth->ledger_fd >= 0 ? door_make(s->ledger->run_dir, w->slot) : -1;
    if (birth->door_fd < 0) {
        log_warn("worker %u: has no door, and will stop if the supervisor and its keeper are killed at once: %s",
                 w->slot, strerror(errno));
    }
}

/* Made when it is first needed, and again if it was lost: who has the one before counts by that. */
static int tally(struct supervisor *s)
{
    int32_t *fd = &s->ledger->tally_fd;
    if (*fd < 0) {
        *fd = tally_create();
        if (*fd < 0) {
            log_warn("addresses are not limited: no tally can be made: %s", strerror(errno));
            return -1;
        }
        fd_store_add(s, *fd);
    }
    return *fd;
}

static bool spawn_fresh(struct supervisor *s, struct worker *w)
{
    int ends[2];
    w->cause = BIRTH_FRESH;
    w->signal = 0;
    w->generation = s->ledger->present.generation;
    w->layout = s->ledger->present.layout;
    if (!make_cell(s, w) || !channels_open_next(s, w, ends)) {
        return false;
    }
    struct birth birth = birth_of(s, w, ends);
    open_door(s, w, &birth);
    birth.tally_fd = tally(s);
    pid_t pid = spawn_worker(&birth, &s->privilege, w->cell_slots);
    int saved = errno;
    close_fd(&birth.door_fd);
    close_fd(&birth.ledger_fd);
    close(ends[0]);
    close(ends[1]);
    errno = saved;
    w->pid = pid > 0 ? pid : 0;
    if (pid < 0) {
        channels_close_next(s, w);
        errno = saved;
    }
    return pid > 0;
}

static bool renew(struct supervisor *s, struct worker *w)
{
    channels_dismiss(s, w, &w->keeper_fd, &w->keeper_pid);
    w->pid = 0;
    w->started_ms = now_ms();
    w->killed_late = w->woken = w->stopped = 0;
    enter(w, WORKER_STARTING, s->settings->ready_timeout_ms);
    if (!spawn_fresh(s, w)) {
        warn_of_births(w, "cannot be started now", errno);
        drop_cell(s, w); /* it was nobody's: nothing is lost with it */
        back_off(w, RETRY_MS);
        return false;
    }
    return true;
}

/* A worker that somebody stopped (SIGSTOP) wakes up by this, and nothing else comes of it. */
static void wake(const struct worker *w)
{
    pid_t pid = w->parked_pid != 0 ? w->parked_pid : w->pid;
    reap_signal(pid, SIGCONT);
}

static void make_keeper(struct supervisor *s, struct worker *w)
{
    int ends[2];
    w->keeper_asked_ms = now_ms();
    channels_dismiss(s, w, &w->keeper_fd, &w->keeper_pid);
    if (channel_pair(ends) != 0) {
        log_warn("worker %u: no channel for a new keeper: %s; trying again", w->slot, strerror(errno));
        return;
    }
    w->keeper_fd = ends[0];
    watch_add(s, ends[0], EPOLLIN, WATCH_SLOT, w->slot);
    channels_order(w->control_fd, ORDER_MAKE_KEEPER, &ends[1], 1);
    close(ends[1]);
    wake(w);
}

/* One that was asked for a moment ago may be on its way: a second would read from the same channel. */
static void ask_for_keeper(struct supervisor *s, struct worker *w)
{
    if (now_ms() >= w->keeper_asked_ms + KEEPER_RETRY_MS) {
        make_keeper(s, w);
    }
}

/* Order the keeper to fork the successor. Returns 0, or -1 with errno. */
static int order_successor(struct supervisor *s, struct worker *w)
{
    enum { FIXED = 6 };
    int ends[2];
    if (!channels_open_next(s, w, ends)) {
        return -1;
    }
    struct order message = {.kind = ORDER_SUCCEED, .birth = birth_of(s, w, ends)};
    message.own_edition = !ledger_can_adopt(s->ledger, w);
    int fds[CONTRACT_FDS_MAX] = {
        ends[0],
        ends[1],
        message.birth.snapshot_fd,
        message.birth.access_log_fd,
        message.birth.program_fd,
        message.birth.error_log_fd,
    };
    memcpy(fds + FIXED, message.birth.listener_fds, sizeof(int) * message.birth.listeners_count);
    int sent = channel_send(w->keeper_fd, &message, sizeof message, fds, FIXED + message.birth.listeners_count);
    int saved = errno;
    close(ends[0]);
    close(ends[1]);
    if (sent != 0) {
        channels_close_next(s, w);
    }
    errno = saved;
    return sent;
}

/* The keeper is as confined as the worker that made it, and cannot exec: it hands down to a successor that we fork.
 * Returns 0, or -1 with errno. */
static int hand_down(struct supervisor *s, struct worker *w)
{
    int ends[2];
    int hands[2];
    const struct order message = {.kind = ORDER_HAND_DOWN, .own_edition = !ledger_can_adopt(s->ledger, w)};
    if (channel_pair(hands) != 0) {
        return -1;
    }
    pid_t pid = -1;
    if (channels_open_next(s, w, ends)) {
        struct birth birth = birth_of(s, w, ends);
        birth.cell_fd = -1;
        birth.handed_fd = hands[1];
        if (message.own_edition != 0) {
            birth.program_fd = -1;
        }
        if (channel_send(w->keeper_fd, &message, sizeof message, &hands[0], 1) == 0) {
            /* It lowers that itself to what its cell says. */
            uint32_t descriptors = spawn_descriptors(s->settings->connections);
            pid = spawn_worker(&birth, &s->privilege, descriptors > w->cell_slots ? descriptors : w->cell_slots);
        }
        int saved = errno;
        close(ends[0]);
        close(ends[1]);
        errno = saved;
    }
    int saved = errno;
    close(hands[0]);
    close(hands[1]);
    errno = saved;
    if (pid < 0) {
        channels_close_next(s, w);
        errno = saved;
        return -1;
    }
    tend_event(s, w, EVENT_FORKED);
    w->pid = pid;
    return 0;
}

static void succeed(struct supervisor *s, struct worker *w)
{
    w->generation = ledger_can_adopt(s->ledger, w) ? s->ledger->present.generation : w->generation;
    w->cause = w->cause != BIRTH_FRESH ? w->cause : BIRTH_KILLED; /* of a sick ledger: a fresh one adopts nothing */
    w->killed_late = w->woken = w->stopped = 0;
    channels_close_next(s, w);
    enter(w, WORKER_SUCCEEDING, s->settings->ready_timeout_ms);
    if (w->parked_pid != 0 && w->keeper_pid == 0) {
        ask_for_keeper(s, w); /* it gets its order when it stands */
        return;
    }
    if (((w->keeper_confined & CONFINED_FOR_EVER) != 0 ? hand_down(s, w) : order_successor(s, w)) == 0) {
        reap_signal(w->keeper_pid, SIGCONT);
        return;
    }
    if (errno == EPIPE) { /* the keeper has died since; the end of this delay sees it */
        back_off(w, 1);
        return;
    }
    warn_of_births(w, "its keeper cannot be told to fork a successor now", errno);
    back_off(w, RETRY_MS);
}

void tend_tell_stop(const struct supervisor *s, const struct worker *w)
{
    uint64_t alone_ms = w->give_until_ms + s->settings->stop_timeout_ms;
    uint64_t deadline_ms = s->phase == PHASE_STOPPING ? s->ledger->stop_deadline_ms : alone_ms;
    struct order message = {.kind = ORDER_STOP, .deadline_ms = deadline_ms};
    if (channel_send(w->control_fd, &message, sizeof message, NULL, 0) != 0) {
        log_warn("worker %u: cannot be told to stop: %s", w->slot, strerror(errno));
    }
}

void tend_stop(const struct supervisor *s, struct worker *w)
{
    if (w->state != WORKER_STOPPING) {
        enter(w, WORKER_STOPPING, 0);
    }
    tend_tell_stop(s, w);
}

/* Its clients have had stop_timeout to come to an end of what they were in the middle of; now it is as at a stop. */
static void stop_giving(const struct supervisor *s, struct worker *w)
{
    log_info("worker %u gen %u: still has connections after stop_timeout: stopping", w->slot, w->generation);
    tend_stop(s, w);
}

void tend_limit_giving(const struct supervisor *s, struct worker *w)
{
    if (ledger_can_adopt(s->ledger, w)) {
        w->give_until_ms = w->deadline_ms = 0;
        return;
    }
    if (w->give_until_ms == 0) {
        w->give_until_ms = now_ms() + s->settings->stop_timeout_ms;
    }
    w->deadline_ms = w->give_until_ms;
}

/* What a fresh worker laid out itself, before it served anybody, is the truth about its program. */
static void note_layout(struct supervisor *s, struct worker *w)
{
    if (w->cause == BIRTH_FRESH && s->cells[w->slot].header != NULL) {
        w->layout = cell_layout(&s->cells[w->slot]);
        if (w->generation == s->ledger->present.generation) {
            s->ledger->present.layout = w->layout;
        }
    }
}

/* Who kept the connections until now may go. */
static void dismiss_predecessor(struct supervisor *s, struct worker *w)
{
    channels_dismiss(s, w, &w->keeper_fd, &w->keeper_pid);
    channels_dismiss(s, w, &w->control_fd, &w->parked_pid);
}

static void stand(struct supervisor *s, struct worker *w)
{
    dismiss_predecessor(s, w);
    w->control_fd = w->next_control_fd;
    w->keeper_fd = w->next_keeper_fd;
    w->keeper_pid = reap_is_ours(w->next_keeper_pid) ? w->next_keeper_pid : 0;
    w->keeper_confined = w->confined & CONFINED_RIGHTS; /* it was made before the rest */
    w->ready_ms = now_ms();
    w->gap_us = w->cause != BIRTH_FRESH ? clock_now_us() - w->died_us : 0;
    note_layout(s, w);
    enter(w, WORKER_SERVING, 0);
    w->next_control_fd = w->next_keeper_fd = -1;
    w->next_keeper_pid = 0;
    w->successions[w->cause < BIRTH_CAUSES ? w->cause : BIRTH_CRASH]++;
    bury_tell_succession(w);
    channels_tell_alone(w);
    if (w->keeper_pid == 0) {
        make_keeper(s, w);
    }
    if (s->phase == PHASE_STOPPING) {
        tend_stop(s, w);
    }
}

void tend_give(struct worker *w, const struct worker *heir, int giving_fd)
{
    log_info("worker %u gen %u: surplus: hands its connections to worker %u", w->slot, w->generation, heir->slot);
    channels_order(w->control_fd, ORDER_GIVE, &giving_fd, 1);
    w->heir = (int32_t)heir->slot;
    enter(w, WORKER_GIVING, 0);
}

void tend_take(const struct worker *heir, int taking_fd)
{
    channels_order(heir->control_fd, ORDER_TAKE, &taking_fd, 1);
}

void tend_reopen(const struct supervisor *s, const struct worker *w)
{
    const int fds[2] = {s->ledger->access_log_fd, s->ledger->error_log_fd};
    channels_order(w->control_fd, ORDER_REOPEN, fds, 2);
    channels_order(w->next_control_fd, ORDER_REOPEN, fds, 2); /* it reads this once it is ready */
}

/* Empty the slot once nobody of it is left. */
void tend_end_if_alone(struct supervisor *s, struct worker *w)
{
    if (w->state != WORKER_ENDING || w->pid != 0 || !worker_is_alone(w)) {
        return;
    }
    drop_cell(s, w);
    door_remove(s->ledger->run_dir, w->slot);
    enter(w, WORKER_EMPTY, 0);
    worker_clear(w);
    workers_trim(&s->ledger->workers);
}

static void end(struct supervisor *s, struct worker *w)
{
    channels_close_next(s, w);
    dismiss_predecessor(s, w);
    enter(w, WORKER_ENDING, ENDING_PATIENCE_MS);
    tend_end_if_alone(s, w);
}

void tend_kill(struct supervisor *s, struct worker *w)
{
    reap_signal(w->pid, SIGKILL);
    reap_signal(w->parked_pid, SIGKILL);
    reap_signal(w->keeper_pid, SIGKILL);
    reap_signal(w->next_keeper_pid, SIGKILL);
    for (size_t i = 0; i < WORKER_LEAVING_MAX; i++) {
        reap_signal(w->leaving[i].pid, SIGKILL);
    }
    if (w->pid == 0 && w->state != WORKER_EMPTY && w->state != WORKER_ENDING) {
        end(s, w);
    }
}

static void kill_keepers(struct worker *w)
{
    log_warn("worker %u gen %u: its keeper does not do what it is told: killed", w->slot, w->generation);
    reap_signal(w->keeper_pid, SIGKILL);
    for (size_t i = 0; i < WORKER_LEAVING_MAX; i++) {
        reap_signal(w->leaving[i].pid, SIGKILL);
    }
    w->deadline_ms = now_ms() + ENDING_PATIENCE_MS;
}

static void shoot(struct worker *w)
{
    unsigned long long silent_ms = (unsigned long long)(now_ms() - w->beat_ms);
    if (w->keeper_pid == 0 && w->state != WORKER_SHOT && w->woken == 0) {
        /* Nobody would keep its connections: it gets a chance to make a keeper first. */
        log_error("worker %u gen %u: hung: no turn for %llu ms, and no keeper: woken", w->slot, w->generation,
                  silent_ms);
        w->woken = 1;
        wake(w);
        return;
    }
    w->stopped = reap_is_stopped(w->pid);
    log_error("worker %u gen %u: hung%s: no turn for %llu ms: killed", w->slot, w->generation,
              w->stopped != 0 ? ", because somebody stopped it" : "", silent_ms);
    reap_signal(w->pid, SIGKILL);
    if (w->state != WORKER_SHOT) {
        worker_enter(w, WORKER_SHOT, now_ms());
    }
    w->deadline_ms = now_ms() + ENDING_PATIENCE_MS;
}

static void kill_late(struct supervisor *s, struct worker *w)
{
    log_error("worker %u gen %u: not ready within ready_timeout: killed", w->slot, w->generation);
    w->killed_late = 1;
    w->deadline_ms = now_ms() + ENDING_PATIENCE_MS;
    if (w->pid != 0) {
        reap_signal(w->pid, SIGKILL);
    } else {
        deaths_worker(s, w, SIGKILL); /* its keeper died between forking it and saying its pid, and it never spoke */
    }
}

/* SUCCEED or RENEW, at once or after a delay. */
static void replace(struct supervisor *s, struct worker *w, struct succession_step step)
{
    if (step.act == ACT_RENEW) {
        tend_mourn(s, w);
    }
    if (w->state == WORKER_STARTING && workers_active(&s->ledger->workers) > s->ledger->workers.wanted) {
        end(s, w); /* it was to take the place of one that is still there: roll.c sees to it, or has given it up */
        return;
    }
    if (step.delay_ms != 0) {
        back_off(w, step.delay_ms);
    } else if (step.act == ACT_RENEW) {
        renew(s, w);
    } else {
        succeed(s, w);
    }
}

void tend_act(struct supervisor *s, struct worker *w, struct succession_step step)
{
    switch (step.act) {
    case ACT_NOTHING:
        return;
    case ACT_STAND:
        stand(s, w);
        return;
    case ACT_AWAIT:
        w->started_ms = now_ms();
        enter(w, WORKER_ADOPTING, s->settings->ready_timeout_ms);
        return;
    case ACT_SUCCEED:
    case ACT_RENEW:
        replace(s, w, step);
        return;
    case ACT_MAKE_KEEPER:
        make_keeper(s, w);
        return;
    case ACT_STOP:
        stop_giving(s, w);
        return;
    case ACT_SHOOT:
        shoot(w);
        return;
    case ACT_KILL:
        kill_late(s, w);
        return;
    case ACT_KILL_KEEPER:
        kill_keepers(w);
        return;
    case ACT_END:
        end(s, w);
        return;
    }
}

struct succession_facts tend_facts(const struct supervisor *s, const struct worker *w)
{
    return (struct succession_facts){
        .keeper_holds = channels_is_held(w->keeper_fd),
        .successor_holds = channels_is_held(w->next_control_fd),
        .ending = s->phase == PHASE_ENDING || s->failed,
    };
}

void tend_event(struct supervisor *s, struct worker *w, enum succession_event event)
{
    struct succession_facts facts = tend_facts(s, w);
    tend_act(s, w, succession_decide(w, event, &facts));
}

bool tend_start(struct supervisor *s, struct worker *w)
{
    return renew(s, w);
}

void tend_retire(struct supervisor *s, struct worker *w, enum birth_cause cause)
{
    struct order message = {.kind = ORDER_RETIRE};
    if (!reap_is_ours(w->keeper_pid)) {
        return; /* nobody would hold its connections: it is told in a later turn, when it has a keeper again */
    }
    enum worker_state before = (enum worker_state)w->state;
    w->retire_cause = cause;
    enter(w, WORKER_RETIRING, s->settings->hang_timeout_ms);
    if (channel_send(w->control_fd, &message, sizeof message, NULL, 0) != 0) {
        enter(w, before, 0); /* it is told again in the next turn */
    }
}

/* ---- time ---- */

/* A worker that could not make a keeper is asked again. */
static bool needs_keeper(const struct supervisor *s, const struct worker *w)
{
    bool runs = w->state == WORKER_SERVING || w->state == WORKER_GIVING || w->state == WORKER_STOPPING;
    bool is_awaited = w->state == WORKER_SUCCEEDING && w->parked_pid != 0;
    return (runs || is_awaited) && w->keeper_pid == 0 && s->phase != PHASE_ENDING;
}

uint64_t tend_clock(struct supervisor *s)
{
    uint64_t now = now_ms();
    uint64_t nearest = UINT64_MAX;
    for (uint32_t i = 0; i < s->ledger->workers.count; i++) {
        struct worker *w = &s->ledger->workers.all[i];
        if (w->deadline_ms != 0 && now >= w->deadline_ms) {
            tend_event(s, w, EVENT_PATIENCE);
        }
        if (needs_keeper(s, w)) {
            ask_for_keeper(s, w);
        }
        if (w->deadline_ms != 0 && w->deadline_ms < nearest) {
            nearest = w->deadline_ms;
        }
    }
    return nearest;
}
