/* ledger.h — all that a supervisor must remember, in a memfd that outlives its image.
 *
 * Flat and without pointers. What is not in here, the supervisor may forget. A new image of the supervisor finds the
 * descriptor in LEDGER_VARIABLE and every other descriptor in the ledger; it trusts neither blindly: what does not add
 * up is dropped with a line in the log, and rebuilt from the system where that can be. ledger_mend.h says so field by
 * field, ledger_fds.h looks at the descriptors, census.h at the processes. */
#ifndef PERDURE_LEDGER_H
#define PERDURE_LEDGER_H

#include "supervisor/control.h"
#include "supervisor/fd_store.h"
#include "supervisor/listeners.h"
#include "supervisor/workers.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define LEDGER_VARIABLE "PERDURE_LEDGER"
enum {
    LEDGER_MAGIC = 0x50455244,
    LEDGER_VERSION = 16, /* raised with every change of a structure in here, workers.h or listeners.h */
    LEDGER_RESULT_BYTES = 4096,
    LEDGER_WHO_BYTES = 96,
    LEDGER_COMMAND_BYTES = 4096,
    LEDGER_GIFTS_MAX = 64,
};

enum ledger_rolling {
    ROLLING_NOT,  /* every worker is of the present edition, or on its way to it after a death */
    ROLLING_ON,   /* a reload or restart is under way */
    ROLLING_BACK, /* it failed, and the good edition is being put back */
};

/* A configuration and the program that runs it. */
struct ledger_edition {
    uint32_t generation; /* 0: there is none */
    int32_t snapshot_fd;
    int32_t program_fd; /* of perdure-worker, O_PATH */
    uint32_t layout;    /* of the cells that the program lays out and adopts; 0: not known yet */
};

/* Connections on their way from a surplus worker to its heir. We hold the heir's end as well, so that what the heir has
 * not received yet outlives it. */
struct ledger_gift {
    int32_t fd; /* -1: this place is free */
    uint32_t heir;
    int32_t heir_pid; /* the incarnation that was told to take */
};

/* What came of the last reload or restart, and when. */
struct ledger_result {
    int64_t when; /* seconds since the epoch; 0: there was none */
    int32_t exit_code;
    uint32_t verb; /* enum control_verb */
    char by[LEDGER_WHO_BYTES];
    char text[LEDGER_RESULT_BYTES];
};

/* Reloads and restarts that were asked for and are done as one. */
enum { ASKED_ANSWERED = 1 << 30 }; /* last_result says what came of it; who waits is being told */
struct ledger_asked {
    uint32_t verbs; /* bits 1 << enum control_verb, and ASKED_ANSWERED; 0: nothing was asked for */
    uint32_t count;
    char by[LEDGER_WHO_BYTES]; /* the first who asked, and by which door: "SIGHUP (pid 7, uid 0)" */
};

/* A client of the control socket that is to be told what came of it. */
struct ledger_waiter {
    uint64_t client;
    uint32_t verb;  /* enum control_verb */
    uint32_t later; /* 1: it asked for what is done next, not for what is under way */
};

struct ledger {
    uint32_t magic;
    uint32_t version;
    uint64_t bytes; /* sizeof, so that a change nobody numbered is noticed */

    int32_t supervisor_pid;
    uint32_t foreground;       /* 0: started in the background */
    int64_t started;           /* seconds since the epoch */
    uint64_t started_ms;       /* on clock_now()'s clock */
    uint32_t images;           /* how many images of the supervisor there were before this one */
    uint32_t takeovers;        /* how many of them took over from one that died */
    uint32_t phase;            /* enum supervisor_phase */
    uint64_t stop_deadline_ms; /* STOPPING */
    int32_t keeper_pid;        /* of the supervisor's own keeper; 0: none */
    int32_t keeper_fd;         /* our end of its channel */
    uint64_t died_us;          /* when the keeper, or a worker without one, saw that the supervisor had died */
    uint32_t failures;         /* takeovers in a row that were begun and not completed */
    uint32_t restarting;       /* 1: a restart has exec'ed, or is about to, and no new image has taken over since */
    int32_t former_program_fd; /* of the supervisor, O_PATH: the one before the last restart, as long as it may be put
                                  back (image_trial.h); -1: none */
    uint32_t put_back;         /* 1: every next image is of that one */
    uint32_t image_deaths;     /* of the new one, on trial */
    uint32_t spare4;
    uint64_t calm_ms;      /* while rolling: who asked is not told anything before this instant; 0: not yet known */
    uint32_t rolling;      /* enum ledger_rolling */
    uint32_t rolling_verb; /* enum control_verb that asked for it */

