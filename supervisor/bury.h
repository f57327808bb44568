/* bury.h — the record of a death, and the one clear line in the log about each. */
#ifndef PERDURE_BURY_H
#define PERDURE_BURY_H

#include "supervisor/succession.h"
#include "supervisor/supervisor.h"

/* Note how W, which is dead, ended and what it had in hand, as w->last_death. WAS_READY: it had served; the death of
 * one that was only on its way is logged, but hides nobody's whom it was to succeed. */
void bury(struct supervisor *s, struct worker *w, const struct succession_death *death, enum birth_cause cause,
          bool was_ready);

/* W's successor stands: log who succeeded whom, why, and how long nobody served. */
void bury_tell_succession(const struct worker *w);

/* "kill -9 (signal 9)", "crash (SIGSEGV)", "exit 1" into TEXT. */
void bury_words(const struct worker_death *death, char *text, size_t bytes);

/* The name of the system call that the sandbox ended it for, of which there must be one. */
void bury_call_name(const struct worker_death *death, char *name, size_t bytes);

#endif
