/* reload.h — reload and restart, from the request to the roll, and their answers. */
#ifndef PERDURE_RELOAD_H
#define PERDURE_RELOAD_H

#include "supervisor/supervisor.h"

enum { RELOAD_PATIENCE_MS = 10000, RELOAD_NO_CLIENT = 0 };

/* CLIENT (RELOAD_NO_CLIENT: a signal) asks for VERB (CONTROL_RELOAD or CONTROL_RESTART). It is answered when that is
 * done or refused. Requests that come meanwhile are merged: one more afterwards answers them all. */
void reload_ask(struct supervisor *s, enum control_verb verb, uint64_t client);

/* The process that checks or reads has finished (its pipe hung up), or its time is over. */
void reload_hear(struct supervisor *s);

/* True if PID is such a process; then all that follows from its end is done. */
bool reload_reaps(struct supervisor *s, pid_t pid);

/* See to what takes too long. */
void reload_clock(struct supervisor *s);

/* The reload or restart under way ends with this: tell everybody who waits, the log and systemd. */
void reload_answer(struct supervisor *s, int exit_code, const char *text);

/* Everything is to stop: whoever waits is told. */
void reload_cancel(struct supervisor *s);

#endif
