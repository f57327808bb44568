/* preview.h — `perdure diff`: what a reload would change now, told without doing it.
 *
 * Goes its own way beside reload.h: it may be asked while a reload is under way, and is then compared with what that
 * reload brings. */
#ifndef PERDURE_PREVIEW_H
#define PERDURE_PREVIEW_H

#include "supervisor/supervisor.h"

/* CLIENT asks. It is told by control_reply what the files say that are there from now on. */
void preview_ask(struct supervisor *s, uint64_t client);

/* The process that reads has finished (its pipe hung up), or its time is over. */
void preview_hear(struct supervisor *s);

/* True if PID is that process; then all that follows from its end is done. */
bool preview_reaps(struct supervisor *s, pid_t pid);

/* See to what takes too long. */
void preview_clock(struct supervisor *s);

/* End the process that reads. Whoever waits goes on waiting: for preview_resume, or in another image. */
void preview_drop(struct supervisor *s);
void preview_resume(struct supervisor *s);

/* Everything is to stop: whoever waits is told. */
void preview_cancel(struct supervisor *s);

#endif
