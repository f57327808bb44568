/* desks.h — who has which desk. A desk is borrowed by a connection while it has a request, and given back; desks that
 * a burst has used and nobody needs now are given back to the machine. */
#ifndef PERDURE_WORKER_DESKS_H
#define PERDURE_WORKER_DESKS_H

#include "supervisor/inherit/cell.h"

#include <stdbool.h>
#include <stdint.h>

/* Invariants: punched <= free_count; rested <= free_count; every desk number below fresh is borrowed or in free[],
 * never both; no desk from fresh on has memory under it but those from stale on. */
struct desks {
    const struct cell *cell;
    int32_t *free; /* a stack of desks given back; the last one is the warmest */
    uint32_t free_count;
    uint32_t punched; /* free[0..punched) have no memory under them */
    uint32_t rested;  /* free[0..rested) were not borrowed since the last trim */
    uint32_t fresh;   /* desks from here on were never used by this worker */
    uint32_t stale; /* the first that a predecessor left memory under, and no connection speaks of; slots_count: none */
    uint8_t *claimed; /* only while a successor counts: a bit per desk */
};

/* Begin with no desk borrowed. There are as many desks as slots, so borrowing never fails. */
bool desks_open(struct desks *desks, const struct cell *cell);
void desks_close(struct desks *desks);

int32_t desks_borrow(struct desks *desks);
void desks_give_back(struct desks *desks, int32_t number);

/* A successor's count: claim each desk that a slot speaks of (false: out of bounds, or claimed twice), then settle. */
bool desks_claim(struct desks *desks, int32_t number);
void desks_settle(struct desks *desks);

/* Punch holes under desks that nobody borrowed since the last call, keeping a few warm; at most some hundreds a call.
 * Call it once a second, and sooner while there is more to give back. */
void desks_trim(struct desks *desks);
bool desks_have_more(const struct desks *desks);

#endif
