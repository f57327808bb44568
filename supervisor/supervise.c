/* supervise.c — the supervisor's start, its loop, and what happens on each event; see supervise.h.
 *
 * It never exits for the machine's trouble, and it never reads a byte from a client of the service. Reading order: the
 * loop here; tend.c for what becomes of workers, succession.c for why; reload.c and roll.c; stop.c. */
#include "supervisor/supervise.h"

#include "supervisor/hang.h"
#include "supervisor/identity.h"
#include "supervisor/inherit/log.h"
#include "supervisor/notify.h"
#include "supervisor/reap.h"
#include "supervisor/reload.h"
#include "supervisor/relog.h"
#include "supervisor/restart.h"
#include "supervisor/roll.h"
#include "supervisor/scale.h"
#include "supervisor/status.h"
#include "supervisor/stop.h"
#include "supervisor/supervisor.h"
#include "supervisor/tend.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { EVENTS_AT_ONCE = 64, MEND_MS = 1000 };

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

static void on_signal(struct supervisor *s, int number)
{
    switch (number) {
    case SIGHUP:
        reload_ask(s, CONTROL_RELOAD, RELOAD_NO_CLIENT);
        return;
    case SIGUSR2:
        reload_ask(s, CONTROL_RESTART, RELOAD_NO_CLIENT);
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
        on_signal(s, (int)signal.ssi_signo);
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
    char *text = status_render(s->ledger, clock_now(), (request->flags & CONTROL_JSON) != 0);
    control_reply(s->control, request->client, text != NULL ? 0 : 4,
                  text != NULL ? text : "no memory for the status\n");
    free(text);
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
        reload_ask(s, request->verb, request->client);
        return;
    case CONTROL_REOPEN:
        reopen_logs(s, request->client);
        return;
    case CONTROL_STATUS:
        tell_status(s, request);
        return;
    }
}

static void read_requests(struct supervisor *s)
{
    struct control_request request;
    while (control_next(s->control, &request)) {
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
        length += (size_t)snprintf(addresses + length, sizeof addresses - length, "%s%s", i > 0 ? ", " : "",
                                   listeners->all[i].address);
    }
    log_info("serving on %s with %zu workers", addresses, workers_in(&s->ledger->workers, WORKER_SERVING));
    char status[1200];
    snprintf(status, sizeof status, "serving on %s", addresses);
    notify_ready(getpid(), status);
}

/* Let go of whoever started us. */
static void tell_starter(struct supervisor *s, const char *text)
{
    if (s->ready_fd >= 0) {
        ssize_t ignored = write(s->ready_fd, text, strlen(text));
        (void)ignored;
    }
    close_fd(&s->ready_fd);
}

/* All workers of the first generation are ready. */
static void begin_to_run(struct supervisor *s)
{
    s->phase = PHASE_RUNNING;
    roll_prove(s);
    say_serving(s);
    if (s->ledger->error_log_is_syslog) {
        dup2(s->ledger->error_log_fd, STDERR_FILENO);
        log_to_syslog();
    }
    tell_starter(s, "ready\n");
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
    case WATCH_SIGNALS:
        read_signals(s);
        return;
    case WATCH_CONTROL:
        read_requests(s);
        return;
    case WATCH_SLOT:
        tend_hear(s, &s->ledger->workers.all[(uint32_t)data % WORKERS_MAX]);
        return;
    case WATCH_RELOAD:
        reload_hear(s);
        return;
    }
}

static void mend_listeners(struct supervisor *s)
{
    uint64_t now = clock_now().ms;
    if (s->phase == PHASE_RUNNING && now >= s->mended_ms + MEND_MS) {
        s->mended_ms = now;
        listeners_mend(&s->ledger->listeners);
        notify_watchdog();
    }
}

