/* stop.c — see stop.h. */
#include "supervisor/stop.h"

#include "supervisor/identity.h"
#include "supervisor/inherit/log.h"
#include "supervisor/notify.h"
#include "supervisor/preview.h"
#include "supervisor/reap.h"
#include "supervisor/reload.h"
#include "supervisor/tend.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { GRACE_MS = 1000 }; /* beyond the deadline that workers were told */

static void each_worker(struct supervisor *s, void (*visit)(struct supervisor *s, struct worker *w))
{
    /* A visit may empty slots, and with them lower the count. */
    for (uint32_t i = 0; i < s->ledger->workers.count; i++) {
        visit(s, &s->ledger->workers.all[i]);
    }
}

static void stop_worker(struct supervisor *s, struct worker *w)
{
    if (w->state == WORKER_SERVING || w->state == WORKER_GIVING || w->state == WORKER_STOPPING) {
        tend_stop(s, w);
    }
}

/* New clients are to be refused, not to wait in a queue that nobody accepts from. */
static void close_listeners(struct supervisor *s)
{
    if (s->ledger->rolling == ROLLING_ON) {
        listeners_abandon(&s->ledger->listeners, &s->ledger->next_listeners);
        s->ledger->next_listeners.count = 0;
    }
    s->ledger->rolling = ROLLING_NOT;
    listeners_close(&s->ledger->listeners);
    s->ledger->listeners.count = 0;
}

void stop_ask(struct supervisor *s)
{
    if (s->phase != PHASE_RUNNING) {
        stop_now(s);
        return;
    }
    log_info("stopping: at most %llu ms for what is under way", (unsigned long long)s->settings->stop_timeout_ms);
    notify_stopping();
    reload_cancel(s);
    preview_cancel(s);
    supervisor_enter(s, PHASE_STOPPING);
    s->ledger->stop_deadline_ms = clock_now().ms + s->settings->stop_timeout_ms;
    close_listeners(s);
    each_worker(s, stop_worker);
}

void stop_now(struct supervisor *s)
{
    if (s->phase == PHASE_ENDING) {
        return;
    }
    if (s->phase == PHASE_RUNNING) {
        notify_stopping();
        reload_cancel(s);
        preview_cancel(s);
    }
    if (s->phase != PHASE_STARTING) {
        log_info("stopping now");
    }
    supervisor_enter(s, PHASE_ENDING);
    close_listeners(s);
    each_worker(s, tend_kill);
}

void stop_resume(struct supervisor *s)
{
    s->phase = (enum supervisor_phase)s->ledger->phase;
    uint64_t latest_ms = clock_now().ms + s->settings->stop_timeout_ms;
    if (s->phase == PHASE_STOPPING) {
        s->ledger->stop_deadline_ms = s->ledger->stop_deadline_ms < latest_ms ? s->ledger->stop_deadline_ms : latest_ms;
        close_listeners(s);
        each_worker(s, stop_worker);
    } else if (s->phase == PHASE_ENDING) {
        close_listeners(s);
        each_worker(s, tend_kill);
    } else {
        supervisor_enter(s, PHASE_RUNNING);
    }
}

/* Children that no slot knows: a keeper whose worker died before either could speak. Every child of ours is to go. */
static void kill_strangers(void)
{
    FILE *file = fopen("/proc/thread-self/children", "re");
    int pid;
    // NOLINTNEXTLINE(cert-err34-c): the kernel writes numbers
    while (file != NULL && fscanf(file, "%d", &pid) == 1) {
        reap_signal(pid, SIGKILL);
    }
    if (file != NULL) {
        fclose(file);
    }
}

bool stop_turn(struct supervisor *s)
{
    if (s->phase == PHASE_STOPPING && clock_now().ms >= s->ledger->stop_deadline_ms + GRACE_MS) {
        log_warn("stop_timeout is over: what is still under way is cut");
        stop_now(s);
    }
    if (s->phase != PHASE_STOPPING && s->phase != PHASE_ENDING) {
        return false;
    }
    if (s->ledger->workers.count != 0) {
        return false;
    }
    int status;
    if (reap_peek(&status) < 0) {
        return true;
    }
    /* Our keeper goes with them: from here on nobody would tidy up after us. */
    identity_remove_pid(s->ledger->run_dir);
    control_hide(s->control);
    kill_strangers();
    return false;
}
