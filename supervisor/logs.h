/* logs.h — opens the log files, as root, for the supervisor and for its workers, which get the descriptors. */
#ifndef PERDURE_LOGS_H
#define PERDURE_LOGS_H

#include "supervisor/inherit/settings.h"

#include <stdbool.h>
#include <stdint.h>

enum { LOGS_ERROR_BYTES = 512 };

struct logs {
    int32_t error_fd;  /* for syslog: a descriptor of /dev/null */
    int32_t access_fd; /* off: of /dev/null */
    uint32_t to_syslog;
};

/* Open what SETTINGS say; all descriptors are close-on-exec. "stderr" is descriptor STDERR_FD, which is duplicated, but
 * syslog in a background process, whose stderr is somebody's terminal that will go. False with cause and remedy in
 * error, nothing left open. */
bool logs_open(const struct settings *settings, bool foreground, int stderr_fd, struct logs *logs,
               char error[LOGS_ERROR_BYTES]);

#endif
