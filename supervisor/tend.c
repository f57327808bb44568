/* tend.c — see tend.h. What to do is decided in succession.c; here it is done.
 *
 * Reading order: the acts (one function each), then the reports, then the deaths. The steps of a succession are in
 * contract.h. */
#include "supervisor/tend.h"

#include "supervisor/bury.h"
#include "supervisor/inherit/log.h"
#include "supervisor/reap.h"
#include "supervisor/reload.h"
#include "supervisor/roll.h"
#include "supervisor/spawn.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    RETRY_MS = 100,         /* after the machine had no room for a process or a descriptor */
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

/* ---- channels ---- */

/* True if a process has the other end of FD open. */
static bool is_held(int fd)
{
    struct pollfd other = {.fd = fd, .events = 0};
    return fd >= 0 && poll(&other, 1, 0) == 0;
}

static void order(int fd, enum order_kind kind, const int *fds, size_t count)
{
    struct order message = {.kind = kind};
    /* If it is gone, its death is on its way to us. */
    if (fd >= 0 && channel_send(fd, &message, sizeof message, fds, count) != 0 && errno != EPIPE) {
        log_warn("cannot send an order: %s", strerror(errno));
    }
}

/* ---- keepers that leave ---- */

static void forget_leaving(struct supervisor *s, struct worker_leaving *leaving)
{
    leaving->pid = 0;
    watch_close(s, &leaving->fd);
}

/* A place for one more keeper that leaves. All taken: the first, which had its time, is killed; it is reaped unknown.
 */
static struct worker_leaving *leaving_place(struct supervisor *s, struct worker *w)
{
    for (size_t i = 0; i < WORKER_LEAVING_MAX; i++) {
        if (w->leaving[i].pid == 0) {
            return &w->leaving[i];
        }
    }
    kill(w->leaving[0].pid, SIGKILL);
    forget_leaving(s, &w->leaving[0]);
    return &w->leaving[0];
}

/* Send a keeper away; FD and PID are none afterwards. */
static void dismiss(struct supervisor *s, struct worker *w, int32_t *fd, int32_t *pid)
{
    order(*fd, ORDER_LEAVE, NULL, 0);
    if (!reap_is_ours(*pid)) {
        watch_close(s, fd);
    } else {
        kill(*pid, SIGCONT); /* somebody may have stopped it, and a stopped keeper never leaves */
        struct worker_leaving *leaving = leaving_place(s, w);
        if (*fd >= 0) {
            watch_stop(s, *fd);
        }
        *leaving = (struct worker_leaving){.pid = *pid, .fd = *fd};
    }
    *fd = -1;
    *pid = 0;
}

static void tell_alone(const struct worker *w)
{
    if (w->control_fd >= 0 && w->cause != BIRTH_FRESH && worker_is_alone(w)) {
        order(w->control_fd, ORDER_ALONE, NULL, 0);
    }
}

/* ---- channels of the one on its way ---- */

static void close_next(struct supervisor *s, struct worker *w)
{
    watch_close(s, &w->next_control_fd);
    if (w->next_keeper_fd >= 0) {
        dismiss(s, w, &w->next_keeper_fd, &w->next_keeper_pid);
    }
    w->next_keeper_pid = 0;
}

/* Make the channels of the next incarnation: our ends into W, the others into ENDS (control, keeper). */
static bool open_next(struct supervisor *s, struct worker *w, int ends[2])
{
    int control[2];
    int keeper[2];
    if (channel_pair(control) != 0) {
        return false;
    }
    if (channel_pair(keeper) != 0) {
        close(control[0]);
        close(control[1]);
        return false;
    }
    w->next_control_fd = control[0];
    w->next_keeper_fd = keeper[0];
    ends[0] = control[1];
    ends[1] = keeper[1];
    if (watch_add(s, control[0], EPOLLIN, WATCH_SLOT, w->slot) &&
        watch_add(s, keeper[0], EPOLLIN, WATCH_SLOT, w->slot)) {
        return true;
    }
    close(ends[0]);
    close(ends[1]);
    watch_close(s, &w->next_control_fd);
    watch_close(s, &w->next_keeper_fd);
    return false;
}

