/* reload.c — see reload.h.
 *
 *     asked -> (restart: check the programs on disk) -> read the configuration -> compare -> bind what is new
 *           -> (restart: exec the new supervisor) -> roll.h
 *
 * Whatever fails before the roll changes nothing. */
#include "supervisor/reload.h"

#include "supervisor/inherit/log.h"
#include "supervisor/notify.h"
#include "supervisor/restart.h"
#include "supervisor/roll.h"
#include "supervisor/settings_diff.h"
#include "supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_under_way(const struct supervisor *s)
{
    return s->reload.stage != RELOAD_NOT || s->ledger->rolling != ROLLING_NOT;
}

/* ---- answers ---- */

static void add_waiter(struct supervisor *s, enum control_verb verb, uint64_t client, bool later)
{
    if (client == RELOAD_NO_CLIENT || s->waiters_count == CONTROL_CLIENTS_MAX) {
        return;
    }
    s->waiters[s->waiters_count].client = client;
    s->waiters[s->waiters_count].verb = verb;
    s->waiters[s->waiters_count].later = later;
    s->waiters_count++;
}

static void answer_waiters(struct supervisor *s, int exit_code, const char *text)
{
    size_t left = 0;
    for (size_t i = 0; i < s->waiters_count; i++) {
        if (s->waiters[i].later) {
            s->waiters[left] = s->waiters[i];
            s->waiters[left++].later = false;
        } else {
            control_reply(s->control, s->waiters[i].client, exit_code, text);
        }
    }
    s->waiters_count = left;
}

static void note_result(struct supervisor *s, int exit_code, const char *text)
{
    struct ledger_result *result = &s->ledger->last_result;
    result->when = clock_wall_seconds();
    result->exit_code = exit_code;
    result->verb = s->ledger->rolling_verb;
    if (text != result->text) {
        snprintf(result->text, sizeof result->text, "%s", text);
    }
}

/* One line of the log for each line of TEXT. */
static void log_lines(int exit_code, const char *text)
{
    while (*text != '\0') {
        int length = (int)strcspn(text, "\n");
        if (exit_code == 0) {
            log_info("%.*s", length, text);
        } else {
            log_error("%.*s", length, text);
        }
        text += length + (text[length] == '\n');
    }
}

static void start(struct supervisor *s, enum control_verb verb);

void reload_answer(struct supervisor *s, int exit_code, const char *text)
{
    note_result(s, exit_code, text);
    log_lines(exit_code, text);
    notify_ready(getpid(), text);
    answer_waiters(s, exit_code, text);
    if (s->reload.again && s->phase == PHASE_RUNNING) {
        s->reload.again = false;
        start(s, s->reload.again_verb);
    }
}

static void refuse(struct supervisor *s, const char *reason)
{
    char text[LEDGER_RESULT_BYTES];
    s->reload.stage = RELOAD_NOT;
    close_fd(&s->reload.program_fd);
    snprintf(text, sizeof text, "refused: %s\n", reason);
    reload_answer(s, 1, text);
}

/* ---- asking ---- */

static void await(struct supervisor *s, enum reload_stage stage, int pipe_fd)
{
    s->reload.stage = stage;
    s->reload.deadline_ms = clock_now().ms + RELOAD_PATIENCE_MS;
    watch_add(s, pipe_fd, 0, WATCH_RELOAD, 0); /* no event asked for but its hanging up */
}

static void compare(struct supervisor *s, int snapshot_fd);

static void read_config(struct supervisor *s)
{
    struct ledger *ledger = s->ledger;
    if (ledger->config_is_text) {
        compare(s, fcntl(ledger->present.snapshot_fd, F_DUPFD_CLOEXEC, 3));
        return;
    }
    if (snapshot_begin(&s->reload.taking, ledger->config_path, NULL) != 0) {
        refuse(s, strerror(errno));
        return;
    }
    await(s, RELOAD_READING, s->reload.taking.pipe_fd);
}

