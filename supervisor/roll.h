/* roll.h — renews the workers one at a time when an edition (configuration and program) replaces another, and puts the
 * good edition back when the new one's workers cannot live. */
#ifndef PERDURE_ROLL_H
#define PERDURE_ROLL_H

#include "supervisor/succession.h"
#include "supervisor/supervisor.h"

enum {
    ROLL_TRIAL_MS = 10000, /* how long a new edition is on trial after its roll, and a worker of it is young */
    ROLL_CRASHES_MAX = 5,  /* so many of its young workers may crash meanwhile */
    ROLL_PROOF_MS =
        500, /* a new program serves so long, before who asked for the restart is told that it was accepted */
    ROLL_CALM_MS = 1500, /* so long after a crash of the new edition's, before who asked is told anything */
};

/* ---- pure ---- */

enum roll_outlook {
    ROLL_DONE, /* every worker, surplus ones that still hand over too, is of that edition, or obsolete and on its way
                * out
                */
    ROLL_WAIT, /* somebody is on its way */
    ROLL_NEXT, /* *slot may be told to retire now */
    ROLL_ADD,  /* a fresh worker is to take the place of one that cannot be succeeded: scale.c sends that one away then
                */
};
enum roll_outlook roll_outlook(const struct workers *workers, const struct ledger_edition *edition, uint32_t *slot);

/* True if this death, of a worker of an edition on trial, is one too many. *CRASHES counts them. LIVED_MS: -1: it never
 * was ready. KILLS: so many before it in this slot were killed from outside, as far as anybody saw (how an orphan ended
 * that said nothing, nobody did), before they were ready. */
bool roll_is_hopeless(uint32_t *crashes, enum backoff_death blame, int64_t lived_ms, uint32_t kills);

/* ---- carrying it out ---- */

/* What a new edition brings. */
struct roll_plan {
    enum control_verb verb;
    int snapshot_fd;
    int program_fd;
    uint32_t layout; /* of the program's cells */
    struct settings *settings;
    const struct listeners *listeners; /* prepared */
    const char *text;                  /* what the result will say */
};

/* Begin; takes ownership of all that is in PLAN. roll_turn does the rest. */
void roll_begin(struct supervisor *s, const struct roll_plan *plan);

/* Do what is next; call in every turn of the loop. Returns when it wants to be called again, on clock_now()'s clock;
 * UINT64_MAX: no special time. */
uint64_t roll_turn(struct supervisor *s);

/* A worker died (its slot still has its state): does that end the roll, or the start? */
void roll_death(struct supervisor *s, const struct worker *w, enum backoff_death blame, int64_t lived_ms,
                const struct succession_death *death);

/* Put the good edition back because of REASON, which the one who asked is told. */
void roll_back(struct supervisor *s, const char *reason);

/* The supervisor has died, and this image has taken over: if it did so on trial, the new program was put back, or has
 * to live for longer than this. */
void roll_take_over(struct supervisor *s);

/* The present edition is good from now on: forget the one before. */
void roll_prove(struct supervisor *s);

#endif
