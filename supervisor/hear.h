/* hear.h — hears what workers and keepers report. */
#ifndef PERDURE_HEAR_H
#define PERDURE_HEAR_H

#include "supervisor/supervisor.h"

/* Read everything that W and its keepers have said, and do what follows. */
void hear_worker(struct supervisor *s, struct worker *w);

#endif
