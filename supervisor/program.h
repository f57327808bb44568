/* program.h — the two programs on disk: where they are, and whether those there now could take over. */
#ifndef PERDURE_PROGRAM_H
#define PERDURE_PROGRAM_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROGRAM_ERROR_BYTES = 1024 };

/* The path of this process's program, as it was when it was started; a replaced file's " (deleted)" is cut off. */
bool program_own_path(char path[PATH_MAX]);

/* perdure-worker beside the program at OWN_PATH, else in ../libexec. Returns an O_PATH descriptor and its path, or -1
 * with cause and remedy in error. */
int program_open_worker(const char *own_path, char path[PATH_MAX], char error[PROGRAM_ERROR_BYTES]);

/* What `perdure --contract` prints: the versions of what it shares with workers and with the image after it. */
void program_contract(char *line, size_t bytes);

/* A check of both programs under way, in a process of its own: an unknown program is run. Fields are read-only for
 * others. */
struct program_check {
    pid_t pid;       /* the caller's SIGCHLD handling leaves it to program_check_finish */
    int pipe_fd;     /* hangs up when the verdict is there */
    uint32_t layout; /* once finished: of the worker program's cells */
};

/* Ask the supervisor at OWN_PATH and the worker at WORKER_PATH for their contract. Returns 0, or -1 with errno. */
int program_check_begin(struct program_check *check, const char *own_path, const char *worker_path);

/* Call when pipe_fd has hung up or when patience is over. True if both could take over, though the worker's layout of
 * cells may be another than that of those who run; else why not in error. */
bool program_check_finish(struct program_check *check, char error[PROGRAM_ERROR_BYTES]);

#endif
