/* hear.c — see hear.h. A report is believed only about its sender, whose pid the kernel tells. */
#include "supervisor/hear.h"

#include "supervisor/channels.h"
#include "supervisor/deaths.h"
#include "supervisor/inherit/log.h"
#include "supervisor/reap.h"
#include "supervisor/tend.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

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
    if (w->state == WORKER_ADOPTING && w->pid == 0 && reap_is_ours(pid)) {
        w->pid = pid; /* that it is there, we knew by its channel */
    }
    if (w->state != WORKER_SUCCEEDING) {
        return;
    }
    tend_event(s, w, EVENT_FORKED);
    w->pid = pid;
    if (take_stranger(s, pid, &status)) {
        deaths_worker(s, w, status);
    } else {
        deaths_miss(s, pid);
    }
}

/* A kernel, a container or a build with sanitizers may be without. */
static void warn_if_free(struct ledger *ledger, const struct worker *w)
{
    const char *landlock = (w->confined >> CONFINED_LANDLOCK_SHIFT) != 0 ? "" : " landlock";
    const char *seccomp = (w->confined & CONFINED_CALLS) != 0 ? "" : " seccomp";
    if (ledger->sandbox_warned == 0 && (*landlock != '\0' || *seccomp != '\0')) {
        ledger->sandbox_warned = 1;
        log_warn("workers are not confined by what this machine has not, or does not allow:%s%s; require_sandbox would "
                 "make that a failure",
                 landlock, seccomp);
    }
}

static void hear_ready(struct supervisor *s, struct worker *w, const struct report *report, pid_t sender)
{
    bool awaited = w->state == WORKER_SUCCEEDING || w->state == WORKER_ADOPTING;
    if (w->pid == 0 && (reap_is_ours(sender) || awaited)) {
        w->pid = sender; /* its keeper did not live to tell us, or has not come to it yet */
    }
    if (sender != w->pid) {
        log_warn("worker %u: a report of readiness from pid %d, which is not it, is ignored", w->slot, sender);
        return;
    }
    w->next_keeper_pid = report->pid;
    w->adopted = report->adopted;
    w->dropped = report->dropped;
    w->confined = report->confined;
    warn_if_free(s->ledger, w);
    if (w->state == WORKER_SUCCEEDING) {
        tend_event(s, w, EVENT_FORKED); /* the worker was faster than its keeper's report */
    }
    tend_event(s, w, EVENT_READY);
    if (w->pid == sender) {
        deaths_miss(s, sender); /* it was ready, and has died since */
    }
}

/* A program that has stood its trial cannot read the cell of one of its own that died: that one wrote over it. */
static bool is_ruined(const struct supervisor *s, const struct worker *w, const struct report *report)
{
    const struct ledger *ledger = s->ledger;
    bool died = w->cause == BIRTH_CRASH || w->cause == BIRTH_KILLED || w->cause == BIRTH_HANG;
    return report->error == EPROTO && died && ledger->rolling == ROLLING_NOT &&
           ledger->good.generation == ledger->present.generation;
}

static void hear_cannot(struct supervisor *s, struct worker *w, const struct report *report)
{
    log_error("worker %u gen %u: cannot serve: %s", w->slot, w->generation, report->text);
    snprintf(s->said, sizeof s->said, "%s", report->text);
    w->cell_ruined = is_ruined(s, w, report);
}

/* It is parked. That is no death: its keeper may still be lost. */
static void hear_retired(struct supervisor *s, struct worker *w, pid_t sender)
{
    if (w->state != WORKER_RETIRING || sender != w->pid) {
        return; /* it was late, and is being shot */
    }
    backoff_after(&w->backoff, BACKOFF_RETIRE, (int64_t)(clock_now().ms - w->ready_ms));
    w->died_us = clock_now_us();
    w->signal = 0;
    w->cause = w->retire_cause;
    w->parked_pid = w->pid;
    w->pid = 0;
    tend_event(s, w, EVENT_RETIRED);
}

static void hear_not_forked(struct supervisor *s, struct worker *w, const struct report *report)
{
    log_warn("keeper %u: cannot fork a successor: %s; trying again", w->slot, strerror(report->error));
    w->keeper_confined = report->confined != 0 ? report->confined : w->keeper_confined; /* the ledger was sick */
    if (w->state == WORKER_SUCCEEDING) {
        channels_close_next(s, w);
    }
    tend_event(s, w, EVENT_NOT_FORKED);
}

/* Good news comes from the keeper itself; one that is dead already never told us that it lived. */
static void hear_keeper_made(struct worker *w, const struct report *report)
{
    if (report->pid <= 0) {
        log_warn("worker %u: cannot make a keeper: %s; trying again", w->slot, strerror(report->error));
    } else if (w->keeper_pid == 0 && !reap_is_ours(report->pid)) {
        w->keeper_asked_ms = 0; /* so it is asked for another one now */
    }
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
        hear_keeper_made(w, report);
        return;
    case REPORT_RETIRED:
        hear_retired(s, w, sender);
        return;
    case REPORT_KEEPER:
        if (from_next) {
            w->next_keeper_pid = reap_is_ours(sender) ? sender : 0;
        } else if (reap_is_ours(sender)) {
            w->keeper_pid = sender;
            w->keeper_confined = report->confined;
            w->woken = 0;
            tend_event(s, w, EVENT_KEEPER_STANDS);
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
    if (got == 0 || (errno != EAGAIN && errno != EBADMSG && errno != ENOMEM && errno != ENOBUFS)) {
        watch_stop(s, *fd); /* nobody holds the other end; what follows from that, reaping tells */
        if (fd == &w->keeper_fd && w->state == WORKER_SUCCEEDING) {
            tend_event(s, w, EVENT_KEEPER_DIED);
        } else if (fd == &w->next_control_fd && w->pid == 0 &&
                   (w->state == WORKER_ADOPTING || w->state == WORKER_STARTING)) {
            /* The successor that we await was never forked: its keeper died with the order unread, and for a moment
             * the kernel still held the descriptors that came with it. */
            deaths_worker(s, w, SIGKILL);
        }
    }
    return got < 0 && errno == EBADMSG;
}

void hear_worker(struct supervisor *s, struct worker *w)
{
    bool more = true;
    while (more) {
        more = hear_one(s, w, &w->control_fd, false);
        more |= hear_one(s, w, &w->keeper_fd, false);
        more |= hear_one(s, w, &w->next_keeper_fd, true);
        more |= hear_one(s, w, &w->next_control_fd, true);
    }
}
