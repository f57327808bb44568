/* stop.h — the end of the service: graceful with a deadline, or at once. */
#ifndef PERDURE_STOP_H
#define PERDURE_STOP_H

#include "supervisor/supervisor.h"

/* Stop gracefully; asked a second time, or after the deadline, at once. */
void stop_ask(struct supervisor *s);
void stop_now(struct supervisor *s);

/* Go on with what the image before this one had begun, if it was stopping. */
void stop_resume(struct supervisor *s);

/* Do what is next. True when no process of ours is left. */
bool stop_turn(struct supervisor *s);

#endif
