/* roll.c — see roll.h. */
#include "supervisor/roll.h"

#include "supervisor/drain.h"
#include "supervisor/fd_store.h"
#include "supervisor/given.h"
#include "supervisor/image_trial.h"
#include "supervisor/inherit/log.h"
#include "supervisor/reload.h"
#include "supervisor/relog.h"
#include "supervisor/restart.h"
#include "supervisor/scale.h"
#include "supervisor/tend.h"

#include <stdio.h>
#include <string.h>

/* ---- pure ---- */

/* A surplus worker is, too: one client's slow response keeps it for as long as that takes, and meanwhile others may ask
 * it something. Its successor serves for a moment, and is told to give again (scale.c). */
static bool is_renewed(const struct worker *w)
{
    bool gives = w->heir >= 0 && w->state != WORKER_STOPPING && w->state != WORKER_ENDING;
    return gives || worker_is_active(w);
}

/* Obsolete workers, whose cells the program of EDITION cannot adopt, make way for as many fresh ones as are wanted. One
 * that does not serve now holds nothing up: perhaps it never will again. */
static enum roll_outlook outlook_of_obsolete(const struct workers *workers, const struct ledger_edition *edition)
{
    size_t active = workers_active(workers);
    size_t obsolete = 0;
    size_t serving = 0;
    for (uint32_t i = 0; i < workers->count; i++) {
        const struct worker *w = &workers->all[i];
        if (worker_is_active(w) && w->layout != edition->layout) {
            obsolete++;
            serving += w->state == WORKER_SERVING;
        }
    }
    size_t fresh = active - obsolete;
    if (obsolete > 0 && fresh < workers->wanted && (active <= workers->wanted || fresh == 0 || serving == 0)) {
        return ROLL_ADD;
    }
    return serving > 0 ? ROLL_WAIT : ROLL_DONE;
}

enum roll_outlook roll_outlook(const struct workers *workers, const struct ledger_edition *edition, uint32_t *slot)
{
    bool found = false;
    for (uint32_t i = 0; i < workers->count; i++) {
        const struct worker *w = &workers->all[i];
        if (!is_renewed(w) || w->layout != edition->layout) {
            continue;
        }
        if (w->state != WORKER_SERVING && w->state != WORKER_GIVING) {
            return ROLL_WAIT;
        }
        if (w->generation != edition->generation && !found) {
            found = true;
            *slot = i;
        }
    }
    return found ? ROLL_NEXT : outlook_of_obsolete(workers, edition);
}

bool roll_is_hopeless(uint32_t *crashes, enum backoff_death blame, int64_t lived_ms, uint32_t kills)
{
    if (blame == BACKOFF_KILL) {
        return lived_ms < 0 && kills >= BACKOFF_FREE_KILLS;
    }
    if (blame != BACKOFF_CRASH || lived_ms >= ROLL_TRIAL_MS) {
        return false;
    }
    ++*crashes;
    return lived_ms < 0 || *crashes >= ROLL_CRASHES_MAX;
}

/* ---- editions ---- */

static void edition_close(struct ledger_edition *edition)
{
    close_fd(&edition->snapshot_fd);
    close_fd(&edition->program_fd);
    edition->generation = 0;
}

void roll_prove(struct supervisor *s)
{
    struct ledger *ledger = s->ledger;
    if (ledger->good.generation != ledger->present.generation) {
        edition_close(&ledger->good);
        ledger->good = ledger->present;
        log_debug("generation %u is good", ledger->present.generation);
    }
    ledger->trial_ms = 0;
    ledger->crashes = 0;
    image_trial_end(ledger);
}

static void use_settings(struct supervisor *s, struct settings *settings)
{
    if (s->settings == NULL || s->settings->workers != settings->workers) {
        s->ledger->workers.wanted = scale_wanted(settings);
    }
    relog_change(s, s->settings, settings);
    settings_free(s->settings);
    s->settings = settings;
    control_permit(s->control, settings->control_group);
}

/* The ledger must not name, even for a moment, an edition that a process the service manager starts would not get. */
static void store_plan(struct supervisor *s, const struct roll_plan *plan)
{
    fd_store_add(s, plan->snapshot_fd);
    fd_store_add(s, plan->program_fd);
    for (size_t i = 0; i < plan->listeners->count; i++) {
        fd_store_add(s, plan->listeners->all[i].fd);
    }
}