/* Whatever the clock or the new state of things asks for. Returns how long the loop may sleep. */
static int tend_all(struct supervisor *s)
{
    reload_clock(s);
    check_start(s);
    roll_turn(s);
    scale_turn(s);
    hang_check(s);
    mend_listeners(s);
    uint64_t nearest = tend_clock(s);
    uint64_t now = clock_now().ms;
    uint64_t sleep_ms = nearest > now ? nearest - now : 0;
    uint64_t period_ms = s->phase == PHASE_ENDING ? 50 : hang_period_ms(s);
    return (int)(sleep_ms < period_ms ? sleep_ms : period_ms);
}

static void turn(struct supervisor *s, int sleep_ms)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int count = epoll_wait(s->epoll_fd, events, EVENTS_AT_ONCE, sleep_ms);
    for (int i = 0; i < count; i++) {
        on_event(s, events[i].data.u64);
    }
    tend_reap(s);
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

static int fail(struct supervisor *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The start failed: say why to whoever started us, and to the log if that is elsewhere. */
static int fail(struct supervisor *s, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    bool in_file =
        s->ledger != NULL && s->settings != NULL && s->settings->error_log[0] == '/' && s->ledger->error_log_fd >= 0;
    if (s->ready_fd < 0 || in_file) {
        log_error("%s", text);
    }
    if (s->ready_fd < 0 && in_file) {
        dprintf(s->ledger->stderr_fd, "perdure: %s\n", text);
    }
    tell_starter(s, text);
    return 1;
}

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
    s->reload.program_fd = -1;
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

static void note_command_line(struct ledger *ledger)
{
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, ledger->command, sizeof ledger->command - 1) : 0;
    ledger->command_bytes = length > 0 ? (uint32_t)length : 0;
    if (fd >= 0) {
        close(fd);
    }
}

static void fill_ledger(struct supervisor *s, const struct supervise_options *options)
{
    struct ledger *ledger = s->ledger;
    ledger->supervisor_pid = getpid();
    ledger->foreground = options->foreground;
    ledger->started = clock_wall_seconds();
    ledger->started_ms = clock_now().ms;
    ledger->images = 1;
    ledger->oom_kills = reap_oom_kills();
    ledger->config_is_text = options->config_text != NULL;
    ledger->stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    snprintf(ledger->config_path, sizeof ledger->config_path, "%s", options->config_path);
    snprintf(ledger->run_dir, sizeof ledger->run_dir, "%s", s->settings->run_dir);
    note_command_line(ledger);
}

/* The first edition: the configuration, parsed in a process of its own, and the worker program. */
static bool load_edition(struct supervisor *s, const struct supervise_options *options)
{
    struct ledger *ledger = s->ledger;
    char error[SETTINGS_ERROR_BYTES];
    char why[PROGRAM_ERROR_BYTES];
    ledger->present.generation = ledger->generation = 1;
    ledger->present.snapshot_fd = snapshot_take(options->config_path, options->config_text, error);
    s->settings = ledger->present.snapshot_fd >= 0 ? settings_parse(ledger->present.snapshot_fd, error) : NULL;
    if (s->settings == NULL) {
        fail(s, "%s", error);
        return false;
    }
    if (!program_own_path(ledger->own_path)) {
        fail(s, "/proc/self/exe: %s; mount /proc", strerror(errno));
        return false;
    }
    ledger->present.program_fd = program_open_worker(ledger->own_path, ledger->worker_path, why);
    if (ledger->present.program_fd < 0) {
        fail(s, "%s", why);
        return false;
    }
    return true;
}

static bool find_user(struct supervisor *s)
{
    char error[PRIVILEGE_ERROR_BYTES];
    bool found = privilege_find(s->settings->user, &s->privilege, error);
    if (!found) {
        fail(s, "%s", error);
    }
    return found;
}

