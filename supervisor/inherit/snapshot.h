/* snapshot.h — takes the snapshot of a configuration: reads, parses and checks it in a process of its own.
 *
 * libconfuse 3.3 keeps a global include stack that a failing parse leaves dirty, so every unapproved text is parsed in
 * a fresh child, and only a snapshot that a child approved is ever parsed by a long-lived process. */
#ifndef PERDURE_INHERIT_SNAPSHOT_H
#define PERDURE_INHERIT_SNAPSHOT_H

#include "supervisor/inherit/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A snapshot being taken. Fields are read-only for others. */
struct snapshot_taking {
    pid_t pid;   /* the child that parses; the caller's SIGCHLD handling must leave it to snapshot_finish */
    int pipe_fd; /* readable, then at EOF, when the child is done */
    int fd;      /* the memfd it fills */
};

/* Begin to take a snapshot of the file PATH, or, if TEXT is not NULL, of TEXT, which messages then call PATH.
 * Returns 0, or -1 with errno. */
int snapshot_begin(struct snapshot_taking *taking, const char *path, const char *text);

/* Call when pipe_fd is at EOF or when patience is over (it kills the child then). Reaps the child. Returns the sealed
 * memfd (F_SEAL_WRITE, GROW, SHRINK, SEAL; close-on-exec), or -1 with the message in error. */
int snapshot_finish(struct snapshot_taking *taking, char error[SETTINGS_ERROR_BYTES]);

/* Both in one, waiting at most 10 s: for `check`, `run` and `start`. */
int snapshot_take(const char *path, const char *text, char error[SETTINGS_ERROR_BYTES]);

/* Where the lock, the pid file and the control socket go unless the configuration says so: it depends on who starts.
 * malloc'ed; NULL: no memory. */
char *snapshot_default_run_dir(void);

#endif
