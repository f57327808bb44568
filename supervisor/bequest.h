/* bequest.h — a supervisor's keeper hands everything to a supervisor that somebody else has started.
 *
 * A service in the foreground has a manager (systemd, runit, a container's) that starts it anew when it dies. Its
 * keeper waits for that one a while, on RUN_DIR/keeper.sock, and gives it the ledger and every descriptor that the
 * ledger names, under their numbers; so the process that serves is the one that its manager knows. */
#ifndef PERDURE_BEQUEST_H
#define PERDURE_BEQUEST_H

#include "supervisor/ledger.h"

#include <stdbool.h>
#include <sys/types.h>

/* ---- in the keeper ---- */

/* Listen for an heir. Returns a descriptor to wait on for reading, or -1 with errno. */
int bequest_open(const char *run_dir);

/* Give everything to whoever has connected, if that is root or our own user. Returns the heir's pid; 0: it was none. */
pid_t bequest_give(int listener_fd, struct ledger *ledger, int ledger_fd);

void bequest_close(const char *run_dir, int *listener_fd);

/* ---- in the heir ---- */

/* If a keeper waits in RUN_DIR: take everything from it, call READY with CONTEXT, and become the next image of the dead
 * supervisor (image.h), in the foreground or not: then this does not return. False if none waits, or it cannot be done,
 * which is said on standard error; descriptors other than 0, 1 and 2 may be others than before then. */
bool bequest_take(const char *run_dir, bool foreground, void (*ready)(void *context), void *context);

#endif