    uint32_t generation; /* the highest number given out */
    uint32_t crashes;    /* of the present edition's young workers, while it is on trial */
    uint64_t trial_ms;   /* not 0: the present edition is on trial until this instant; then it is the good one */
    struct ledger_edition present;
    struct ledger_edition
        good; /* the last one that stood its trial: where a roll back goes to. generation 0: none yet */

    uint32_t orphans; /* so many workers without a supervisor the image that is about to begin has found; else 0 */
    int32_t ready_fd; /* of who waits for that image to stand (supervise.h); -1: nobody */
    int32_t lock_fd;
    int32_t stderr_fd; /* the descriptor 2 that the supervisor was started with */
    int32_t error_log_fd;
    int32_t access_log_fd;
    int32_t tally_fd; /* tally.h; -1: none yet */
    uint32_t error_log_is_syslog;
    struct control_kept control;
    uint64_t oom_kills; /* of /proc/vmstat, as last seen */

    struct listeners listeners;
    struct listeners
        next_listeners; /* while rolling: those of the present edition; LISTENERS are still the good one's */
    struct workers workers;
    struct ledger_gift gifts[LEDGER_GIFTS_MAX];
    struct ledger_asked asked;      /* what is under way; verbs 0: nothing, or a roll back that nobody asked for */
    struct ledger_asked asked_next; /* what was asked for since */
    struct ledger_waiter waiters[CONTROL_CLIENTS_MAX];
    uint32_t waiters_count;
    uint32_t sandbox_warned; /* 1: that this kernel cannot confine workers has been said */
    struct ledger_result last_result;
    char rolling_text[LEDGER_RESULT_BYTES]; /* while rolling: what its result will say */
    uint64_t lost_connections;              /* with a worker and its keeper that died at once */

    char run_dir[PATH_MAX];
    char config_path[PATH_MAX]; /* as messages call it */
    uint32_t config_is_text;    /* 1: there is no file (`perdure serve`) */
    uint32_t spare;
    char own_path[PATH_MAX];            /* of the supervisor's program */
    char worker_path[PATH_MAX];         /* of the worker's */
    char command[LEDGER_COMMAND_BYTES]; /* the command line, as in /proc/self/cmdline, for the next image */
    uint32_t command_bytes;
    uint32_t spare2;
    struct fd_store fd_store; /* what the service manager has of all this */
};

/* Make an empty ledger in a new memfd (close-on-exec), which nobody but its owner can open. Returns NULL with errno. */
struct ledger *ledger_create(int *fd);

/* Map the ledger on FD. Returns NULL with errno (EPROTO: it is not a ledger of this version). It may be sick: see
 * ledger_mend.h. */
struct ledger *ledger_adopt(int fd);

/* The ledger on FD to be read only, for a worker: it cannot open it for writing, being another user. Returns a
 * descriptor (close-on-exec), or -1 with errno. */
int ledger_reader(int fd);

/* The same ledger to be written again, from what ledger_reader gave to a worker, who is not trusted: it must be one
 * that ledger_create of our own user made. Returns a descriptor (close-on-exec), or -1 with errno. */
int ledger_writer(int reader_fd);

/* True if FD is a memfd called NAME that a process of our own user made. */
bool ledger_is_memfd(int fd, const char *name);

/* True if the present program can succeed W, whose cell it must be able to read. One that it cannot is succeeded by its
 * own program, and makes way for a fresh worker: scale.c. */
bool ledger_can_adopt(const struct ledger *ledger, const struct worker *worker);

/* Call VISIT with each descriptor that the ledger names (not its own), in no special order. VISIT may change it. */
void ledger_each_fd(struct ledger *ledger, void (*visit)(int32_t *fd, void *context), void *context);

#endif