static void check_programs(struct supervisor *s)
{
    struct ledger *ledger = s->ledger;
    char path[PATH_MAX];
    char error[PROGRAM_ERROR_BYTES];
    s->reload.program_fd = program_open_worker(ledger->own_path, path, error);
    if (s->reload.program_fd < 0) {
        refuse(s, error);
        return;
    }
    if (program_check_begin(&s->reload.check, ledger->own_path, path) != 0) {
        refuse(s, strerror(errno));
        return;
    }
    snprintf(ledger->worker_path, sizeof ledger->worker_path, "%s", path);
    await(s, RELOAD_CHECKING, s->reload.check.pipe_fd);
}

static void start(struct supervisor *s, enum control_verb verb)
{
    s->reload.verb = verb;
    s->ledger->rolling_verb = verb;
    s->reload.program_fd = -1;
    log_info("%s: asked for", control_verb_name[verb]);
    notify_reloading();
    if (verb == CONTROL_RESTART) {
        check_programs(s);
    } else {
        read_config(s);
    }
}

void reload_ask(struct supervisor *s, enum control_verb verb, uint64_t client)
{
    bool busy = is_under_way(s);
    if (s->phase != PHASE_RUNNING) {
        if (client != RELOAD_NO_CLIENT) {
            control_reply(s->control, client, 1, "refused: it is being started or stopped\n");
        }
        return;
    }
    add_waiter(s, verb, client, busy);
    if (!busy) {
        start(s, verb);
        return;
    }
    /* A restart does all that a reload does. */
    s->reload.again_verb = s->reload.again && s->reload.again_verb == CONTROL_RESTART ? CONTROL_RESTART : verb;
    s->reload.again = true;
}

/* ---- comparing ---- */

static bool differs(const char *one, const char *other)
{
    return one == NULL || other == NULL ? one != other : strcmp(one, other) != 0;
}

/* What only a new process can have. */
/* True if some worker's cell has too few places for so many CONNECTIONS. */
static bool outgrows_a_cell(const struct supervisor *s, unsigned connections)
{
    uint32_t wanted = spawn_descriptors(connections);
    for (uint32_t i = 0; i < s->ledger->workers.count; i++) {
        const struct worker *w = &s->ledger->workers.all[i];
        if (worker_is_active(w) && w->cell_slots < wanted) {
            return true;
        }
    }
    return false;
}

static bool can_change_to(const struct supervisor *s, const struct settings *next, char *why, size_t bytes)
{
    if (differs(s->settings->run_dir, next->run_dir)) {
        snprintf(why, bytes, "%.600s: run_dir cannot change while the service runs (%.300s -> %.300s); stop and start",
                 s->ledger->config_path, s->settings->run_dir, next->run_dir);
        return false;
    }
    if (differs(s->settings->user, next->user)) {
        snprintf(why, bytes,
                 "%.600s: user cannot change while the service runs, for successors have their predecessors' rights "
                 "(%.64s -> %.64s); stop and start",
                 s->ledger->config_path, s->settings->user != NULL ? s->settings->user : "none",
                 next->user != NULL ? next->user : "none");
        return false;
    }
    if (next->connections > s->settings->connections && outgrows_a_cell(s, next->connections)) {
        snprintf(why, bytes,
                 "%.600s: connections cannot grow from %u to %u while the service runs, for cells and limits of "
                 "descriptors are made when a worker is first started; stop and start",
                 s->ledger->config_path, s->settings->connections, next->connections);
        return false;
    }
    return true;
}

static int take_program(struct supervisor *s)
{
    int fd = s->reload.program_fd;
    s->reload.program_fd = -1;
    return fd >= 0 ? fd : fcntl(s->ledger->present.program_fd, F_DUPFD_CLOEXEC, 3);
}

