/* restart.c — see restart.h. */
#include "supervisor/restart.h"

#include "supervisor/given.h"
#include "supervisor/identity.h"
#include "supervisor/inherit/log.h"
#include "supervisor/preview.h"
#include "supervisor/reload.h"
#include "supervisor/roll.h"
#include "supervisor/tend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 64 };

static void keep_over_exec(int32_t *fd, void *context) // NOLINT(readability-non-const-parameter): ledger_each_fd's
{
    (void)context;
    fcntl(*fd, F_SETFD, 0);
}

static void end_with_exec(int32_t *fd, void *context) // NOLINT(readability-non-const-parameter): ledger_each_fd's
{
    (void)context;
    fcntl(*fd, F_SETFD, FD_CLOEXEC);
}

/* The command line as it was, so that ps(1) shows what it always showed. COMMAND is borrowed. */
static void arguments_of(struct ledger *ledger, char *arguments[ARGUMENTS_MAX])
{
    static char name[] = "perdure";
    size_t count = 0;
    for (size_t at = 0; at < ledger->command_bytes && count < ARGUMENTS_MAX - 1;) {
        arguments[count++] = ledger->command + at;
        at += strnlen(ledger->command + at, ledger->command_bytes - at) + 1;
    }
    if (count == 0) {
        arguments[count++] = name;
    }
    arguments[count] = NULL;
}

void restart_exec(struct supervisor *s)
{
    struct ledger *ledger = s->ledger;
    char *arguments[ARGUMENTS_MAX];
    char number[16];
    preview_drop(s);
    control_keep(s->control, &ledger->control);
    arguments_of(ledger, arguments);
    ledger_each_fd(ledger, keep_over_exec, NULL);
    fcntl(s->ledger_fd, F_SETFD, 0);
    snprintf(number, sizeof number, "%d", s->ledger_fd);
    setenv(LEDGER_VARIABLE, number, 1);
    execv(ledger->own_path, arguments);

    int saved = errno;
    char reason[PATH_MAX + 64];
    unsetenv(LEDGER_VARIABLE);
    ledger_each_fd(ledger, end_with_exec, NULL);
    fcntl(s->ledger_fd, F_SETFD, FD_CLOEXEC);
    snprintf(reason, sizeof reason, "%s: %s", ledger->own_path, strerror(saved));
    roll_back(s, reason);
    preview_resume(s);
}

bool restart_is_resumed(void)
{
    return getenv(LEDGER_VARIABLE) != NULL;
}

/* ---- in the new image ---- */

static void watch_channel(struct supervisor *s, int fd, uint32_t slot)
{
    if (fd >= 0 && !watch_add(s, fd, EPOLLIN, WATCH_SLOT, slot)) {
        log_error("worker %u: descriptor %d of the ledger is no channel: %s", slot, fd, strerror(errno));
    }
}

static void adopt_worker(struct supervisor *s, struct worker *w)
{
    watch_channel(s, w->control_fd, w->slot);
    watch_channel(s, w->keeper_fd, w->slot);
    watch_channel(s, w->next_control_fd, w->slot);
    watch_channel(s, w->next_keeper_fd, w->slot);
    tend_map_cell(s, w);
}

/* Those who wait for a `diff` are read for anew: the process that read for them spoke to the image before. */
static void adopt_previews(struct supervisor *s)
{
    const struct control_kept *kept = &s->ledger->control;
    for (size_t i = 0; i < kept->clients_count && i < CONTROL_CLIENTS_MAX; i++) {
        if (kept->clients[i].asking == 0 && kept->clients[i].verb == CONTROL_DIFF) {
            preview_ask(s, kept->clients[i].client);
        }
    }
}

static bool adopt_settings(struct supervisor *s)
{
    char error[SETTINGS_ERROR_BYTES];
    s->settings = settings_parse(s->ledger->present.snapshot_fd, error);
    if (s->settings == NULL || !given_are_meant(s->settings, &s->ledger->listeners)) {
        log_error("the new supervisor cannot read the configuration: %s", error);
        return false;
    }
    char why[PRIVILEGE_ERROR_BYTES];
    if (!privilege_find(s->settings->user, &s->privilege, why)) {
        log_error("%s", why);
        return false;
    }
    return true;
}

bool restart_adopt(struct supervisor *s)
{
    const char *number = getenv(LEDGER_VARIABLE);
    s->ledger_fd = number != NULL ? (int)strtol(number, NULL, 10) : -1;
    unsetenv(LEDGER_VARIABLE);
    s->ledger = ledger_adopt(s->ledger_fd);
    if (s->ledger == NULL) {
        log_error("the ledger (descriptor %d) cannot be taken over: %s", s->ledger_fd, strerror(errno));
        return false;
    }
    fcntl(s->ledger_fd, F_SETFD, FD_CLOEXEC);
    ledger_each_fd(s->ledger, end_with_exec, NULL);
    if (s->ledger->error_log_is_syslog) {
        log_to_syslog();
    }
    if (!adopt_settings(s)) {
        return false;
    }
    if (!identity_adopt(s->ledger->run_dir, s->ledger->lock_fd)) {
        log_error("the lock of %s is not ours any more", s->ledger->run_dir);
    }
    for (uint32_t i = 0; i < s->ledger->workers.count; i++) {
        adopt_worker(s, &s->ledger->workers.all[i]);
    }
    char error[CONTROL_ERROR_BYTES];
    s->control = control_adopt(s->ledger->run_dir, &s->ledger->control);
    if (s->control == NULL && (s->control = control_open(s->ledger->run_dir, error)) == NULL) {
        log_error("%s", error);
        return false;
    }
    reload_adopt(s);
    adopt_previews(s);
    s->ledger->images++;
    log_info("a new supervisor has taken over, image %u", s->ledger->images);
    return true;
}
