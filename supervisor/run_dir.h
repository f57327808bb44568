/* run_dir.h — finds the run directory of a configuration, even of one that does not load.
 *
 * A typo in the configuration must not keep anybody from stopping the service or asking how it is. */
#ifndef PERDURE_RUN_DIR_H
#define PERDURE_RUN_DIR_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

enum { RUN_DIR_WARNING_BYTES = 2048 };

struct run_dir {
    char path[PATH_MAX];
    uint64_t stop_timeout_ms;            /* as the configuration has it now; 0: unknown */
    char warning[RUN_DIR_WARNING_BYTES]; /* why PATH is a guess; "": it is none */
};

/* PATH is what the file CONFIG says; if that does not load, what a line of it that sets run_dir says; else the default.
 */
void run_dir_find(const char *config, struct run_dir *found);

/* The last run_dir that a line of TEXT sets, into PATH. Returns 0, or -1 if there is none. For run_dir_find and its
 * test. */
int run_dir_scan(const char *text, char path[PATH_MAX]);

#endif
