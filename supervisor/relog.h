/* relog.h — gives the supervisor and its workers new log files: when they are to be reopened, and when a configuration
 * names others. */
#ifndef PERDURE_RELOG_H
#define PERDURE_RELOG_H

#include "supervisor/logs.h"
#include "supervisor/supervisor.h"

/* Use LOGS, which it takes, from now on. */
void relog_use(struct supervisor *s, const struct logs *logs);

/* Open the files of the present settings anew and hand them to every worker. Returns 0, or -1 with the reason in error;
 * then the old ones stay in use. */
int relog(struct supervisor *s, char error[LOGS_ERROR_BYTES]);

/* NEXT is to be in force instead of PRESENT: if it names other files, use those. What cannot be opened is logged. */
void relog_change(struct supervisor *s, const struct settings *present, const struct settings *next);

#endif
