/* salvage.c — see salvage.h. */
#include "supervisor/salvage.h"

#include "supervisor/door.h"
#include "supervisor/inherit/clock.h"
#include "supervisor/inherit/log.h"
#include "supervisor/logs.h"
#include "supervisor/program.h"
#include "supervisor/supervisor.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool salvage_add(struct salvage *salvage, const struct orphan_found *found)
{
    if (salvage->count == salvage->room) {
        size_t room = 2 * salvage->room + 8;
        void *longer = reallocarray(salvage->all, room, sizeof *salvage->all);
        if (longer == NULL) {
            return false;
        }
        salvage->all = longer;
        salvage->room = room;
    }
    salvage->all[salvage->count++] = *found;
    return true;
}

void salvage_free(struct salvage *salvage)
{
    for (size_t i = 0; i < salvage->count; i++) {
        struct orphan_found *found = &salvage->all[i];
        close_fd(&found->fd);
        close_fd(&found->ledger_fd);
        close_fd(&found->snapshot_fd);
        close_fd(&found->program_fd);
        close_fd(&found->cell_fd);
        for (size_t j = 0; j < found->listeners_count; j++) {
            close_fd(&found->listener_fds[j]);
        }
    }
    free(salvage->all);
    *salvage = (struct salvage){0};
}

/* It is the ledger's from now on. */
static int take(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

/* ---- the edition to go on with ---- */

static bool is_snapshot(int fd)
{
    const int sealed = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
    return ledger_is_memfd(fd, "perdure-snapshot") && (fcntl(fd, F_GET_SEALS) & sealed) == sealed;
}

/* Its owner is one who could replace ours as well. */
static bool is_program(int fd)
{
    struct stat facts;
    return fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode) && (facts.st_mode & S_IXUSR) != 0 &&
           (facts.st_mode & S_IWOTH) == 0 && (facts.st_uid == 0 || facts.st_uid == geteuid());
}

/* Who can give an edition of GENERATION; 0: the latest there is. */
static struct orphan_found *giver_of(struct salvage *salvage, uint32_t generation)
{
    struct orphan_found *latest = NULL;
    for (size_t i = 0; i < salvage->count; i++) {
        struct orphan_found *found = &salvage->all[i];
        bool can = found->heard == ORPHAN_ANSWERED && is_snapshot(found->snapshot_fd) && is_program(found->program_fd);
        if (can && (generation == 0 ? latest == NULL || found->words.generation > latest->words.generation
                                    : found->words.generation == generation)) {
            latest = found;
        }
    }
    return latest;
}

static bool all_are_of(const struct salvage *salvage, uint32_t generation)
{
    for (size_t i = 0; i < salvage->count; i++) {
        if (salvage->all[i].heard == ORPHAN_ANSWERED && salvage->all[i].words.generation != generation) {
            return false;
        }
    }
    return true;
}

/* The good edition, if a roll was under way and anybody has it still; else the present one; else what there is. A roll
 * is never gone on with: who asked for it was told that the supervisor went. */
static bool settle_edition(struct salvage *salvage, struct ledger *ledger)
{
    bool was_rolling = ledger->rolling == ROLLING_ON;
    struct ledger_edition edition = was_rolling ? ledger->good : ledger->present;
    struct orphan_found *giver = edition.generation != 0 ? giver_of(salvage, edition.generation) : NULL;
    if (giver == NULL && was_rolling) {
        edition = ledger->present;
        giver = giver_of(salvage, edition.generation);
    }
    if (giver == NULL && (giver = giver_of(salvage, 0)) != NULL) {
        edition.generation = giver->words.generation;
        edition.layout = ledger->workers.all[giver->slot].layout;
    }
    if (giver == NULL) {
        return false;
    }
    if (was_rolling && edition.generation == ledger->present.generation) {
        ledger->listeners = ledger->next_listeners;
    }
    edition.snapshot_fd = take(&giver->snapshot_fd);
    edition.program_fd = take(&giver->program_fd);
    ledger->present = ledger->good = edition;
    ledger->next_listeners.count = 0;
    ledger->trial_ms = 0;
    ledger->crashes = 0;
    ledger->rolling = all_are_of(salvage, edition.generation) ? ROLLING_NOT : ROLLING_BACK;
    ledger->rolling_verb = CONTROL_RELOAD;
    snprintf(ledger->rolling_text, sizeof ledger->rolling_text,
             "refused: the supervisor and its keeper died meanwhile: generation %u serves on\n", edition.generation);
    return true;
}

/* ---- listeners ---- */

static int take_listener(struct salvage *salvage, const struct listeners *given, uint64_t cookie)
{
    for (size_t i = 0; i < salvage->count; i++) {
        struct orphan_found *found = &salvage->all[i];
        for (size_t j = 0; j < found->listeners_count; j++) {
            if (found->listener_fds[j] >= 0 && listeners_cookie(found->listener_fds[j]) == cookie) {
                return take(&found->listener_fds[j]);
            }
        }
    }
    for (size_t i = 0; i < given->count; i++) {
        if (listeners_cookie(given->all[i].fd) == cookie) {
            return given->all[i].fd; /* it rests: no worker has it */
        }
    }
    return -1;
}

static void settle_listeners(struct salvage *salvage, struct ledger *ledger, const struct listeners *given)
{
    for (size_t i = 0; i < ledger->listeners.count; i++) {
        struct listener *listener = &ledger->listeners.all[i];
        listener->fd = take_listener(salvage, given, listener->cookie);
    }
}