static const struct listeners *listeners_of_present(const struct ledger *ledger)
{
    return ledger->rolling == ROLLING_ON ? &ledger->next_listeners : &ledger->listeners;
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
    };
    birth.listeners_count = (uint32_t)listeners_fds(listeners_of_present(ledger), birth.listener_fds);
    return birth;
}

/* ---- cells ---- */

void tend_map_cell(struct supervisor *s, struct worker *w)
{
    if (w->cell_fd >= 0 && cell_map(&s->cells[w->slot], w->cell_fd, w->cell_slots) != 0) {
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
    if (cell_create(&s->cells[w->slot], w->cell_slots) != 0) {
        s->cells[w->slot] = (struct cell){.fd = -1};
        return false;
    }
    w->cell_fd = s->cells[w->slot].fd;
    return true;
}

/* ---- the acts ---- */

static void back_off(struct worker *w, uint64_t delay_ms)
{
    enter(w, WORKER_BACKING_OFF, delay_ms != 0 ? delay_ms : 1);
}

/* Worker and keeper are gone: so are their connections. */
static void mourn(struct supervisor *s, struct worker *w)
{
    uint32_t connections = s->cells[w->slot].header != NULL ? cell_connections(&s->cells[w->slot]) : 0;
    if (w->state != WORKER_STARTING && w->cell_fd >= 0) {
        log_error(
            "worker %u gen %u: its keeper is gone too: %u connections are lost; a fresh worker takes the new ones",
            w->slot, w->generation, connections);
        s->ledger->lost_connections += connections;
    }
    drop_cell(s, w);
}

static bool spawn_fresh(struct supervisor *s, struct worker *w)
{
    int ends[2];
    w->cause = BIRTH_FRESH;
    w->signal = 0;
    w->generation = s->ledger->present.generation;
    if (!make_cell(s, w) || !open_next(s, w, ends)) {
        return false;
    }
    struct birth birth = birth_of(s, w, ends);
    pid_t pid = spawn_worker(&birth, &s->privilege, w->cell_slots);
    int saved = errno;
    close(ends[0]);
    close(ends[1]);
    errno = saved;
    w->pid = pid > 0 ? pid : 0;
    if (pid < 0) {
        close_next(s, w);
    }
    return pid > 0;
}

static bool renew(struct supervisor *s, struct worker *w)
{
    dismiss(s, w, &w->keeper_fd, &w->keeper_pid);
    if (!spawn_fresh(s, w)) {
        log_warn("worker %u: cannot be started now: %s; trying again", w->slot, strerror(errno));
        back_off(w, RETRY_MS);
        return false;
    }
    w->started_ms = now_ms();
    w->killed_late = 0;
    enter(w, WORKER_STARTING, s->settings->ready_timeout_ms);
    return true;
}

/* Order the keeper to fork the successor. Returns 0, or -1 with errno. */
static int order_successor(struct supervisor *s, struct worker *w)
{
    enum { FIXED = 6 };
    int ends[2];
    if (!open_next(s, w, ends)) {
        return -1;
    }
    struct order message = {.kind = ORDER_SUCCEED, .birth = birth_of(s, w, ends)};
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
        close_next(s, w);
    }
    errno = saved;
    return sent;
}

static void succeed(struct supervisor *s, struct worker *w)
{
    w->generation = s->ledger->present.generation;
    w->killed_late = 0;
    if (order_successor(s, w) == 0) {
        if (reap_is_ours(w->keeper_pid)) {
            kill(w->keeper_pid, SIGCONT);
        }
        enter(w, WORKER_SUCCEEDING, s->settings->ready_timeout_ms);
        return;
    }
    if (errno == EPIPE) { /* the keeper has died since; the end of this delay sees it */
        back_off(w, 1);
        return;
    }
    log_warn("worker %u: its keeper cannot be told to fork a successor now: %s; trying again", w->slot,
             strerror(errno));
    back_off(w, RETRY_MS);
}

