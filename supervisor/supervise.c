/* supervise.c — the supervisor's start, its loop, and what happens on each event; see supervise.h.
 *
 * It never exits for the machine's trouble, and it never reads a byte from a client of the service. Reading order: the
 * loop here; hear.c and deaths.c for what happens to workers, succession.c for what is to
 * follow, tend.c for how; reload.c and roll.c; stop.c. */
#include "supervisor/supervise.h"

#include "supervisor/begin.h"
#include "supervisor/deaths.h"
#include "supervisor/fd_store.h"
#include "supervisor/hang.h"
#include "supervisor/hear.h"
#include "supervisor/image.h"
#include "supervisor/inherit/log.h"
#include "supervisor/notify.h"
#include "supervisor/own_keeper.h"
#include "supervisor/preview.h"
#include "supervisor/reap.h"
#include "supervisor/reload.h"
#include "supervisor/relog.h"
#include "supervisor/roll.h"
#include "supervisor/scale.h"
#include "supervisor/status.h"
#include "supervisor/stop.h"
#include "supervisor/supervisor.h"
#include "supervisor/takeover.h"
#include "supervisor/tend.h"
#include "supervisor/watchdog.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { EVENTS_AT_ONCE = 64, REQUESTS_AT_ONCE = 8, MEND_MS = 1000, RENEW_MS = 10000 };

/* ---- the signals, see perdure(8) ---- */

static const int handled[] = {SIGCHLD, SIGHUP, SIGTERM, SIGQUIT, SIGINT, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU};