void roll_begin(struct supervisor *s, const struct roll_plan *plan)
{
    struct ledger *ledger = s->ledger;
    roll_prove(s);
    store_plan(s, plan);
    bool same_layout = plan->layout == ledger->present.layout;
    ledger->present = (struct ledger_edition){.generation = ++ledger->generation,
                                              .snapshot_fd = plan->snapshot_fd,
                                              .program_fd = plan->program_fd,
                                              .layout = plan->layout};
    ledger->next_listeners = *plan->listeners;
    ledger->rolling = ROLLING_ON;
    ledger->calm_ms = 0;
    ledger->rolling_verb = plan->verb;
    snprintf(ledger->rolling_text, sizeof ledger->rolling_text, "%s: generation %u\n%s%s",
             plan->verb == CONTROL_RESTART ? "restarted" : "reloaded", ledger->present.generation, plan->text,
             same_layout ? ""
                         : "the new workers cannot adopt the old ones, which hand over or finish what they have\n");
    use_settings(s, plan->settings);
    log_info("%s: rolling to generation %u", control_verb_name[plan->verb], ledger->present.generation);
}

/* ---- the end of a roll ---- */

static void finish_on(struct supervisor *s)
{
    struct ledger *ledger = s->ledger;
    drain(s, &ledger->listeners, &ledger->next_listeners);
    listeners_commit(&ledger->listeners, &ledger->next_listeners);
    ledger->listeners = ledger->next_listeners;
    ledger->next_listeners.count = 0;
    listeners_tune(&ledger->listeners, s->settings);
    reload_note(s, 0, ledger->rolling_text);
    ledger->rolling = ROLLING_NOT;
    ledger->trial_ms = clock_now().ms + ROLL_TRIAL_MS;
    reload_answer(s, 0, ledger->rolling_text);
}

static void finish_back(struct supervisor *s)
{
    listeners_tune(&s->ledger->listeners, s->settings);
    reload_note(s, 1, s->ledger->rolling_text);
    s->ledger->rolling = ROLLING_NOT;
    reload_answer(s, 1, s->ledger->rolling_text);
    restart_exec_former(s);
}

static enum birth_cause roll_cause(const struct ledger *ledger)
{
    return ledger->rolling_verb == CONTROL_RESTART ? BIRTH_UPGRADE : BIRTH_RELOAD;
}

/* All are of the present edition. Returns when that is to be looked at again. */
static uint64_t finish(struct supervisor *s)
{
    struct ledger *ledger = s->ledger;
    uint64_t now = clock_now().ms;
    if (ledger->rolling == ROLLING_BACK) {
        finish_back(s);
        return UINT64_MAX;
    }
    if (ledger->calm_ms == 0) {
        ledger->calm_ms = ledger->rolling_verb == CONTROL_RESTART ? now + ROLL_PROOF_MS : now;
    }
    if (now < ledger->calm_ms) {
        return ledger->calm_ms;
    }
    finish_on(s);
    return UINT64_MAX;
}

static void end_trial(struct supervisor *s)
{
    if (s->ledger->trial_ms != 0 && clock_now().ms >= s->ledger->trial_ms) {
        roll_prove(s);
    }
}

uint64_t roll_turn(struct supervisor *s)
{
    struct ledger *ledger = s->ledger;
    uint32_t slot = 0;
    if (s->phase != PHASE_RUNNING) {
        return UINT64_MAX;
    }
    if (ledger->rolling == ROLLING_NOT) {
        end_trial(s);
        return UINT64_MAX;
    }
    switch (roll_outlook(&ledger->workers, &ledger->present, &slot)) {
    case ROLL_WAIT:
        return UINT64_MAX;
    case ROLL_NEXT:
        tend_retire(s, &ledger->workers.all[slot], roll_cause(ledger));
        return UINT64_MAX;
    case ROLL_ADD:
        scale_add(s);
        return UINT64_MAX;
    case ROLL_DONE:
        return finish(s);
    }
    return UINT64_MAX;
}

/* ---- back ---- */

/* The sockets of the good edition again. While it was rolling they were never closed; after that, what only it had must
 * be bound anew, and what cannot is reported and missed, for the rest must serve. */