static void make_keeper(struct supervisor *s, struct worker *w)
{
    int ends[2];
    w->keeper_asked_ms = now_ms();
    dismiss(s, w, &w->keeper_fd, &w->keeper_pid);
    if (channel_pair(ends) != 0) {
        log_warn("worker %u: no channel for a new keeper: %s; trying again", w->slot, strerror(errno));
        return;
    }
    w->keeper_fd = ends[0];
    watch_add(s, ends[0], EPOLLIN, WATCH_SLOT, w->slot);
    order(w->control_fd, ORDER_MAKE_KEEPER, &ends[1], 1);
    close(ends[1]);
}

void tend_stop(struct supervisor *s, struct worker *w)
{
    struct order message = {.kind = ORDER_STOP, .deadline_ms = s->stop_deadline_ms};
    if (channel_send(w->control_fd, &message, sizeof message, NULL, 0) != 0) {
        log_warn("worker %u: cannot be told to stop: %s", w->slot, strerror(errno));
    }
    enter(w, WORKER_STOPPING, 0);
}

static void stand(struct supervisor *s, struct worker *w)
{
    dismiss(s, w, &w->keeper_fd, &w->keeper_pid);
    watch_close(s, &w->control_fd);
    w->control_fd = w->next_control_fd;
    w->keeper_fd = w->next_keeper_fd;
    w->keeper_pid = reap_is_ours(w->next_keeper_pid) ? w->next_keeper_pid : 0;
    w->next_control_fd = w->next_keeper_fd = -1;
    w->next_keeper_pid = 0;
    w->ready_ms = now_ms();
    w->gap_us = w->cause != BIRTH_FRESH ? clock_now_us() - w->died_us : 0;
    w->successions[w->cause < BIRTH_CAUSES ? w->cause : BIRTH_CRASH]++;
    enter(w, WORKER_SERVING, 0);
    bury_tell_succession(w);
    tell_alone(w);
    if (w->keeper_pid == 0) {
        make_keeper(s, w);
    }
    if (s->phase == PHASE_STOPPING) {
        tend_stop(s, w);
    }
}

bool tend_give(struct worker *w, struct worker *heir)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return false;
    }
    log_info("worker %u gen %u: surplus: hands its connections to worker %u", w->slot, w->generation, heir->slot);
    order(heir->control_fd, ORDER_TAKE, &ends[1], 1);
    order(w->control_fd, ORDER_GIVE, &ends[0], 1);
    close(ends[0]);
    close(ends[1]);
    w->heir = (int32_t)heir->slot;
    enter(w, WORKER_GIVING, 0);
    return true;
}

void tend_reopen(const struct supervisor *s, const struct worker *w)
{
    const int fds[2] = {s->ledger->access_log_fd, s->ledger->error_log_fd};
    order(w->control_fd, ORDER_REOPEN, fds, 2);
    order(w->next_control_fd, ORDER_REOPEN, fds, 2); /* it reads this once it is ready */
}

/* Empty the slot once nobody of it is left. */
static void end_if_alone(struct supervisor *s, struct worker *w)
{
    if (w->state != WORKER_ENDING || w->pid != 0 || !worker_is_alone(w)) {
        return;
    }
    drop_cell(s, w);
    enter(w, WORKER_EMPTY, 0);
    worker_clear(w);
    workers_trim(&s->ledger->workers);
}

static void end(struct supervisor *s, struct worker *w)
{
    watch_close(s, &w->control_fd);
    close_next(s, w);
    dismiss(s, w, &w->keeper_fd, &w->keeper_pid);
    enter(w, WORKER_ENDING, ENDING_PATIENCE_MS);
    end_if_alone(s, w);
}

static void kill_ours(int32_t pid)
{
    if (reap_is_ours(pid)) {
        kill(pid, SIGKILL);
    }
}

void tend_kill(struct supervisor *s, struct worker *w)
{
    kill_ours(w->pid);
    kill_ours(w->keeper_pid);
    kill_ours(w->next_keeper_pid);
    for (size_t i = 0; i < WORKER_LEAVING_MAX; i++) {
        kill_ours(w->leaving[i].pid);
    }
    if (w->pid == 0 && w->state != WORKER_EMPTY && w->state != WORKER_ENDING) {
        end(s, w);
    }
}

