/* door.h — the doors of workers, RUN_DIR/door.SLOT: where a new supervisor finds them when the one before and its
 * keeper are gone. See contract.h.
 *
 * They belong to who holds the run directory's lock: that one makes them, and removes them with the worker. One that
 * nobody listens on any more is recognised by connecting. */
#ifndef PERDURE_DOOR_H
#define PERDURE_DOOR_H

#include <stdint.h>
#include <sys/types.h>

/* Make the door of SLOT, in the place of one that may be left there. Only this user, and root, can connect. Returns its
 * descriptor (close-on-exec, non-blocking), or -1 with errno. */
int door_make(const char *run_dir, uint32_t slot);

void door_remove(const char *run_dir, uint32_t slot);

/* Call VISIT with the slot of each door in RUN_DIR. VISIT may remove it. */
void door_each(const char *run_dir, void (*visit)(uint32_t slot, void *context), void *context);

/* Remove the doors in RUN_DIR that nobody is behind any more. */
void door_sweep(const char *run_dir);

/* Connect to the door of SLOT. Returns a descriptor (close-on-exec, non-blocking; SO_PASSCRED) with the worker's *pid,
 * or -1 with errno (ECONNREFUSED: nobody is there any more). */
int door_call(const char *run_dir, uint32_t slot, pid_t *pid);

#endif
