/* hang.h — notices workers that make no turn of their loop. */
#ifndef PERDURE_HANG_H
#define PERDURE_HANG_H

#include "supervisor/supervisor.h"

/* How often to look: workers beat as often, even when idle. */
uint64_t hang_period_ms(const struct supervisor *s);

/* At NOW_MS, is any worker that should make turns silent for longer than hang_timeout and GRACE_MS? Changes nothing. */
bool hang_is_overdue(const struct supervisor *s, uint64_t now_ms, uint64_t grace_ms);

/* Look at every heartbeat if it is time to. */
void hang_check(struct supervisor *s);

#endif
