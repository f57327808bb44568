/* begin.c — see begin.h. Nothing here outlives a failure: what was made is undone, and the reason is said once, to
 * whoever can read it. */
#include "supervisor/begin.h"

#include "supervisor/bequest.h"
#include "supervisor/door.h"
#include "supervisor/given.h"
#include "supervisor/identity.h"
#include "supervisor/inherit/log.h"
#include "supervisor/orphans.h"
#include "supervisor/reap.h"
#include "supervisor/relog.h"
#include "supervisor/scale.h"
#include "supervisor/tend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Let go of whoever started us. */
void begin_tell_starter(struct supervisor *s, const char *text)
{
    if (s->ready_fd >= 0) {
        ssize_t ignored = TEMP_FAILURE_RETRY(write(s->ready_fd, text, strlen(text)));
        (void)ignored;
    }
    close_fd(&s->ready_fd);
}

/* The start failed: say why to whoever started us, and to the log if that is elsewhere. */
int begin_fail(struct supervisor *s, const char *format, ...)
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
    begin_tell_starter(s, text);
    return 1;
}

static void note_command_line(struct ledger *ledger)
{
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? TEMP_FAILURE_RETRY(read(fd, ledger->command, sizeof ledger->command - 1)) : 0;
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
        begin_fail(s, "%s", error);
        return false;
    }
    if (!given_are_meant(s->settings, options->given)) {
        begin_fail(s, "no memory for the configuration");
        return false;
    }
    if (!program_own_path(ledger->own_path)) {
        begin_fail(s, "/proc/self/exe: %s; mount /proc", strerror(errno));
        return false;
    }
    ledger->present.program_fd = program_open_worker(ledger->own_path, ledger->worker_path, why);
    if (ledger->present.program_fd < 0) {
        begin_fail(s, "%s", why);
        return false;
    }
    return true;
}

static bool find_user(struct supervisor *s)
{
    char error[PRIVILEGE_ERROR_BYTES];
    bool found = privilege_find(s->settings->user, &s->privilege, error);
    if (!found) {
        begin_fail(s, "%s", error);
    }
    return found;
}

static void let_starter_go(void *context)
{
    begin_tell_starter(context, "ready\n");
}

/* Take RUN_DIR's lock. Returns false with *exit_code. */
static bool lock(struct supervisor *s, const char *run_dir, int *exit_code)
{
    char error[IDENTITY_ERROR_BYTES];
    pid_t holder = 0;
    switch (identity_take(run_dir, &s->ledger->lock_fd, &holder, error)) {
    case IDENTITY_OURS:
        return true;
    case IDENTITY_TAKEN:
        fprintf(stderr, "perdure: already running: supervisor pid %d in %s\n", holder, run_dir);
        close_fd(&s->ready_fd);
        *exit_code = s->ledger->foreground ? 1 : 0;
        return false;
    case IDENTITY_FAULT:
        *exit_code = begin_fail(s, "%s", error);
        return false;
    }
    return false;
}

/* What the dead supervisor left in RUN_DIR, of which we have the lock. */
static void remove_traces(const char *run_dir)
{
    char error[CONTROL_ERROR_BYTES];
    struct control *control = control_open(run_dir, error);
    if (control != NULL) {
        control_close(control);
    }
    identity_remove_pid(run_dir);
}

/* Take over from a supervisor that died with its keeper: then this does not return. True if a service can begin;
 * *REPLACE if workers are to be replaced for it. False with *exit_code. */
static bool try_orphans(struct supervisor *s, const struct supervise_options *options, bool *replace, int *exit_code)
{
    char error[ORPHANS_ERROR_BYTES];
    if (options->orphans_run_dir == NULL) {
        return true;
    }
    if (!lock(s, options->orphans_run_dir, exit_code)) {
        return false;
    }
    struct orphans_heir heir = {.run_dir = options->orphans_run_dir,
                                .config_path = options->config_path,
                                .foreground = options->foreground,
                                .to_stop = options->to_stop,
                                .given = options->given,
                                .lock_fd = s->ledger->lock_fd,
                                .ready_fd = s->ready_fd};
    enum orphans_outcome outcome = orphans_take(&heir, error);
    if (outcome == ORPHANS_OF_NO_USE && options->to_stop) {
        orphans_end(options->orphans_run_dir, options->now);
        remove_traces(options->orphans_run_dir);
    }
    close_fd(&s->ledger->lock_fd);
    *replace = outcome == ORPHANS_OF_NO_USE;
    *exit_code = outcome == ORPHANS_FAULT ? begin_fail(s, "%s", error) : 0;
    return outcome != ORPHANS_FAULT && !options->to_stop;
}

