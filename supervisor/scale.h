/* scale.h — as many workers as are wanted: more at once, fewer by handing their connections over. */
#ifndef PERDURE_SCALE_H
#define PERDURE_SCALE_H

#include "supervisor/supervisor.h"

/* How many workers SETTINGS want: their number, or one for each processor this process may run on. */
unsigned scale_wanted(const struct settings *settings);

/* One more (STEP 1) or one less (-1) is wanted. */
void scale_step(struct supervisor *s, int step);

/* Start one worker more, of the present edition. */
void scale_add(struct supervisor *s);

/* Start what is missing, tell what is surplus to give, and those that the present program cannot adopt as soon as fresh
 * ones serve in their place: true if one of those is on its way out now. Call in every turn of the loop. */
bool scale_turn(struct supervisor *s);

/* The supervisor itself has connections to give: the socket for their parcels, which the caller closes. A worker is
 * told to take them, now or when it serves. -1: there is none. */
int scale_open_gift(struct supervisor *s);

#endif
