/* restart.h — the supervisor's new image in place of the old: the same process, the same descriptors, the ledger. */
#ifndef PERDURE_RESTART_H
#define PERDURE_RESTART_H

#include "supervisor/supervisor.h"

/* Exec the program now on disk. A roll must have begun; the new image goes on with it (takeover.h). Returns only if
 * that was not possible: then the roll is taken back and whoever asked is told. */
void restart_exec(struct supervisor *s);

/* The edition of a restart was given up: exec the program from before it, which is to be the supervisor again. Returns
 * if there is none to go back to, or that was not possible: then this one goes on. */
void restart_exec_former(struct supervisor *s);

#endif
