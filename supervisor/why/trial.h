/* trial.h — really tries to listen on an address, and lets go of it at once. */
#ifndef PERDURE_WHY_TRIAL_H
#define PERDURE_WHY_TRIAL_H

#include "supervisor/why/facts.h"

/* bind(2) and listen(2) on each target, with SO_REUSEADDR and without it; their answers into its trial. A client that
 * connects in that very moment is reset. */
void trial_run(struct facts *facts);

#endif
