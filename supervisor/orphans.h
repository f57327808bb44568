/* orphans.h — workers without a supervisor, found by their doors (door.h), and taken over by the next one.
 *
 * When a supervisor and its keeper are killed at once, nobody is left who could start another; but each worker has the
 * ledger and the sockets. Who starts the service next becomes the next image of the dead supervisor. */
#ifndef PERDURE_ORPHANS_H
#define PERDURE_ORPHANS_H

#include "supervisor/ledger.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { ORPHANS_ERROR_BYTES = 1024 };

/* How many workers without a supervisor are in RUN_DIR; the first MAX of their pids into PIDS. Nobody is disturbed. */
size_t orphans_look(const char *run_dir, pid_t *pids, size_t max);

/* Who takes over, and as what. */
struct orphans_heir {
    const char *run_dir;
    const char *config_path; /* what a reload is to read */
    bool foreground;
    bool to_stop;                  /* it takes over only to stop them: also those that are stopping already */
    const struct listeners *given; /* given.h */
    int lock_fd;                   /* of the run directory */
    int ready_fd;                  /* supervise.h */
};

enum orphans_outcome {
    ORPHANS_NONE, /* there is nobody to take over from; doors of the dead are removed, who did not answer was killed */
    ORPHANS_OF_NO_USE, /* what they have cannot be gone on with, and error says why; nothing is changed */
    ORPHANS_FAULT,     /* error says why; nothing is changed */
};

/* Become the next image (image.h) of the supervisor whose workers are in RUN_DIR: then this does not return. */
enum orphans_outcome orphans_take(const struct orphans_heir *heir, char error[ORPHANS_ERROR_BYTES]);

/* Those in RUN_DIR are of no use: their listening sockets are added to LISTENERS, for a service that begins anew, and
 * they are told to finish what they have. False with error: they are of a version that cannot be talked to; nothing is
 * changed. */
bool orphans_replace(const char *run_dir, struct listeners *listeners, char error[ORPHANS_ERROR_BYTES]);

/* End them: gracefully, or at once if NOW. Returns when they are gone. */
void orphans_end(const char *run_dir, bool now);

#endif
