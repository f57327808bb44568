/* supervise.h — the supervisor from its start to its stop. */
#ifndef PERDURE_SUPERVISE_H
#define PERDURE_SUPERVISE_H

#include "supervisor/listeners.h"

#include <stdbool.h>

struct supervise_options {
    const char *config_path; /* the file; or what messages call the text */
    const char *config_text; /* not NULL: the configuration itself (`perdure serve`) */
    bool foreground;
    /* NULL, or where workers without a supervisor were seen: they are taken over, and the configuration is theirs. */
    const char *orphans_run_dir;
    bool to_stop; /* they are taken over only to be stopped */
    bool now;     /* that, and at once */
    /* Background only, else -1: "ready\n" is written here when the service answers (before it, if it was taken
     * over, words about that), or else the reason why it will not; then it is closed. Nothing but EOF: the reason was
     * already written to descriptor 2. */
    int ready_fd;
    const struct listeners *given; /* the sockets that whoever started us gave us (given.h); borrowed */
    const char *ready_line; /* NULL, or printed on standard output when the service answers; borrowed until then */
};

/* Run the service until it is stopped. Returns the process's exit code: 0 after a stop (and when another supervisor of
 * the same run_dir is already running, which is said), 1 when it could not start; the reason is then in the log and on
 * ready_fd. In the background, the caller has forked and called setsid(2); descriptor 2 is still the caller's. */
int supervise(const struct supervise_options *options);

/* main calls this first of all: true if this process is a running supervisor that exec'ed itself (LEDGER_VARIABLE is
 * set); then it is to return supervise_again(), whatever its arguments. */
bool supervise_is_resumed(void);
int supervise_again(void);

/* `perdure --contract` prints one line with the versions of contract, cell and ledger, so that a running supervisor can
 * ask a program on disk whether it could take over. main calls this for that option. */
void supervise_print_contract(void);

#endif
