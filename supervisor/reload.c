/* reload.c — see reload.h.
 *
 *     asked -> (restart: check the programs on disk) -> read the configuration -> compare -> bind what is new
 *           -> (restart: exec the new supervisor) -> roll.h -> answer
 *
 * Whatever fails before the roll changes nothing. What is asked for meanwhile is gathered in the ledger, and done as
 * one when this one is answered: so each who asks is told of a configuration that was read after the asking. */
#include "supervisor/reload.h"

#include "supervisor/change.h"
#include "supervisor/inherit/log.h"
#include "supervisor/notify.h"
#include "supervisor/rehearsal.h"
#include "supervisor/restart.h"
#include "supervisor/roll.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { STATUS_LINE_BYTES = 400, HEADLINE_BYTES = 128 };

static bool is_under_way(const struct supervisor *s)
{
    return s->reload.stage != RELOAD_NOT || s->ledger->rolling != ROLLING_NOT;
}

/* The only place where the stage changes. PATIENCE_MS: how long it may last. */
static void enter(struct supervisor *s, enum reload_stage next, uint64_t patience_ms)
{
    enum { NOT = 1 << RELOAD_NOT, CHECKING = 1 << RELOAD_CHECKING, READING = 1 << RELOAD_READING };
    enum { REHEARSING = 1 << RELOAD_REHEARSING };
    static const unsigned may_follow[] = {
        [RELOAD_NOT] = NOT | CHECKING | READING,
        [RELOAD_CHECKING] = NOT | READING | REHEARSING,
        [RELOAD_READING] = NOT | REHEARSING,
        [RELOAD_REHEARSING] = NOT,
    };
    if ((may_follow[s->reload.stage] & 1U << next) == 0) {
        log_error("can't happen: reload: stage %d -> %d", (int)s->reload.stage, (int)next);
    }
    s->reload.stage = next;
    s->reload.deadline_ms = clock_now().ms + patience_ms;
}

static uint32_t bit(enum control_verb verb)
{
    return 1U << verb;
}

/* ---- answers ---- */

/* Those who went meanwhile make room. */
static void forget_the_gone(struct supervisor *s)
{
    struct ledger *ledger = s->ledger;
    uint32_t left = 0;
    for (uint32_t i = 0; i < ledger->waiters_count; i++) {
        if (control_owes(s->control, ledger->waiters[i].client)) {
            ledger->waiters[left++] = ledger->waiters[i];
        }
    }
    ledger->waiters_count = left;
}

static void add_waiter(struct supervisor *s, enum control_verb verb, uint64_t client)
{
    struct ledger *ledger = s->ledger;
    forget_the_gone(s);
    if (ledger->waiters_count == CONTROL_CLIENTS_MAX) {
        log_error("can't happen: more wait for a reload than there are places");
        return;
    }
    ledger->waiters[ledger->waiters_count++] = (struct ledger_waiter){.client = client, .verb = verb, .later = 1};
}

/* Tell those who wait for what is under way, but for VERBS_LEFT, who wait for what is next. */
static void answer_waiters(struct supervisor *s, int exit_code, const char *text, uint32_t verbs_left)
{
    struct ledger *ledger = s->ledger;
    uint32_t left = 0;
    for (uint32_t i = 0; i < ledger->waiters_count; i++) {
        struct ledger_waiter *waiter = &ledger->waiters[i];
        if (waiter->later || (verbs_left & bit((enum control_verb)waiter->verb)) != 0) {
            waiter->later = 1;
            ledger->waiters[left++] = *waiter;
        } else {
            control_reply(s->control, waiter->client, exit_code, text);
        }
    }
    ledger->waiters_count = left;
}