static void kill_keepers(struct worker *w)
{
    log_warn("worker %u gen %u: its keeper does not do what it is told: killed", w->slot, w->generation);
    kill_ours(w->keeper_pid);
    for (size_t i = 0; i < WORKER_LEAVING_MAX; i++) {
        kill_ours(w->leaving[i].pid);
    }
    w->deadline_ms = now_ms() + ENDING_PATIENCE_MS;
}

static void shoot(struct worker *w)
{
    log_error("worker %u gen %u: hung: no turn for %llu ms: killed", w->slot, w->generation,
              (unsigned long long)(now_ms() - w->beat_ms));
    kill_ours(w->pid);
    if (w->state != WORKER_SHOT) {
        worker_enter(w, WORKER_SHOT, now_ms());
    }
    w->deadline_ms = now_ms() + ENDING_PATIENCE_MS;
}

static void worker_died(struct supervisor *s, struct worker *w, int status);

static void kill_late(struct supervisor *s, struct worker *w)
{
    log_error("worker %u gen %u: not ready within ready_timeout: killed", w->slot, w->generation);
    w->killed_late = 1;
    w->deadline_ms = now_ms() + ENDING_PATIENCE_MS;
    if (w->pid != 0) {
        kill_ours(w->pid);
    } else {
        worker_died(s, w, SIGKILL); /* its keeper died between forking it and saying its pid, and it never spoke */
    }
}

/* SUCCEED or RENEW, at once or after a delay. */
static void replace(struct supervisor *s, struct worker *w, struct succession_step step)
{
    if (step.act == ACT_RENEW) {
        mourn(s, w);
    }
    if (step.delay_ms != 0) {
        back_off(w, step.delay_ms);
    } else if (step.act == ACT_RENEW) {
        renew(s, w);
    } else {
        succeed(s, w);
    }
}

static void act(struct supervisor *s, struct worker *w, struct succession_step step)
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

static struct succession_facts facts_of(const struct supervisor *s, const struct worker *w)
{
    return (struct succession_facts){
        .keeper_holds = is_held(w->keeper_fd),
        .successor_holds = is_held(w->next_control_fd),
        .ending = s->phase == PHASE_ENDING || s->failed,
    };
}

void tend_event(struct supervisor *s, struct worker *w, enum succession_event event)
{
    struct succession_facts facts = facts_of(s, w);
    act(s, w, succession_decide(w, event, &facts));
}

bool tend_start(struct supervisor *s, struct worker *w)
{
    return renew(s, w);
}

void tend_retire(struct supervisor *s, struct worker *w, enum birth_cause cause)
{
    struct order message = {.kind = ORDER_RETIRE};
    if (channel_send(w->control_fd, &message, sizeof message, NULL, 0) != 0) {
        return; /* it stays as it is, and is told again in the next turn */
    }
    w->retire_cause = cause;
    enter(w, WORKER_RETIRING, s->settings->hang_timeout_ms);
}

/* ---- reports ---- */

static bool take_stranger(struct supervisor *s, pid_t pid, int *status)
{
    for (size_t i = 0; i < STRANGERS_MAX; i++) {
        if (s->strangers[i].pid == pid) {
            *status = s->strangers[i].status;
            s->strangers[i].pid = 0;
            return true;
        }
    }
    return false;
}

static void hear_forked(struct supervisor *s, struct worker *w, pid_t pid)
{
    int status;
    if (w->state != WORKER_SUCCEEDING) {
        return;
    }
    tend_event(s, w, EVENT_FORKED);
    if (reap_is_ours(pid)) {
        w->pid = pid;
    } else if (take_stranger(s, pid, &status)) {
        w->pid = pid;
        worker_died(s, w, status);
    }
}