/* ---- workers ---- */

/* Nobody of it was found: it is dead, and who takes over learns of that as of any other death. */
static void miss_worker(struct ledger *ledger, struct worker *w)
{
    bool ends = w->state == WORKER_EMPTY || w->state == WORKER_STOPPING || w->state == WORKER_ENDING;
    door_remove(ledger->run_dir, w->slot);
    if (ends) {
        worker_clear(w);
        return;
    }
    log_error("worker %u gen %u: died without a supervisor, and its connections with it", w->slot, w->generation);
    worker_find(w, WORKER_SERVING, clock_now().ms);
    w->control_fd = w->cell_fd = -1;
}

static void settle_worker(struct ledger *ledger, struct orphan_found *found)
{
    struct worker *w = &ledger->workers.all[found->slot];
    uint64_t now_ms = clock_now().ms;
    worker_find(w, found->words.stopping != 0 ? WORKER_STOPPING : WORKER_SERVING, now_ms);
    w->generation = found->words.generation;
    w->pid = found->pid;
    w->control_fd = take(&found->fd);
    w->cell_fd = take(&found->cell_fd);
    w->beat_ms = now_ms;
    w->ready_ms = w->ready_ms != 0 ? w->ready_ms : now_ms;
    if (found->slot >= ledger->workers.count) {
        ledger->workers.count = found->slot + 1;
    }
}

static struct orphan_found *find_slot(const struct salvage *salvage, uint32_t slot)
{
    for (size_t i = 0; i < salvage->count; i++) {
        struct orphan_found *found = &salvage->all[i];
        if (found->slot == slot && found->heard == ORPHAN_ANSWERED && ledger_is_memfd(found->cell_fd, "perdure-cell")) {
            return found;
        }
    }
    return NULL;
}

static void settle_workers(const struct salvage *salvage, struct ledger *ledger)
{
    ledger->orphans = 0;
    for (uint32_t slot = 0; slot < WORKERS_MAX; slot++) {
        struct orphan_found *found = find_slot(salvage, slot);
        if (found != NULL) {
            settle_worker(ledger, found);
            ledger->orphans++;
        } else if (slot < ledger->workers.count) {
            miss_worker(ledger, &ledger->workers.all[slot]);
        }
    }
    workers_trim(&ledger->workers);
}

/* ---- the rest ---- */

/* Whoever waited for an answer knows that the supervisor went; nothing is owed to anybody. */
static void forget_askers(struct ledger *ledger)
{
    control_keep_nothing(&ledger->control);
    ledger->asked = ledger->asked_next = (struct ledger_asked){0};
    ledger->waiters_count = 0;
    for (size_t i = 0; i < LEDGER_GIFTS_MAX; i++) {
        ledger->gifts[i].fd = -1; /* a surplus worker is told anew to give */
    }
}

static bool open_logs(struct ledger *ledger, char error[ORPHANS_ERROR_BYTES])
{
    char why[LOGS_ERROR_BYTES] = "their configuration cannot be read";
    char unreadable[SETTINGS_ERROR_BYTES];
    struct logs logs;
    struct settings *settings = settings_parse(ledger->present.snapshot_fd, unreadable);
    bool opened = settings != NULL && logs_open(settings, ledger->foreground != 0, ledger->stderr_fd, &logs, why);
    settings_free(settings);
    if (!opened) {
        snprintf(error, ORPHANS_ERROR_BYTES, "the workers that the dead supervisor left serve on, but: %s", why);
        return false;
    }
    ledger->error_log_fd = logs.error_fd;
    ledger->access_log_fd = logs.access_fd;
    ledger->error_log_is_syslog = logs.to_syslog;
    dup2(logs.error_fd, STDERR_FILENO);
    return true;
}

static void settle_heir(struct ledger *ledger, const struct orphans_heir *heir)
{
    ledger->foreground = heir->foreground;
    ledger->lock_fd = heir->lock_fd;
    ledger->ready_fd = heir->ready_fd;
    ledger->stderr_fd = heir->foreground ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1) : -1;
    ledger->keeper_fd = -1;
    ledger->keeper_pid = 0;
    ledger->restarting = ledger->put_back = ledger->image_deaths = 0;
    ledger->former_program_fd = -1;
    if (ledger->config_is_text == 0) {
        snprintf(ledger->config_path, sizeof ledger->config_path, "%s", heir->config_path);
    }
    (void)program_own_path(ledger->own_path);
}

/* When the first of them saw that it has no supervisor. */
static uint64_t since_us(const struct salvage *salvage)
{
    uint64_t first = clock_now_us();
    for (size_t i = 0; i < salvage->count; i++) {
        const struct orphan_found *found = &salvage->all[i];
        if (found->heard == ORPHAN_ANSWERED && found->words.since_us < first) {
            first = found->words.since_us;
        }
    }
    return first;
}

bool salvage_settle(struct salvage *salvage, struct ledger *ledger, const struct orphans_heir *heir,
                    char error[ORPHANS_ERROR_BYTES])
{
    if (!settle_edition(salvage, ledger)) {
        snprintf(error, ORPHANS_ERROR_BYTES,
                 "the workers that the dead supervisor left have no configuration that can "
                 "be believed; end them, then start");
        return false;
    }
    settle_heir(ledger, heir);
    if (!open_logs(ledger, error)) {
        return false;
    }
    forget_askers(ledger);
    settle_listeners(salvage, ledger, heir->given);
    ledger->died_us = since_us(salvage);
    settle_workers(salvage, ledger);
    return true;
}
