/* hang.h — notices workers that make no turn of their loop. */
#ifndef PERDURE_HANG_H
#define PERDURE_HANG_H

#include "supervisor/supervisor.h"

/* How often to look: workers beat as often, even when idle. */
uint64_t hang_period_ms(const struct supervisor *s);

/* Look at every heartbeat if it is time to. */
void hang_check(struct supervisor *s);

#endif