static void hear_ready(struct supervisor *s, struct worker *w, const struct report *report, pid_t sender)
{
    if (w->pid == 0 && reap_is_ours(sender)) {
        w->pid = sender; /* its keeper did not live to tell us */
    }
    if (sender != w->pid) {
        log_warn("worker %u: a report of readiness from pid %d, which is not it, is ignored", w->slot, sender);
        return;
    }
    w->next_keeper_pid = report->pid;
    w->adopted = report->adopted;
    w->dropped = report->dropped;
    if (w->state == WORKER_SUCCEEDING) {
        tend_event(s, w, EVENT_FORKED); /* the worker was faster than its keeper's report */
    }
    tend_event(s, w, EVENT_READY);
}

static void hear_cannot(struct supervisor *s, struct worker *w, const struct report *report)
{
    log_error("worker %u gen %u: cannot serve: %s", w->slot, w->generation, report->text);
    snprintf(s->said, sizeof s->said, "%s", report->text);
}

static void hear_not_forked(struct supervisor *s, struct worker *w, const struct report *report)
{
    log_warn("keeper %u: cannot fork a successor: %s; trying again", w->slot, strerror(report->error));
    if (w->state == WORKER_SUCCEEDING) {
        close_next(s, w);
    }
    tend_event(s, w, EVENT_NOT_FORKED);
}

static void hear(struct supervisor *s, struct worker *w, const struct report *report, pid_t sender, bool from_next)
{
    switch ((enum report_kind)report->kind) {
    case REPORT_READY:
        if (from_next) {
            hear_ready(s, w, report, sender);
        }
        return;
    case REPORT_CANNOT:
        hear_cannot(s, w, report);
        return;
    case REPORT_KEEPER_MADE:
        /* Good news comes from the keeper itself. */
        if (report->pid <= 0) {
            log_warn("worker %u: cannot make a keeper: %s; trying again", w->slot, strerror(report->error));
        }
        return;
    case REPORT_KEEPER:
        if (from_next) {
            w->next_keeper_pid = reap_is_ours(sender) ? sender : 0;
        } else if (reap_is_ours(sender)) {
            w->keeper_pid = sender;
        }
        return;
    case REPORT_FORKED:
        hear_forked(s, w, report->pid);
        return;
    case REPORT_NOT_FORKED:
        hear_not_forked(s, w, report);
        return;
    }
    log_warn("worker %u: a report that makes no sense is ignored", w->slot);
}

/* One message from *FD. Returns true if there was one. A report may change W's descriptors, *FD among them. */
static bool hear_one(struct supervisor *s, struct worker *w, const int32_t *fd, bool from_next)
{
    struct report report;
    pid_t sender;
    if (*fd < 0) {
        return false;
    }
    int got = channel_receive(*fd, &report, sizeof report, NULL, NULL, &sender);
    if (got > 0) {
        report.text[sizeof report.text - 1] = '\0';
        hear(s, w, &report, sender, from_next);
        return true;
    }
    if (got == 0 || (errno != EAGAIN && errno != EBADMSG)) {
        watch_stop(s, *fd); /* nobody holds the other end; what follows from that, reaping tells */
        if (fd == &w->keeper_fd && w->state == WORKER_SUCCEEDING) {
            tend_event(s, w, EVENT_KEEPER_DIED);
        }
    }
    return got < 0 && errno == EBADMSG;
}

void tend_hear(struct supervisor *s, struct worker *w)
{
    bool more = true;
    while (more) {
        more = hear_one(s, w, &w->control_fd, false);
        more |= hear_one(s, w, &w->keeper_fd, false);
        more |= hear_one(s, w, &w->next_keeper_fd, true);
        more |= hear_one(s, w, &w->next_control_fd, true);
    }
}

/* ---- deaths ---- */

/* W is dead: who keeps its connections now? If it was only on its way, that is its predecessor's keeper; its own one,
 * which has the very same descriptors, only if that is dead. */