static bool open_signals(struct supervisor *s)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof handled / sizeof handled[0]; i++) {
        sigaddset(&set, handled[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_SETMASK, &set, NULL);
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signal_fd >= 0 && watch_add(s, s->signal_fd, EPOLLIN, WATCH_SIGNALS, 0);
}

static void reopen_logs(struct supervisor *s, uint64_t client)
{
    char error[LOGS_ERROR_BYTES];
    bool done = relog(s, error) == 0;
    if (client != RELOAD_NO_CLIENT) {
        control_reply(s->control, client, done ? 0 : 1, done ? "log files reopened\n" : error);
    }
}

/* A reload or restart by signal. */
static void ask_by_signal(struct supervisor *s, enum control_verb verb, const struct signalfd_siginfo *signal)
{
    char by[LEDGER_WHO_BYTES];
    snprintf(by, sizeof by, "SIG%s (pid %u, uid %u)", sigabbrev_np((int)signal->ssi_signo), signal->ssi_pid,
             signal->ssi_uid);
    reload_ask(s, verb, RELOAD_NO_CLIENT, by);
}

static void on_signal(struct supervisor *s, const struct signalfd_siginfo *signal)
{
    switch (signal->ssi_signo) {
    case SIGHUP:
        ask_by_signal(s, CONTROL_RELOAD, signal);
        return;
    case SIGUSR2:
        ask_by_signal(s, CONTROL_RESTART, signal);
        return;
    case SIGTERM:
    case SIGQUIT:
        stop_ask(s);
        return;
    case SIGINT:
        stop_now(s);
        return;
    case SIGUSR1:
        reopen_logs(s, RELOAD_NO_CLIENT);
        return;
    case SIGTTIN:
        scale_step(s, 1);
        return;
    case SIGTTOU:
        scale_step(s, -1);
        return;
    default:
        return; /* SIGCHLD: the loop reaps in every turn */
    }
}

static void read_signals(struct supervisor *s)
{
    struct signalfd_siginfo signal;
    while (read(s->signal_fd, &signal, sizeof signal) == (ssize_t)sizeof signal) {
        on_signal(s, &signal);
    }
}

/* ---- the control socket ---- */

/* What the cells say, for status.c reads the ledger alone. */
static void look_into_cells(struct supervisor *s)
{
    for (uint32_t i = 0; i < s->ledger->workers.count; i++) {
        struct worker *w = &s->ledger->workers.all[i];
        bool mapped = s->cells[i].header != NULL;
        w->connections = mapped ? cell_connections(&s->cells[i]) : 0;
        w->counters = mapped ? cell_counters(&s->cells[i]) : (struct cell_counters){0};
    }
}

static void tell_status(struct supervisor *s, const struct control_request *request)
{
    look_into_cells(s);
    ports_look(&s->ports, &s->ledger->listeners, clock_now());
    char *text = status_render(s->ledger, &s->ports, clock_now(), (request->flags & CONTROL_JSON) != 0);
    control_reply(s->control, request->client, text != NULL ? 0 : 4,
                  text != NULL ? text : "no memory for the status\n");
    free(text);
}

static void ask_by_verb(struct supervisor *s, const struct control_request *request)
{
    char by[LEDGER_WHO_BYTES];
    snprintf(by, sizeof by, "perdure %s (pid %d, uid %u)", control_verb_name[request->verb], (int)request->pid,
             request->uid);
    reload_ask(s, request->verb, request->client, by);
}

static void on_request(struct supervisor *s, const struct control_request *request)
{
    switch (request->verb) {
    case CONTROL_STOP: /* answered by the end of the connection */
        if ((request->flags & CONTROL_NOW) != 0) {
            stop_now(s);
        } else if (s->phase == PHASE_RUNNING) {
            stop_ask(s);
        }
        return;
    case CONTROL_RELOAD:
    case CONTROL_RESTART:
        ask_by_verb(s, request);
        return;
    case CONTROL_REOPEN:
        reopen_logs(s, request->client);
        return;
    case CONTROL_STATUS:
        tell_status(s, request);
        return;
    case CONTROL_DIFF:
        preview_ask(s, request->client);
        return;
    }
}

/* A few in each turn of the loop: workers are not to wait for whoever has many questions. */
static void read_requests(struct supervisor *s)
{
    struct control_request request;
    for (int i = 0; i < REQUESTS_AT_ONCE && control_next(s->control, &request); i++) {
        on_request(s, &request);
    }
}

/* ---- the first readiness ---- */

static void say_serving(const struct supervisor *s)
{
    const struct listeners *listeners = &s->ledger->listeners;
    char addresses[1024];
    size_t length = 0;
    addresses[0] = '\0';
    for (size_t i = 0; i < listeners->count && length < sizeof addresses; i++) {
        if (!listeners->all[i].resting) {
            length += (size_t)snprintf(addresses + length, sizeof addresses - length, "%s%s", i > 0 ? ", " : "",
                                       listeners->all[i].address);
        }
    }
    log_info("serving on %s with %zu workers", addresses, workers_in(&s->ledger->workers, WORKER_SERVING));
    char status[1200];
    snprintf(status, sizeof status, "serving on %s", addresses);
    notify_ready(getpid(), status);
}

/* All workers of the first generation are ready. */
static void begin_to_run(struct supervisor *s)
{
    supervisor_enter(s, PHASE_RUNNING);
    roll_prove(s);
    own_keeper_turn(s); /* whoever is told that the service answers may kill us in the next instant */
    say_serving(s);
    if (s->ledger->error_log_is_syslog) {
        dup2(s->ledger->error_log_fd, STDERR_FILENO);
        log_to_syslog();
    }
    /* The starter's stderr may be a pipe whose reader waits for its end. */
    if (s->ledger->foreground == 0) {
        close_fd(&s->ledger->stderr_fd);
    }
    begin_tell_starter(s, "ready\n");
    if (s->ready_line != NULL) {
        puts(s->ready_line);
        fflush(stdout);
        s->ready_line = NULL;
    }
}

static void check_start(struct supervisor *s)
{
    const struct workers *workers = &s->ledger->workers;
    if (s->phase != PHASE_STARTING) {
        return;
    }
    if (s->failed) {
        stop_now(s);
    } else if (workers_in(workers, WORKER_SERVING) == workers->wanted) {
        begin_to_run(s);
    }
}

/* ---- the loop ---- */

static void on_event(struct supervisor *s, uint64_t data)
{
    switch ((enum watch_kind)(data >> 32)) {
    case WATCH_ORPHANS:
        return; /* the loop reaps in every turn */
    case WATCH_SIGNALS:
        read_signals(s);
        return;
    case WATCH_CONTROL:
        read_requests(s);
        return;
    case WATCH_SLOT:
        hear_worker(s, &s->ledger->workers.all[(uint32_t)data % WORKERS_MAX]);
        return;
    case WATCH_RELOAD:
        reload_hear(s);
        return;
    case WATCH_PREVIEW:
        preview_hear(s);
        return;
    }
}

/* Returns when it wants to look again. */
static uint64_t mend_listeners(struct supervisor *s)
{
    uint64_t now = clock_now().ms;
    if (s->phase != PHASE_RUNNING) {
        return UINT64_MAX;
    }
    if (now >= s->mended_ms + MEND_MS) {
        s->mended_ms = now;
        listeners_mend(&s->ledger->listeners);
        if (now >= s->renew_ms && listeners_want_renewal(&s->ledger->listeners)) {
            s->renew_ms = now + RENEW_MS;
            reload_renew(s);
        }
    }
    return s->mended_ms + MEND_MS;
}

/* Whatever the clock or the new state of things asks for. Returns how long the loop may sleep. */
static int tend_all(struct supervisor *s)
{
    (void)log_recover();
    reload_clock(s);
    preview_clock(s);
    check_start(s);
    uint64_t mend_ms = mend_listeners(s); /* may begin a roll */
    uint64_t proven_ms = roll_turn(s);
    reload_turn(s);
    if (scale_turn(s)) {
        proven_ms = roll_turn(s); /* it was waiting for that */
    }
    hang_check(s);
    own_keeper_turn(s);
    uint64_t told_ms = watchdog_turn(s);
    uint64_t unsaid_ms = notify_turn(); /* before the store takes the manager's time */
    uint64_t nearest = tend_clock(s);
    uint64_t reaped_ms = deaths_clock(s);
    uint64_t stored_ms = fd_store_turn(s); /* of what all the others have done */
    nearest = stored_ms < nearest ? stored_ms : nearest;
    nearest = reaped_ms < nearest ? reaped_ms : nearest;
    nearest = told_ms < nearest ? told_ms : nearest;
    nearest = unsaid_ms < nearest ? unsaid_ms : nearest;
    nearest = mend_ms < nearest ? mend_ms : nearest;
    nearest = proven_ms < nearest ? proven_ms : nearest;
    uint64_t now = clock_now().ms;
    uint64_t sleep_ms = nearest > now ? nearest - now : 0;
    uint64_t period_ms = s->phase == PHASE_ENDING ? 50 : hang_period_ms(s);
    return (int)(sleep_ms < period_ms ? sleep_ms : period_ms);
}

static void turn(struct supervisor *s, int sleep_ms)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int retry_ms = watch_turn(s);
    sleep_ms = retry_ms >= 0 && retry_ms < sleep_ms ? retry_ms : sleep_ms;
    int count = epoll_wait(s->epoll_fd, events, EVENTS_AT_ONCE, sleep_ms);
    for (int i = 0; i < count; i++) {
        on_event(s, events[i].data.u64);
    }
    deaths_reap(s);
}

