/* succession.h — a successor takes over what its predecessor left in the cell and in the descriptor table. */
#ifndef PERDURE_WORKER_SUCCESSION_H
#define PERDURE_WORKER_SUCCESSION_H

#include "worker/worker.h"

struct succession {
    uint32_t adopted;  /* connections */
    uint32_t dropped;  /* did not add up */
    uint32_t phantoms; /* slots among them that speak of nothing that is open */
    int suspect;       /* the descriptor whose request was in hand when the predecessor crashed, -1: none */
    bool poison;       /* that request has had its second try already */
};

/* Learn which descriptors the predecessor left open, before this process opens any of its own. */
void succession_look(struct worker *w);

/* Go through the slots and through every descriptor: claim desks and files, close what nobody speaks of. Touches no
 * stream and opens nothing, so that until the report READY the old keeper's table stays as good as ours. */
void succession_adopt(struct worker *w, struct succession *succession);

/* After READY: step every connection that is in the middle of something, the suspect last. */
void succession_continue(struct worker *w, const struct succession *succession);

#endif