void reload_note(struct supervisor *s, int exit_code, const char *text)
{
    struct ledger *ledger = s->ledger;
    struct ledger_result *result = &ledger->last_result;
    if ((ledger->asked.verbs & ASKED_ANSWERED) != 0) {
        return;
    }
    result->when = clock_wall_seconds();
    result->exit_code = exit_code;
    result->verb = ledger->rolling_verb;
    snprintf(result->by, sizeof result->by, "%.*s", LEDGER_WHO_BYTES - 1,
             ledger->asked.verbs != 0 ? ledger->asked.by : "perdure itself, on trial");
    if (ledger->asked.count > 1) {
        size_t length = strlen(result->by);
        snprintf(result->by + length, sizeof result->by - length, " and %u more", ledger->asked.count - 1);
    }
    if (text != result->text) {
        snprintf(result->text, sizeof result->text, "%s", text);
    }
    ledger->asked.verbs |= ledger->asked.verbs != 0 ? ASKED_ANSWERED : 0;
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

/* So much of TEXT's first BYTES bytes as does not end within a UTF-8 character: systemd takes no STATUS= that does. */
static size_t whole_characters(const char *text, size_t bytes)
{
    while (bytes > 0 && ((unsigned char)text[bytes] & 0xc0) == 0x80) {
        bytes--;
    }
    return bytes;
}

void reload_one_line(const char *text, char *line, size_t bytes)
{
    static const char more[] = "; …";
    size_t room = bytes - sizeof more, used = 0;
    line[0] = '\0';
    while (*text != '\0') {
        size_t length = strcspn(text, "\n"), separator = used > 0 ? 2 : 0;
        bool fits = used + separator + length <= room;
        if (!fits && used > 0) {
            memcpy(line + used, more, sizeof more);
            return;
        }
        size_t taken = fits ? length : whole_characters(text, room);
        used += (size_t)snprintf(line + used, bytes - used, "%s%.*s", separator > 0 ? "; " : "", (int)taken, text);
        text += length + (text[length] == '\n');
    }
}

/* A restart that is refused says nothing about the reloads that were to be done with it. */
static uint32_t verbs_still_due(const struct ledger *ledger, int exit_code)
{
    bool refused = exit_code != 0 && (ledger->asked.verbs & bit(CONTROL_RESTART)) != 0;
    return refused ? ledger->asked.verbs & bit(CONTROL_RELOAD) : 0;
}

void reload_answer(struct supervisor *s, int exit_code, const char *text)
{
    struct ledger *ledger = s->ledger;
    char line[STATUS_LINE_BYTES];
    uint32_t due = verbs_still_due(ledger, exit_code);
    reload_note(s, exit_code, text);
    log_lines(exit_code, text);
    reload_one_line(text, line, sizeof line);
    notify_ready(getpid(), line);
    answer_waiters(s, exit_code, text, due);
    if (due != 0 && ledger->asked_next.verbs == 0) {
        ledger->asked_next = ledger->asked;
        ledger->asked_next.verbs = 0;
    }
    ledger->asked_next.verbs |= due;
    ledger->asked = (struct ledger_asked){0};
}

static void refuse(struct supervisor *s, const char *reason)
{
    char text[LEDGER_RESULT_BYTES];
    enter(s, RELOAD_NOT, 0);
    close_fd(&s->reload.program_fd);
    snprintf(text, sizeof text, "refused: %s\n", reason);
    reload_answer(s, 1, text);
}

/* ---- asking ---- */

static void await(struct supervisor *s, enum reload_stage stage, int pipe_fd)
{
    enter(s, stage, RELOAD_PATIENCE_MS);
    watch_add(s, pipe_fd, 0, WATCH_RELOAD, 0); /* no event asked for but its hanging up */
}

static void compare(struct supervisor *s, int snapshot_fd);

/* Nobody retires for a program before a worker of it has got ready. What is wrong with the configuration, compare says.
 */
static void rehearse(struct supervisor *s, int snapshot_fd)
{
    char error[SETTINGS_ERROR_BYTES];
    struct settings *settings = s->reload.verb == CONTROL_RESTART ? settings_parse(snapshot_fd, error) : NULL;
    if (settings == NULL) {
        compare(s, snapshot_fd);
        return;
    }
    if (rehearsal_begin(s, s->reload.program_fd, snapshot_fd, settings)) {
        enter(s, RELOAD_REHEARSING, settings->ready_timeout_ms);
        s->reload.snapshot_fd = snapshot_fd;
        watch_add(s, s->reload.rehearsal.control_fd, EPOLLIN, WATCH_RELOAD, 0);
    } else {
        refuse(s, strerror(errno));
        close_fd(&snapshot_fd);
    }
    settings_free(settings);
}

static void read_config(struct supervisor *s)
{
    struct ledger *ledger = s->ledger;
    if (ledger->config_is_text) {
        rehearse(s, fcntl(ledger->present.snapshot_fd, F_DUPFD_CLOEXEC, 3));
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
    s->reload.renews = false;
    log_info("%s: asked for by %s%s", control_verb_name[verb], s->ledger->asked.by,
             s->ledger->asked.count > 1 ? " and others" : "");
    notify_reloading();
    if (verb == CONTROL_RESTART) {
        check_programs(s);
    } else {
        read_config(s);
    }
}

void reload_turn(struct supervisor *s)
{
    struct ledger *ledger = s->ledger;
    while (s->phase == PHASE_RUNNING && !is_under_way(s) && ledger->asked_next.verbs != 0) {
        ledger->asked = ledger->asked_next;
        ledger->asked_next = (struct ledger_asked){0};
        for (uint32_t i = 0; i < ledger->waiters_count; i++) {
            ledger->waiters[i].later = 0;
        }
        /* A restart does all that a reload does. */
        start(s, (ledger->asked.verbs & bit(CONTROL_RESTART)) != 0 ? CONTROL_RESTART : CONTROL_RELOAD);
    }
}

void reload_ask(struct supervisor *s, enum control_verb verb, uint64_t client, const char *by)
{
    struct ledger_asked *next = &s->ledger->asked_next;
    if (s->phase != PHASE_STARTING && s->phase != PHASE_RUNNING) {
        log_info("%s: asked for by %s, while it is being stopped", control_verb_name[verb], by);
        if (client != RELOAD_NO_CLIENT) {
            control_reply(s->control, client, 1, "refused: the service is being stopped\n");
        }
        return;
    }
    if (next->verbs == 0) {
        snprintf(next->by, sizeof next->by, "%s", by);
    }
    next->verbs |= bit(verb);
    next->count++;
    if (client != RELOAD_NO_CLIENT) {
        add_waiter(s, verb, client);
    }
}

void reload_adopt(struct supervisor *s)
{
    struct ledger *ledger = s->ledger;
    forget_the_gone(s);
    if (ledger->asked.verbs == 0 || ledger->rolling != ROLLING_NOT) {
        return;
    }
    if ((ledger->asked.verbs & ASKED_ANSWERED) != 0) {
        reload_answer(s, ledger->last_result.exit_code, ledger->last_result.text);
        return;
    }
    /* The image before did not get as far as rolling: once more from the beginning. */
    if (ledger->asked_next.verbs == 0) {
        ledger->asked_next = (struct ledger_asked){0};
        snprintf(ledger->asked_next.by, sizeof ledger->asked_next.by, "%.*s", LEDGER_WHO_BYTES - 1, ledger->asked.by);
    }
    ledger->asked_next.verbs |= ledger->asked.verbs;
    ledger->asked_next.count += ledger->asked.count;
    ledger->asked = (struct ledger_asked){0};
}

/* ---- comparing ---- */

/* The worker program of what is to come: -1 if there is no descriptor left for it. */
static int take_program(struct supervisor *s, uint32_t *layout)
{
    int fd = s->reload.program_fd;
    s->reload.program_fd = -1;
    *layout = fd >= 0 ? s->reload.check.layout : s->ledger->present.layout;
    return fd >= 0 ? fd : fcntl(s->ledger->present.program_fd, F_DUPFD_CLOEXEC, 3);
}

static void roll(struct supervisor *s, const struct roll_plan *plan)
{
    enter(s, RELOAD_NOT, 0);
    roll_begin(s, plan);
    if (plan->verb == CONTROL_RESTART) {
        restart_exec(s); /* returns only if that was not possible */
    }
}

/* Nothing has changed yet: any failure here leaves all as it is. */
static void compare(struct supervisor *s, int snapshot_fd)
{
    char text[LEDGER_RESULT_BYTES - HEADLINE_BYTES];
    char error[LISTENERS_ERROR_BYTES];
    struct settings *next;
    struct listeners listeners;
    struct roll_plan plan = {.verb = s->reload.verb, .snapshot_fd = snapshot_fd, .program_fd = -1, .text = text};
    enum change change = change_weigh(s, snapshot_fd, &next, text, sizeof text);
    if (change == CHANGE_REFUSED) {
        refuse(s, text);
    } else if (change == CHANGE_NONE && s->reload.verb == CONTROL_RELOAD && !s->reload.renews) {
        enter(s, RELOAD_NOT, 0);
        reload_answer(s, 0, RELOAD_IDENTICAL);
    } else if ((plan.program_fd = take_program(s, &plan.layout)) < 0) {
        snprintf(error, sizeof error, "no descriptor for the worker program: %s", strerror(errno));
        refuse(s, error);
    } else if (listeners_prepare(&s->ledger->listeners, next, &listeners, error) == 0) {
        plan.settings = next;
        plan.listeners = &listeners;
        roll(s, &plan);
        return;
    } else {
        refuse(s, error);
    }
    settings_free(next);
    close_fd(&plan.program_fd);
    close_fd(&snapshot_fd);
}

void reload_renew(struct supervisor *s)
{
    if (is_under_way(s)) {
        return;
    }
    s->reload.verb = CONTROL_RELOAD;
    s->ledger->rolling_verb = CONTROL_RELOAD;
    s->reload.program_fd = -1;
    s->reload.renews = true;
    compare(s, fcntl(s->ledger->present.snapshot_fd, F_DUPFD_CLOEXEC, 3));
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
        rehearse(s, fd);
    } else {
        refuse(s, error);
    }
}

static void hear_rehearsal(struct supervisor *s)
{
    char error[REHEARSAL_ERROR_BYTES];
    bool late = clock_now().ms >= s->reload.deadline_ms;
    enum rehearsal_outcome outcome = rehearsal_hear(s, late, error);
    if (outcome == REHEARSAL_WAITS) {
        return;
    }
    rehearsal_end(s);
    if (outcome == REHEARSAL_READY) {
        int snapshot_fd = s->reload.snapshot_fd;
        s->reload.snapshot_fd = -1;
        compare(s, snapshot_fd);
    } else {
        close_fd(&s->reload.snapshot_fd);
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
    case RELOAD_REHEARSING:
        hear_rehearsal(s);
        return;
    }
}

bool reload_reaps(struct supervisor *s, pid_t pid)
{
    bool checks = s->reload.stage == RELOAD_CHECKING && s->reload.check.pid == pid;
    bool reads = s->reload.stage == RELOAD_READING && s->reload.taking.pid == pid;
    bool rehearses = s->reload.stage == RELOAD_REHEARSING && s->reload.rehearsal.pid == pid;
    if (checks || reads || rehearses) {
        reload_hear(s);
    }
    return checks || reads || rehearses;
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
    } else if (s->reload.stage == RELOAD_REHEARSING) {
        rehearsal_end(s);
        close_fd(&s->reload.snapshot_fd);
    }
    close_fd(&s->reload.program_fd);
    enter(s, RELOAD_NOT, 0);
}

void reload_cancel(struct supervisor *s)
{
    s->ledger->asked = s->ledger->asked_next = (struct ledger_asked){0};
    drop_helper(s);
    for (uint32_t i = 0; i < s->ledger->waiters_count; i++) {
        s->ledger->waiters[i].later = 0;
    }
    answer_waiters(s, 1, "refused: the service is being stopped\n", 0);
}
