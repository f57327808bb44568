/* preview.c — see preview.h. */
#include "supervisor/preview.h"

#include "supervisor/change.h"
#include "supervisor/inherit/log.h"
#include "supervisor/listener_probe.h"
#include "supervisor/reload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { DIFF_BYTES = 32 * 1024 };

/* ---- answers ---- */

static void answer_covered(struct supervisor *s, enum diff_result result, const char *text)
{
    struct preview *preview = &s->preview;
    for (size_t i = 0; i < preview->covered; i++) {
        control_reply(s->control, preview->clients[i], result, text);
    }
    preview->clients_count -= preview->covered;
    memmove(preview->clients, preview->clients + preview->covered, preview->clients_count * sizeof preview->clients[0]);
    preview->covered = 0;
}

static void refuse(struct supervisor *s, const char *reason)
{
    char text[LEDGER_RESULT_BYTES];
    snprintf(text, sizeof text, "refused: %.*s\n", (int)sizeof text - 16, reason);
    answer_covered(s, DIFF_REFUSED, text);
}

/* ---- comparing ---- */

static const struct listeners *present_listeners(const struct ledger *ledger)
{
    return ledger->rolling == ROLLING_ON ? &ledger->next_listeners : &ledger->listeners;
}

static void compare(struct supervisor *s, int snapshot_fd)
{
    char text[DIFF_BYTES];
    char error[LISTENERS_ERROR_BYTES];
    struct settings *next;
    enum change change = change_weigh(s, snapshot_fd, &next, text, sizeof text);
    if (change == CHANGE_REFUSED) {
        refuse(s, text);
        return;
    }
    if (change == CHANGE_NONE) {
        answer_covered(s, DIFF_SAME, RELOAD_IDENTICAL);
    } else if (listeners_probe(present_listeners(s->ledger), next, error) == 0) {
        answer_covered(s, DIFF_CHANGES, text);
    } else {
        refuse(s, error);
    }
    settings_free(next);
}

/* ---- reading ---- */

static void begin(struct supervisor *s)
{
    struct preview *preview = &s->preview;
    preview->covered = preview->clients_count;
    if (s->ledger->config_is_text) { /* there is no file that could differ */
        answer_covered(s, DIFF_SAME, RELOAD_IDENTICAL);
        return;
    }
    if (snapshot_begin(&preview->taking, s->ledger->config_path, NULL) != 0) {
        refuse(s, strerror(errno));
        return;
    }
    preview->reading = true;
    preview->deadline_ms = clock_now().ms + RELOAD_PATIENCE_MS;
    watch_add(s, preview->taking.pipe_fd, 0, WATCH_PREVIEW, 0); /* no event asked for but its hanging up */
}

void preview_resume(struct supervisor *s)
{
    if (!s->preview.reading && s->preview.clients_count > 0) {
        begin(s);
    }
}

/* The snapshot, or -1 with error. */
static int end_reading(struct supervisor *s, char error[SETTINGS_ERROR_BYTES])
{
    watch_stop(s, s->preview.taking.pipe_fd);
    s->preview.reading = false;
    return snapshot_finish(&s->preview.taking, error);
}

void preview_hear(struct supervisor *s)
{
    char error[SETTINGS_ERROR_BYTES];
    if (!s->preview.reading) {
        return;
    }
    int fd = end_reading(s, error);
    if (fd >= 0) {
        compare(s, fd);
        close_fd(&fd);
    } else {
        refuse(s, error);
    }
    preview_resume(s); /* for those who asked meanwhile */
}

bool preview_reaps(struct supervisor *s, pid_t pid)
{
    bool reads = s->preview.reading && s->preview.taking.pid == pid;
    if (reads) {
        preview_hear(s);
    }
    return reads;
}

void preview_clock(struct supervisor *s)
{
    if (s->preview.reading && clock_now().ms >= s->preview.deadline_ms) {
        preview_hear(s);
    }
}

/* ---- asking ---- */

/* Those who went meanwhile make room. */
static void forget_the_gone(struct supervisor *s)
{
    struct preview *preview = &s->preview;
    size_t left = 0, covered = 0;
    for (size_t i = 0; i < preview->clients_count; i++) {
        if (control_owes(s->control, preview->clients[i])) {
            covered += i < preview->covered;
            preview->clients[left++] = preview->clients[i];
        }
    }
    preview->clients_count = left;
    preview->covered = covered;
}

void preview_ask(struct supervisor *s, uint64_t client)
{
    if (s->phase != PHASE_RUNNING) {
        control_reply(s->control, client, DIFF_REFUSED, "refused: it is being started or stopped\n");
        return;
    }
    forget_the_gone(s);
    if (s->preview.clients_count == CONTROL_CLIENTS_MAX) {
        log_error("can't happen: more wait for a diff than there are places");
        return;
    }
    s->preview.clients[s->preview.clients_count++] = client;
    preview_resume(s);
}

void preview_drop(struct supervisor *s)
{
    char error[SETTINGS_ERROR_BYTES];
    if (s->preview.reading) {
        int fd = end_reading(s, error);
        close_fd(&fd);
    }
    s->preview.covered = 0;
}

void preview_cancel(struct supervisor *s)
{
    preview_drop(s);
    s->preview.covered = s->preview.clients_count;
    refuse(s, "the service is being stopped");
}
