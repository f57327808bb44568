/* scale.h — as many workers as are wanted: more at once, fewer by handing their connections over. */
#ifndef PERDURE_SCALE_H
#define PERDURE_SCALE_H

#include "supervisor/supervisor.h"

/* How many workers SETTINGS want: their number, or one for each processor this process may run on. */
unsigned scale_wanted(const struct settings *settings);

/* One more (STEP 1) or one less (-1) is wanted. */
void scale_step(struct supervisor *s, int step);

/* Start what is missing, tell what is surplus to give. Call in every turn of the loop. */
void scale_turn(struct supervisor *s);

#endif
