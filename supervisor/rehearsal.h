/* rehearsal.h — before anybody retires for a new program, a worker of it is born, without a socket to listen on and
 * without a client, and has to get ready. One that cannot, costs nobody a pause. */
#ifndef PERDURE_REHEARSAL_H
#define PERDURE_REHEARSAL_H

#include "supervisor/supervisor.h"

enum { REHEARSAL_ERROR_BYTES = 1200 };

enum rehearsal_outcome {
    REHEARSAL_WAITS,
    REHEARSAL_READY,
    REHEARSAL_FAILED,
};

/* Begin, with a worker of PROGRAM_FD that reads SNAPSHOT_FD, whose SETTINGS are. Its reports come from
 * rehearsal->control_fd. Returns false with errno, and nothing is left of it. */
bool rehearsal_begin(struct supervisor *s, int program_fd, int snapshot_fd, const struct settings *settings);

/* It has reported, died, or LATE: had time enough. Why it FAILED, into error. */
enum rehearsal_outcome rehearsal_hear(struct supervisor *s, bool late, char error[REHEARSAL_ERROR_BYTES]);

/* End it, whatever it does. */
void rehearsal_end(struct supervisor *s);

#endif