static void loop(struct supervisor *s)
{
    int sleep_ms = 0;
    while (!stop_turn(s)) {
        turn(s, sleep_ms);
        sleep_ms = tend_all(s);
    }
}

/* ---- the start ---- */

static void raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static struct supervisor *supervisor_new(void)
{
    struct supervisor *s = calloc(1, sizeof *s);
    if (s == NULL) {
        die("no memory");
    }
    s->ledger_fd = s->epoll_fd = s->signal_fd = s->ready_fd = -1;
    s->keepers_fds[0] = s->keepers_fds[1] = -1;
    s->reload.program_fd = s->reload.snapshot_fd = -1;
    for (size_t i = 0; i < WORKERS_MAX; i++) {
        s->cells[i].fd = -1;
    }
    raise_limits();
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll_fd < 0 || !open_signals(s)) {
        die("cannot watch for events: %s", strerror(errno));
    }
    s->hang_checked_ms = clock_now().ms;
    return s;
}

static void supervisor_free(struct supervisor *s)
{
    if (s->settings != NULL) {
        settings_free(s->settings);
    }
    if (s->ledger != NULL) {
        munmap(s->ledger, sizeof *s->ledger);
    }
    free(s);
}

void supervisor_enter(struct supervisor *s, enum supervisor_phase phase)
{
    s->phase = phase;
    s->ledger->phase = phase;
}

static int run_until_stopped(struct supervisor *s)
{
    loop(s);
    if (s->failed) {
        begin_fail(s, "%s", s->failure);
    } else if (s->ready_fd >= 0) {
        begin_fail(s, "stopped while it started");
        s->failed = true;
    } else {
        log_info("stopped");
    }
    fd_store_empty(s->ledger);
    begin_undo(s);
    return s->failed ? 1 : 0;
}

int supervise(const struct supervise_options *options)
{
    struct supervisor *s = supervisor_new();
    int exit_code = 1;
    s->phase = PHASE_STARTING;
    log_name("supervisor");
    if (begin(s, options, &exit_code)) {
        exit_code = run_until_stopped(s);
    }
    supervisor_free(s);
    return exit_code;
}

/* ---- once more ---- */

bool supervise_is_resumed(void)
{
    return image_is_next();
}

int supervise_again(void)
{
    struct supervisor *s = supervisor_new();
    log_name("supervisor");
    prctl(PR_SET_NAME, "perdure"); /* not "exe", of the path that was exec'ed: pgrep(1) and killall(1) look for it */
    if (!takeover(s) || !watch_add(s, control_fd(s->control), EPOLLIN, WATCH_CONTROL, 0)) {
        begin_tell_starter(s, "the service could not be taken over; see its error log");
        return 1;
    }
    int exit_code = run_until_stopped(s);
    supervisor_free(s);
    return exit_code;
}

void supervise_print_contract(void)
{
    char line[256];
    program_contract(line, sizeof line);
    puts(line);
}