static void listeners_back(struct supervisor *s, const struct settings *settings)
{
    struct ledger *ledger = s->ledger;
    if (ledger->rolling == ROLLING_ON) {
        drain(s, &ledger->next_listeners, &ledger->listeners);
        listeners_abandon(&ledger->listeners, &ledger->next_listeners);
        ledger->next_listeners.count = 0;
        return;
    }
    struct listeners next;
    char error[LISTENERS_ERROR_BYTES];
    if (listeners_prepare(&ledger->listeners, settings, &next, error) != 0) {
        log_error("rolling back: %s; the present listeners stay", error);
        return;
    }
    drain(s, &ledger->listeners, &next);
    listeners_commit(&ledger->listeners, &next);
    ledger->listeners = next;
}

void roll_take_over(struct supervisor *s)
{
    struct ledger *ledger = s->ledger;
    if (s->phase != PHASE_RUNNING || ledger->good.generation == ledger->present.generation) {
        return;
    }
    uint64_t now = clock_now().ms;
    if (ledger->put_back != 0) {
        roll_back(s, ledger->restarting != 0 ? "the new supervisor program died before it had taken over"
                                             : "the new supervisor program keeps dying");
    } else if (image_trial_is_on(ledger)) {
        ledger->calm_ms = now + ROLL_CALM_MS;
        ledger->trial_ms = ledger->trial_ms != 0 ? now + ROLL_TRIAL_MS : 0;
    }
}

void roll_back(struct supervisor *s, const char *reason)
{
    struct ledger *ledger = s->ledger;
    char error[SETTINGS_ERROR_BYTES];
    struct settings *settings = settings_parse(ledger->good.snapshot_fd, error);
    if (settings == NULL || !given_are_meant(settings, &ledger->listeners)) {
        log_error("can't happen: the good configuration cannot be read any more: %s", error);
        return;
    }
    uint32_t failed = ledger->present.generation;
    listeners_back(s, settings);
    edition_close(&ledger->present);
    ledger->present = ledger->good;
    ledger->trial_ms = 0;
    ledger->crashes = 0;
    bool was_asked = ledger->rolling == ROLLING_ON;
    ledger->rolling = ROLLING_BACK;
    use_settings(s, settings);
    snprintf(ledger->rolling_text, sizeof ledger->rolling_text,
             "refused: generation %u is given up, generation %u serves on: %s\n", failed, ledger->present.generation,
             reason);
    log_error("generation %u is given up%s, back to generation %u: %s", failed, was_asked ? "" : " after its roll",
              ledger->present.generation, reason);
}

/* ---- deaths ---- */

static void describe(const struct supervisor *s, const struct worker *w, int64_t lived_ms,
                     const struct succession_death *death, char *text, size_t bytes)
{
    char how[64];
    if (death->signal != 0) {
        snprintf(how, sizeof how, "signal %d (SIG%s)", death->signal, sigabbrev_np(death->signal));
    } else {
        snprintf(how, sizeof how, "exit %d", death->exit_code);
    }
    if (lived_ms < 0 && s->said[0] != '\0') {
        snprintf(text, bytes, "%s", s->said);
    } else if (lived_ms < 0 && w->killed_late != 0) {
        snprintf(text, bytes, "worker %u was not ready within ready_timeout", w->slot);
    } else if (lived_ms < 0 && w->backoff.kills >= BACKOFF_FREE_KILLS) {
        snprintf(text, bytes, "worker %u died before it was ready, %u times in a row", w->slot, w->backoff.kills + 1);
    } else if (lived_ms < 0) {
        snprintf(text, bytes, "worker %u died before it was ready: %s", w->slot, how);
    } else {
        snprintf(text, bytes, "its workers keep dying, last worker %u: %s", w->slot, how);
    }
}

void roll_death(struct supervisor *s, const struct worker *w, enum backoff_death blame, int64_t lived_ms,
                const struct succession_death *death)
{
    struct ledger *ledger = s->ledger;
    char reason[FAILURE_BYTES];
    describe(s, w, lived_ms, death, reason, sizeof reason);
    if (lived_ms < 0) {
        s->said[0] = '\0';
    }
    if (s->phase == PHASE_STARTING) {
        if (!s->failed) {
            snprintf(s->failure, sizeof s->failure, "%s", reason);
        }
        s->failed = true;
        return;
    }
    bool on_trial = s->phase == PHASE_RUNNING && ledger->good.generation != ledger->present.generation &&
                    w->generation == ledger->present.generation;
    if (on_trial && roll_is_hopeless(&ledger->crashes, blame, lived_ms, w->backoff.kills)) {
        roll_back(s, reason);
    } else if (on_trial && blame == BACKOFF_CRASH) {
        ledger->calm_ms = clock_now().ms + ROLL_CALM_MS;
    }
}