/* From here on we are the supervisor of this run directory. Returns false with *exit_code. */
static bool claim(struct supervisor *s, int *exit_code)
{
    char error[IDENTITY_ERROR_BYTES];
    pid_t holder = 0;
    switch (identity_take(s->settings->run_dir, &s->ledger->lock_fd, &holder, error)) {
    case IDENTITY_OURS:
        break;
    case IDENTITY_TAKEN:
        fprintf(stderr, "perdure: already running: supervisor pid %d in %s\n", holder, s->settings->run_dir);
        close_fd(&s->ready_fd);
        *exit_code = s->ledger->foreground ? 1 : 0;
        return false;
    case IDENTITY_FAULT:
        *exit_code = fail(s, "%s", error);
        return false;
    }
    char control_error[CONTROL_ERROR_BYTES];
    if (identity_write_pid(s->settings->run_dir, getpid(), error) != 0) {
        *exit_code = fail(s, "%s", error);
        return false;
    }
    s->control = control_open(s->settings->run_dir, control_error);
    if (s->control == NULL || !watch_add(s, control_fd(s->control), EPOLLIN, WATCH_CONTROL, 0)) {
        *exit_code = fail(s, "%s", s->control == NULL ? control_error : strerror(errno));
        return false;
    }
    return true;
}

static bool open_all(struct supervisor *s)
{
    static const struct listeners none;
    char error[LISTENERS_ERROR_BYTES];
    struct logs logs;
    if (listeners_prepare(&none, s->settings, &s->ledger->listeners, error) != 0) {
        s->ledger->listeners.count = 0;
        fail(s, "%s", error);
        return false;
    }
    if (!logs_open(s->settings, s->ledger->foreground != 0, s->ledger->stderr_fd, &logs, error)) {
        fail(s, "%s", error);
        return false;
    }
    relog_use(s, &logs);
    return true;
}

static void start_workers(struct supervisor *s)
{
    struct workers *workers = &s->ledger->workers;
    workers->wanted = scale_wanted(s->settings);
    for (uint32_t i = 0; i < workers->wanted; i++) {
        tend_start(s, workers_take(workers));
    }
}

/* Leave nothing behind but the lock file. */
static void leave(struct supervisor *s)
{
    if (s->control != NULL) {
        control_close(s->control);
    }
    if (s->ledger != NULL && s->ledger->lock_fd >= 0) {
        listeners_close(&s->ledger->listeners);
        identity_remove_pid(s->ledger->run_dir);
    }
}

static int run_until_stopped(struct supervisor *s)
{
    loop(s);
    if (s->failed) {
        fail(s, "%s", s->failure);
    } else if (s->ready_fd >= 0) {
        fail(s, "stopped while it started");
        s->failed = true;
    } else {
        log_info("stopped");
    }
    leave(s);
    return s->failed ? 1 : 0;
}

int supervise(const struct supervise_options *options)
{
    struct supervisor *s = supervisor_new();
    int exit_code = 1;
    s->ready_fd = options->ready_fd;
    s->ready_line = options->ready_line;
    s->phase = PHASE_STARTING;
    log_name("supervisor");
    s->ledger = ledger_create(&s->ledger_fd);
    if (s->ledger == NULL) {
        return fail(s, "no memory for the ledger: %s", strerror(errno));
    }
    s->ledger->foreground = options->foreground;
    if (!load_edition(s, options) || !find_user(s)) {
        return 1;
    }
    fill_ledger(s, options);
    if (!claim(s, &exit_code)) {
        leave(s);
        return exit_code;
    }
    if (!open_all(s)) {
        leave(s);
        return 1;
    }
    start_workers(s);
    return run_until_stopped(s);
}

/* ---- once more ---- */

bool supervise_is_resumed(void)
{
    return restart_is_resumed();
}

int supervise_again(void)
{
    struct supervisor *s = supervisor_new();
    s->phase = PHASE_RUNNING;
    log_name("supervisor");
    if (!restart_adopt(s) || !watch_add(s, control_fd(s->control), EPOLLIN, WATCH_CONTROL, 0)) {
        return 1;
    }
    return run_until_stopped(s);
}

void supervise_print_contract(void)
{
    char line[256];
    program_contract(line, sizeof line);
    puts(line);
}