static void settle_keeper(struct supervisor *s, struct worker *w)
{
    if (w->state != WORKER_ADOPTING || is_held(w->keeper_fd) || !is_held(w->next_keeper_fd)) {
        close_next(s, w);
        return;
    }
    dismiss(s, w, &w->keeper_fd, &w->keeper_pid);
    w->keeper_fd = w->next_keeper_fd;
    w->keeper_pid = w->next_keeper_pid;
    w->next_keeper_fd = -1;
    w->next_keeper_pid = 0;
    watch_close(s, &w->next_control_fd);
}

static void worker_died(struct supervisor *s, struct worker *w, int status)
{
    struct succession_death death = reap_death(status, &s->ledger->oom_kills);
    bool was_ready = w->state != WORKER_STARTING && w->state != WORKER_ADOPTING;
    int64_t lived_ms = was_ready ? (int64_t)(now_ms() - w->ready_ms) : -1;
    enum birth_cause cause = succession_cause(w, &death);
    enum backoff_death blame = succession_blame(cause, w, &death);
    if (was_ready) {
        w->died_us = clock_now_us();
        w->signal = death.signal;
    }
    bury(s, w, &death, cause, was_ready);
    w->pid = 0;
    w->cause = cause;
    watch_close(s, &w->control_fd);
    settle_keeper(s, w);
    roll_death(s, w, blame, lived_ms, &death);
    struct succession_facts facts = facts_of(s, w);
    facts.death = death;
    facts.delay_ms = backoff_after(&w->backoff, blame, lived_ms);
    if (facts.delay_ms != 0 && !facts.ending) {
        log_warn("worker %u gen %u: cannot live long (%u times in a row): waiting %u ms before the next", w->slot,
                 w->generation, w->backoff.crashes, facts.delay_ms);
    }
    act(s, w, succession_decide(w, EVENT_DIED, &facts));
}

static void keeper_died(struct supervisor *s, struct worker *w)
{
    w->keeper_pid = 0;
    if (w->state == WORKER_SERVING && s->phase != PHASE_ENDING) {
        log_warn("keeper %u: died; worker %u makes another", w->slot, w->slot);
    }
    tend_event(s, w, EVENT_KEEPER_DIED);
    end_if_alone(s, w);
}

static void leaving_left(struct supervisor *s, struct worker *w, pid_t pid)
{
    for (size_t i = 0; i < WORKER_LEAVING_MAX; i++) {
        if (w->leaving[i].pid == pid) {
            forget_leaving(s, &w->leaving[i]);
        }
    }
    tell_alone(w);
    end_if_alone(s, w);
}

static void hear_all(struct supervisor *s)
{
    for (uint32_t i = 0; i < s->ledger->workers.count; i++) {
        tend_hear(s, &s->ledger->workers.all[i]);
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
        tend_hear(s, w);
    } else {
        hear_all(s);
    }
    return workers_find(&s->ledger->workers, pid, role);
}

static void died(struct supervisor *s, pid_t pid)
{
    enum worker_role role;
    int status;
    struct worker *w = find_dead(s, pid, &role);
    if (!reap(pid, &status)) {
        return;
    }
    switch (role) {
    case ROLE_NOBODY:
        remember_stranger(s, pid, status);
        return;
    case ROLE_WORKER:
        worker_died(s, w, status);
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

bool tend_reap(struct supervisor *s)
{
    for (;;) {
        pid_t pid = reap_peek();
        if (pid <= 0) {
            return pid == 0;
        }
        if (!reload_reaps(s, pid)) {
            died(s, pid);
        }
    }
}

/* ---- time ---- */

/* A worker that could not make a keeper is asked again. */
static void ask_for_keeper(struct supervisor *s, struct worker *w, uint64_t now)
{
    bool runs = w->state == WORKER_SERVING || w->state == WORKER_GIVING || w->state == WORKER_STOPPING;
    if (runs && w->keeper_pid == 0 && s->phase != PHASE_ENDING && now >= w->keeper_asked_ms + KEEPER_RETRY_MS) {
        make_keeper(s, w);
    }
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
        ask_for_keeper(s, w, now);
        if (w->deadline_ms != 0 && w->deadline_ms < nearest) {
            nearest = w->deadline_ms;
        }
    }
    return nearest;
}
