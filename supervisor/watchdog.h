/* watchdog.h — tells the service manager that all is well, for as long as it is. */
#ifndef PERDURE_WATCHDOG_H
#define PERDURE_WATCHDOG_H

#include "supervisor/supervisor.h"

/* To be called in every turn of the loop, and from nowhere else: that it turns is what is told. Sends WATCHDOG=1 at
 * half the interval that the manager asked for, unless a worker is silent for longer than hang_timeout. Returns when it
 * is to be called next at the latest, on clock_now()'s clock; UINT64_MAX: with the loop's next turn, whenever that is.
 */
uint64_t watchdog_turn(struct supervisor *s);

#endif
