/* identity.h — who is the supervisor of a run directory: the lock is the truth, the pid file tells people.
 *
 * RUN_DIR/perdure.lock is flock(2)ed for the supervisor's whole life and never removed. A flock belongs to the open
 * file description: it outlives exec(2), and a keeper that shares the descriptor table holds it as well.
 * RUN_DIR/perdure.pid is what init scripts and people read; nobody here believes it without the lock. */
#ifndef PERDURE_IDENTITY_H
#define PERDURE_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { IDENTITY_ERROR_BYTES = 512 };

/* ---- for the supervisor ---- */

enum identity_claim {
    IDENTITY_OURS,  /* the lock is held by *lock_fd from now on */
    IDENTITY_TAKEN, /* another supervisor holds it; *holder is its pid, 0 if that cannot be told */
    IDENTITY_FAULT, /* error says cause and remedy: no such parent directory, read-only, not ours, full */
};

/* Make RUN_DIR if it is missing (0755; its parent must exist) and take its lock. *lock_fd is close-on-exec. */
enum identity_claim identity_take(const char *run_dir, int *lock_fd, pid_t *holder, char error[IDENTITY_ERROR_BYTES]);

/* LOCK_FD came over an exec or from a predecessor: true if it is RUN_DIR's lock file and the lock is (now) held by it.
 * Makes it close-on-exec again. */
bool identity_adopt(const char *run_dir, int lock_fd);

/* Write RUN_DIR/perdure.pid, whole or not at all (a temporary file, then rename). Returns 0, or -1 with error. */
int identity_write_pid(const char *run_dir, pid_t pid, char error[IDENTITY_ERROR_BYTES]);

/* Remove the pid file; call while the lock is held. The lock itself ends with its last descriptor. */
void identity_remove_pid(const char *run_dir);

/* ---- for the verbs ---- */

enum identity_state {                       /* the values are those of LSB's status */
                      IDENTITY_RUNNING = 0, /* the lock is held */
                      IDENTITY_DEAD = 1,    /* a pid file is there, but nobody holds the lock */
                      IDENTITY_STOPPED = 3, /* neither */
                      IDENTITY_UNKNOWN = 4, /* the run directory cannot be read; errno says why */
};

/* Who supervises RUN_DIR? *holder (may be NULL): the pid when running, what the stale pid file says when dead, else 0.
 */
enum identity_state identity_look(const char *run_dir, pid_t *holder);

/* Send a signal to the supervisor of RUN_DIR, through a pidfd and only if that process really holds the lock.
 * Returns 0, or -1 with errno (ESRCH: nobody runs). */
int identity_signal(const char *run_dir, int signal_number);

/* Wait until nobody holds RUN_DIR's lock, at most PATIENCE_MS (0: for ever). False when patience ended first. */
bool identity_wait_gone(const char *run_dir, uint64_t patience_ms);

/* A process lets go of the lock a moment before it has ended: wait for the end of the one that the pidfd PROCESS_FD
 * stands for (-1: nobody). False when patience ended first. */
bool identity_wait_exit(int process_fd, uint64_t patience_ms);

#endif
