/* settings_load.h — settings out of files in memory; what settings_parse and the taking of a snapshot share. */
#ifndef PERDURE_INHERIT_SETTINGS_LOAD_H
#define PERDURE_INHERIT_SETTINGS_LOAD_H

#include "supervisor/inherit/config_scan.h"
#include "supervisor/inherit/settings.h"
#include "supervisor/inherit/snapshot_files.h"

/* Parse what scan made of files and check the values. Returns settings, or NULL with the message in error. */
struct settings *settings_load(const struct config_scan *scan, const struct snapshot_files *files,
                               char error[SETTINGS_ERROR_BYTES]);

#endif
