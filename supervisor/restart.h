/* restart.h — the supervisor's new image in place of the old: the same process, the same descriptors, the ledger. */
#ifndef PERDURE_RESTART_H
#define PERDURE_RESTART_H

#include "supervisor/supervisor.h"

/* Exec the program now on disk. A roll must have begun; the new image goes on with it. Returns only if that was not
 * possible: then the roll is taken back and whoever asked is told. */
void restart_exec(struct supervisor *s);

/* True if this process is such a new image. */
bool restart_is_resumed(void);

/* Take everything over from the image before: the ledger and all descriptors it names. False if the ledger does not add
 * up; that is logged. */
bool restart_adopt(struct supervisor *s);

#endif
