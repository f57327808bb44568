/* settings_check.h — what must hold between values, and between values and this machine. */
#ifndef PERDURE_INHERIT_SETTINGS_CHECK_H
#define PERDURE_INHERIT_SETTINGS_CHECK_H

#include "supervisor/inherit/config_scan.h"
#include "supervisor/inherit/settings.h"
#include "supervisor/inherit/snapshot_files.h"

#include <stdbool.h>

/* What is complained about, and where it was said. */
struct settings_checked {
    const struct settings *settings;
    const struct config_scan *scan;
    const struct snapshot_files *files;
};

/* Where the top-level key NAME was said; the first file's first line if it is a default. */
struct config_place settings_checked_place(const struct settings_checked *checked, const char *name);

/* " (the default)" if nobody said the top-level key NAME, else "". */
const char *settings_checked_by_default(const struct settings_checked *checked, const char *name);

/* The values among themselves: the same answer on every machine. False with the message in error. */
bool settings_check_values(const struct settings_checked *checked, char error[SETTINGS_ERROR_BYTES]);

/* The values against this machine: the user exists, directories are there. Only for a text that is being approved: what
 * was good at start must not stop a worker's succession when a directory is gone. */
bool settings_check_machine(const struct settings_checked *checked, char error[SETTINGS_ERROR_BYTES]);

#endif
