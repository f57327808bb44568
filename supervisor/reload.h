/* reload.h — reload and restart, from the request to the roll, and their answers. */
#ifndef PERDURE_RELOAD_H
#define PERDURE_RELOAD_H

#include "supervisor/supervisor.h"

enum { RELOAD_PATIENCE_MS = 10000, RELOAD_NO_CLIENT = 0 };

#define RELOAD_IDENTICAL "identical, nothing to do\n"

/* CLIENT (RELOAD_NO_CLIENT: a signal) asks for VERB (CONTROL_RELOAD or CONTROL_RESTART). It is answered when that is
 * done or refused. Requests that come while one is under way are merged: one more afterwards answers them all. BY: who
 * asks, through which door; copied. */
void reload_ask(struct supervisor *s, enum control_verb verb, uint64_t client, const char *by);

/* Begin what was asked for, when nothing is under way; call in every turn of the loop. */
void reload_turn(struct supervisor *s);

/* In a new image: go on with what the ledger says was asked for. */
void reload_adopt(struct supervisor *s);

/* Roll to the same configuration once more, with sockets that are bound anew where that is needed. Does nothing while a
 * reload is under way. */
void reload_renew(struct supervisor *s);

/* The process that checks or reads has finished (its pipe hung up), or its time is over. */
void reload_hear(struct supervisor *s);

/* True if PID is such a process; then all that follows from its end is done. */
bool reload_reaps(struct supervisor *s, pid_t pid);

/* See to what takes too long. */
void reload_clock(struct supervisor *s);

/* What came of the reload or restart under way: into the ledger, before it counts as over, so that an image that takes
 * over can still tell it. Once is enough. */
void reload_note(struct supervisor *s, int exit_code, const char *text);

/* The reload or restart under way ends with this: note it, and tell everybody who waits, the log and systemd. */
void reload_answer(struct supervisor *s, int exit_code, const char *text);

/* The lines of TEXT as one, with "; " between them, for systemd's STATUS=. What does not fit into BYTES (8 at least) is
 * left out whole, and "; …" says so. For reload.c and its test. */
void reload_one_line(const char *text, char *line, size_t bytes);

/* Everything is to stop: whoever waits is told. */
void reload_cancel(struct supervisor *s);

#endif
