/* sandbox.h — a worker takes from itself all that it has no need of, before it reads the first byte of a stranger's. */
#ifndef PERDURE_WORKER_SANDBOX_H
#define PERDURE_WORKER_SANDBOX_H

#include "worker/worker.h"

/* No capabilities, no_new_privs: as the keeper is to be, too. Returns CONFINED_RIGHTS; 0: it could not. */
uint32_t sandbox_drop_rights(void);

/* For good, in addition to sandbox_drop_rights(): landlock: what may be opened is below the sites' roots, and only for
 * reading; seccomp: the system calls that a worker makes, any other one ends it (last_words.h). All that is opened by a
 * path outside the roots must be open by now. W's keeper is not confined: it forks the successor, which may serve other
 * roots.
 *
 * Returns enum confinement, which says what there was in this kernel. False in *GOOD, with why in WHY, if some of it
 * was not and the settings require it. */
uint32_t sandbox_enter(const struct worker *w, bool *good, char *why, size_t bytes);

#endif
