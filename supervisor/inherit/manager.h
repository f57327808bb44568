/* manager.h — what a service manager says by what it does: who is left without a supervisor asks whether it was
 * stopped.
 *
 * systemd removes what RUNTIME_DIRECTORY of systemd.exec(5) names when it has stopped a service, not when it is about
 * to start it again. Where a stop comes between a death and that start, it runs nothing of ours. */
#ifndef PERDURE_MANAGER_H
#define PERDURE_MANAGER_H

#include <stdbool.h>

/* True if the manager made the directory of PATH, and PATH is gone. */
bool manager_has_removed(const char *path);

#endif