/* They serve on until here: what could fail before has not. */
static bool replace_orphans(struct supervisor *s, struct listeners *listeners)
{
    char error[ORPHANS_ERROR_BYTES];
    if (!orphans_replace(s->ledger->run_dir, listeners, error)) {
        begin_fail(s, "%s", error);
        return false;
    }
    log_warn("workers that a dead supervisor left could not be taken over, for what they have is of another version: "
             "they finish, and new ones have their listening sockets");
    return true;
}

/* From here on we are the supervisor of this run directory. Returns false with *exit_code. */
static bool claim(struct supervisor *s, int *exit_code)
{
    if (bequest_take(s->settings->run_dir, s->ledger->foreground != 0, let_starter_go, s)) {
        return false; /* not reached: this process is another image by then */
    }
    char error[IDENTITY_ERROR_BYTES];
    if (!lock(s, s->settings->run_dir, exit_code)) {
        return false;
    }
    char control_error[CONTROL_ERROR_BYTES];
    if (identity_write_pid(s->settings->run_dir, getpid(), error) != 0) {
        *exit_code = begin_fail(s, "%s", error);
        return false;
    }
    s->control = control_open(s->settings->run_dir, control_error);
    if (s->control == NULL || !watch_add(s, control_fd(s->control), EPOLLIN, WATCH_CONTROL, 0)) {
        *exit_code = begin_fail(s, "%s", s->control == NULL ? control_error : strerror(errno));
        return false;
    }
    control_permit(s->control, s->settings->control_group);
    control_keep(s->control, &s->ledger->control);
    return true;
}

static bool open_all(struct supervisor *s, const struct listeners *given)
{
    char error[LISTENERS_ERROR_BYTES];
    struct logs logs;
    if (listeners_prepare(given, s->settings, &s->ledger->listeners, error) != 0) {
        s->ledger->listeners.count = 0;
        begin_fail(s, "%s", error);
        return false;
    }
    if (!logs_open(s->settings, s->ledger->foreground != 0, s->ledger->stderr_fd, &logs, error)) {
        begin_fail(s, "%s", error);
        return false;
    }
    relog_use(s, &logs);
    listeners_commit(given, &s->ledger->listeners);
    listeners_tune(&s->ledger->listeners, s->settings);
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
void begin_undo(struct supervisor *s)
{
    if (s->control != NULL) {
        control_close(s->control);
    }
    if (s->ledger != NULL && s->ledger->lock_fd >= 0) {
        listeners_close(&s->ledger->listeners);
        door_sweep(s->ledger->run_dir);
        identity_remove_pid(s->ledger->run_dir);
    }
}

bool begin(struct supervisor *s, const struct supervise_options *options, int *exit_code)
{
    s->ready_fd = options->ready_fd;
    s->ready_line = options->ready_line;
    s->ledger = ledger_create(&s->ledger_fd);
    if (s->ledger == NULL) {
        begin_fail(s, "no memory for the ledger: %s", strerror(errno));
        return false;
    }
    s->ledger->foreground = options->foreground;
    struct listeners present = *options->given;
    bool replace = false;
    if (!try_orphans(s, options, &replace, exit_code) || !load_edition(s, options) || !find_user(s)) {
        return false;
    }
    fill_ledger(s, options);
    if (!claim(s, exit_code) || (replace && !replace_orphans(s, &present)) || !open_all(s, &present)) {
        begin_undo(s);
        return false;
    }
    privilege_shed(); /* sockets are bound, logs are open */
    start_workers(s);
    return true;
}
