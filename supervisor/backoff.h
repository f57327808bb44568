/* backoff.h — how long to wait before a worker that cannot live is succeeded once more.
 *
 * Pure arithmetic: no clock, no system calls. */
#ifndef PERDURE_BACKOFF_H
#define PERDURE_BACKOFF_H

#include <stdint.h>

enum {
    BACKOFF_FIRST_MS = 10,
    BACKOFF_LONGEST_MS = 5000,
    BACKOFF_SHORT_LIFE_MS = 1000, /* died younger than this after READY, or before it: the wait doubles */
    BACKOFF_LONG_LIFE_MS = 10000, /* lived as long as this: all is forgiven */
    BACKOFF_FREE_KILLS = 10,      /* so many kills from outside in a row, all before READY, cost nothing */
};

enum backoff_death {
    BACKOFF_CRASH,  /* by its own fault: a signal of its program, an exit, a hang, never ready */
    BACKOFF_KILL,   /* from outside */
    BACKOFF_RETIRE, /* on order */
};

/* Plain data, part of the ledger. All zero is the beginning. */
struct backoff {
    uint32_t crashes; /* in a row, none of which lived long */
    uint32_t kills;   /* in a row, each before READY */
    uint32_t delay_ms;
};

/* A worker died LIVED_MS after it was READY; -1: it never was. Returns how many milliseconds to wait before the next.
 */
uint32_t backoff_after(struct backoff *backoff, enum backoff_death death, int64_t lived_ms);

#endif