static void roll(struct supervisor *s, int snapshot_fd, struct settings *next, const struct listeners *listeners)
{
    char text[LEDGER_RESULT_BYTES - 128];
    text[0] = '\0';
    settings_diff(s->settings, next, text, sizeof text);
    struct roll_plan plan = {
        .verb = s->reload.verb,
        .snapshot_fd = snapshot_fd,
        .program_fd = take_program(s),
        .settings = next,
        .listeners = listeners,
        .text = text,
    };
    s->reload.stage = RELOAD_NOT;
    roll_begin(s, &plan);
    if (plan.verb == CONTROL_RESTART) {
        restart_exec(s); /* returns only if that was not possible */
    }
}

/* Nothing has changed yet: any failure here leaves all as it is. */
static void compare(struct supervisor *s, int snapshot_fd)
{
    char error[LISTENERS_ERROR_BYTES + SETTINGS_ERROR_BYTES] = "";
    struct listeners listeners;
    if (s->reload.verb == CONTROL_RELOAD && snapshot_equal(snapshot_fd, s->ledger->present.snapshot_fd)) {
        close_fd(&snapshot_fd);
        s->reload.stage = RELOAD_NOT;
        reload_answer(s, 0, "identical, nothing to do\n");
        return;
    }
    struct settings *next = settings_parse(snapshot_fd, error);
    if (next != NULL && can_change_to(s, next, error, sizeof error) &&
        listeners_prepare(&s->ledger->listeners, next, &listeners, error) == 0) {
        roll(s, snapshot_fd, next, &listeners);
        return;
    }
    if (next != NULL) {
        settings_free(next);
    }
    close_fd(&snapshot_fd);
    refuse(s, error);
}

/* ---- what the helpers say ---- */

static void hear_check(struct supervisor *s)
{
    char error[PROGRAM_ERROR_BYTES];
    watch_stop(s, s->reload.check.pipe_fd);
    if (program_check_finish(&s->reload.check, error)) {
        read_config(s);
    } else {
        refuse(s, error);
    }
}

static void hear_snapshot(struct supervisor *s)
{
    char error[SETTINGS_ERROR_BYTES];
    watch_stop(s, s->reload.taking.pipe_fd);
    int fd = snapshot_finish(&s->reload.taking, error);
    if (fd >= 0) {
        compare(s, fd);
    } else {
        refuse(s, error);
    }
}

void reload_hear(struct supervisor *s)
{
    switch (s->reload.stage) {
    case RELOAD_NOT:
        return;
    case RELOAD_CHECKING:
        hear_check(s);
        return;
    case RELOAD_READING:
        hear_snapshot(s);
        return;
    }
}

bool reload_reaps(struct supervisor *s, pid_t pid)
{
    bool checks = s->reload.stage == RELOAD_CHECKING && s->reload.check.pid == pid;
    bool reads = s->reload.stage == RELOAD_READING && s->reload.taking.pid == pid;
    if (checks || reads) {
        reload_hear(s);
    }
    return checks || reads;
}

void reload_clock(struct supervisor *s)
{
    if (s->reload.stage != RELOAD_NOT && clock_now().ms >= s->reload.deadline_ms) {
        reload_hear(s);
    }
}

/* End the helper process, whatever it says. */
static void drop_helper(struct supervisor *s)
{
    char error[PROGRAM_ERROR_BYTES + SETTINGS_ERROR_BYTES];
    if (s->reload.stage == RELOAD_CHECKING) {
        program_check_finish(&s->reload.check, error);
    } else if (s->reload.stage == RELOAD_READING) {
        int fd = snapshot_finish(&s->reload.taking, error);
        close_fd(&fd);
    }
    close_fd(&s->reload.program_fd);
    s->reload.stage = RELOAD_NOT;
}

void reload_cancel(struct supervisor *s)
{
    s->reload.again = false;
    drop_helper(s);
    for (size_t i = 0; i < s->waiters_count; i++) {
        s->waiters[i].later = false;
    }
    answer_waiters(s, 1, "refused: the service is being stopped\n");
}
