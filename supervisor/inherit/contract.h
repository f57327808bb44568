/* contract.h — what a worker is born with, what it may report, and what it is told.
 *
 * Everything that crosses the wall between the supervisor and its workers and keepers is in this file.
 *
 * A worker has two channels (SOCK_SEQPACKET socketpairs, one packet one message), new ones for every incarnation:
 *
 *   control   supervisor <-> worker    orders to the worker, reports from it
 *   keeper    supervisor <-> keeper    orders to the keeper, reports from it
 *
 * Worker and keeper share one descriptor table, so EOF does not tell the death of one of them: the supervisor learns
 * that by waitpid(2) (all of them are its children, CLONE_PARENT), or by a pidfd, if they were another supervisor's.
 * EOF tells them that the supervisor and its keeper are gone: the keeper goes, too, and the worker serves on and waits
 * at its door (below) for an heir.
 *
 * A succession, step by step (S supervisor, W worker, K its keeper, W' K' the new ones):
 *
 *   1. W dies; K still holds every descriptor. Or W gets ORDER_RETIRE, ends its turn of the loop, says REPORT_RETIRED
 * and parks: it touches nothing any more and only waits for ORDER_LEAVE, so that W and K hold every descriptor.
 *   2. S makes new channels, and sends K ORDER_SUCCEED with them and all that W' is born with.
 *   3. K forks W' (CLONE_PARENT), which execs the worker program; K answers REPORT_FORKED with its pid.
 *   4. W' makes K' (clone(2) with CLONE_FILES | CLONE_PARENT); K' says REPORT_KEEPER on its own channel.
 *   5. W' reads the cell and takes over every connection, without touching any stream or opening anything, then sends
 *      REPORT_READY. Only from here on does W' read, write, open and accept. From here on, K' is W's keeper.
 *   6. S sends K, and W if it is parked, ORDER_LEAVE; when they are reaped, S sends W' ORDER_ALONE.
 *
 * If W' dies before READY is in S's queue, S sends K' ORDER_LEAVE (if it exists) and K ORDER_SUCCEED once more; S
 * drains both channels before it decides. If K dies while W is parked, W makes another keeper. At every moment two
 * processes hold each connection, but for the time between a death that nobody ordered and the fork of the successor.
 */
#ifndef PERDURE_INHERIT_CONTRACT_H
#define PERDURE_INHERIT_CONTRACT_H

#include "supervisor/inherit/client_address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { CONTRACT_VERSION = 6, CONTRACT_LISTENERS_MAX = 64, CONTRACT_FDS_MAX = 8 + CONTRACT_LISTENERS_MAX };

/* Why a worker is born. */
enum birth_cause {
    BIRTH_FRESH, /* no predecessor, an empty cell */
    BIRTH_CRASH, /* the predecessor died by a signal that its own program causes, and that nobody sent: SEGV, BUS, ABRT,
                    ILL, FPE, SYS, TRAP; or of the OOM killer; or exited although nobody had told it to */
    BIRTH_KILLED, /* the predecessor was killed from outside, by whatever signal: nobody's request is suspect */
    BIRTH_HANG, /* the supervisor killed it because it made no turn; signal is SIGSTOP if somebody had stopped it: then
                   nobody's request is suspect, either */
    BIRTH_RELOAD,  /* it retired for a new configuration */
    BIRTH_UPGRADE, /* it retired for a new program */
};
enum { BIRTH_CAUSES = BIRTH_UPGRADE + 1 };
extern const char *const birth_cause_name[BIRTH_CAUSES]; /* "fresh", "crash", "kill", "hang", "reload", "upgrade" */

/* What a worker is born with. Descriptors are open in the new worker under these numbers; it owns them. */
struct birth {
    uint32_t version; /* CONTRACT_VERSION */
    uint32_t slot;    /* which place in the table of workers */
    uint32_t generation;
    uint32_t cause;       /* enum birth_cause */
    int32_t signal;       /* that ended the predecessor, 0: none */
    uint32_t syslog;      /* 1: the error log is syslog */
    int32_t error_log_fd; /* becomes descriptor 2 */
    int32_t control_fd;
    int32_t keeper_fd; /* the worker's end of the channel that its keeper will read */
    int32_t snapshot_fd;
    int32_t access_log_fd; /* /dev/null when off */
    int32_t program_fd;    /* of perdure-worker, O_PATH; close-on-exec */
    int32_t cell_fd;       /* BIRTH_FRESH: a face only, which the worker makes a cell of; see cell.h */
    int32_t epoll_fd;      /* -1: make one */
    int32_t door_fd;       /* listens in the run directory for who takes over if the supervisor and its keeper die at
                              once; -1: there is none. It goes on to the successor, as the cell does */
    int32_t ledger_fd;     /* the supervisor's memory, to be read only: for that one. -1: none */
    int32_t handed_fd;     /* -1, or whence cell, epoll set and all else comes: handing.h */
    int32_t tally_fd;      /* tally.h; goes on to the successor, as the cell does. -1: none */
    uint32_t listeners_count;
    int32_t listener_fds[CONTRACT_LISTENERS_MAX];
};

/* A birth travels over exec in the environment, as decimal numbers in a fixed order. */
#define BIRTH_VARIABLE "PERDURE_BIRTH"
enum { BIRTH_TEXT_BYTES = 1024 };
void birth_write(const struct birth *birth, char text[BIRTH_TEXT_BYTES]);
/* False if TEXT is not a whole birth of this version with numbers within bounds. */
bool birth_read(struct birth *birth, const char *text);

/* Put BIRTH into the environment, for an exec to come. False: no memory. */
bool birth_announce(const struct birth *birth);

/* Replace this process by the worker of BIRTH, which is announced: clears close-on-exec on what it names (not on
 * program_fd), puts error_log_fd on 2, sets argv[0] ("perdure: worker 3"), and execs program_fd, or /proc/self/exe when
 * that is -1. All other descriptors are the caller's business. Writes to no memory but its stack. Returns only on
 * failure, with errno. */
void birth_exec(const struct birth *birth);

/* ---- orders: supervisor to worker or keeper ---- */
enum order_kind {
    /* to the worker */
    ORDER_RETIRE,      /* end the turn of the loop, answer REPORT_RETIRED, touch nothing any more, wait for LEAVE */
    ORDER_STOP,        /* graceful stop: accept no more, finish what is under way, close keep-alive connections after
                          their next response, exit 0 when none is left or after deadline_ms */
    ORDER_REOPEN,      /* descriptors: access log, error log: use them from now on */
    ORDER_ALONE,       /* the predecessor's keeper has left */
    ORDER_MAKE_KEEPER, /* descriptor: keeper channel. The keeper died; make another, answer REPORT_KEEPER_MADE */
    ORDER_GIVE,        /* descriptor: a SOCK_SEQPACKET to the heir. This worker is surplus: accept no more, hand every
                          connection over as soon as it is idle, then exit 0 */
    ORDER_TAKE,        /* descriptor: a SOCK_SEQPACKET from a giver: take the connections it sends, until EOF */
    /* to both */
    ORDER_ROLL_CALL, /* a new supervisor has taken over, and does not know which of the last reports the dead one had
                        read: the worker answers REPORT_READY, or REPORT_RETIRED if it is parked; the keeper answers
                        REPORT_FORKED if it has forked a successor, the last one, then REPORT_KEEPER */
    /* to the worker, at its door */
    ORDER_INHERIT, /* by a new supervisor, which has nothing but the run directory: answer with struct orphan_words. The
                      connection is the control channel from then on. birth.version is the caller's */
    /* to the keeper */
    ORDER_SUCCEED,   /* descriptors: control, keeper, snapshot, access log, program, error log, then listeners. The
                        numbers in birth are ignored but for the slot, generation, cause, signal, syslog, listeners_count
                      */
    ORDER_LEAVE,     /* exit 0; also to a worker that has retired */
    ORDER_HAND_DOWN, /* descriptor: a SOCK_SEQPACKET. Instead of SUCCEED, to a keeper that is confined: see handing.h */
};
struct order {
    uint32_t kind;        /* enum order_kind */
    uint32_t own_edition; /* ORDER_SUCCEED, HAND_DOWN: 1: the successor runs the keeper's own program and snapshot, not
                             those sent, for that program alone knows this cell's layout */
    uint64_t deadline_ms; /* ORDER_STOP: on clock_now()'s clock */
    struct birth birth;   /* ORDER_SUCCEED */
};

/* ---- doors: a worker without a supervisor to the next one ---- */

/* RUN_DIR/door.SLOT is a listening SOCK_SEQPACKET socket, made by the supervisor, for root or the supervisor's user
 * alone. Each worker calls listen(2) on it once more, for SO_PEERCRED tells who connects the pid of whom did that last:
 * so even a worker that hangs is known. With struct orphan_words come these descriptors, then its listeners. */
enum orphan_fd { ORPHAN_LEDGER, ORPHAN_SNAPSHOT, ORPHAN_PROGRAM, ORPHAN_CELL, ORPHAN_FDS };
struct orphan_words {
    uint32_t slot;
    uint32_t generation;
    uint32_t stopping; /* 1: it has been told to stop, and accepts no more */
    uint32_t spare;
    uint64_t since_us; /* clock_now_us() of when it saw that nobody supervises it */
};

/* ---- parcels: a surplus worker to its heir, whose program may lay its cell out in another way ---- */

/* One connection that is idle, with its descriptor. */
struct parcel {
    uint64_t received; /* bytes taken from the stream */
    uint64_t sent;     /* bytes given to it */
    uint64_t cookie;   /* SO_COOKIE */
    uint32_t is_unix;
    uint32_t header_due; /* 1: a PROXY header is still to come */
    uint32_t proxied;    /* 1: CLIENT is what such a header said; else the kernel knows */
    struct client_address client;
    uint32_t again; /* 1: a giver died after it had perhaps sent this one: look whether it is here already */
};

/* ---- reports: worker or keeper to supervisor ---- */
enum report_kind {
    /* from the worker */
    REPORT_READY,       /* it stands: accepts and serves. pid: its keeper's; adopted, dropped: connections */
    REPORT_CANNOT,      /* it cannot serve with this snapshot or cell and exits 1; text says why. error:
                           EPROTO: the cell is none that it knows */
    REPORT_KEEPER_MADE, /* answer to ORDER_MAKE_KEEPER; pid: the keeper's */
    REPORT_RETIRED,     /* answer to ORDER_RETIRE: it is parked */
    /* from the keeper */
    REPORT_KEEPER,     /* it stands, on its own channel; pid: its own */
    REPORT_FORKED,     /* answer to ORDER_SUCCEED; pid: the successor's */
    REPORT_NOT_FORKED, /* answer to ORDER_SUCCEED; error: errno of fork or descriptors. The order may be repeated */
};
/* What a process has taken from itself for good. */
enum confinement {
    CONFINED_RIGHTS = 1,                  /* no capabilities, no_new_privs */
    CONFINED_CALLS = 2,                   /* seccomp */
    CONFINED_LANDLOCK_SHIFT = 8,          /* the version of landlock's interface, 0: none */
    CONFINED_FOR_EVER = ~CONFINED_RIGHTS, /* any of these: it can make no worker any more */
};
struct report {
    uint32_t kind; /* enum report_kind */
    int32_t pid;
    int32_t error;
    uint32_t adopted;
    uint32_t dropped;
    uint32_t confined; /* READY, KEEPER: enum confinement; NOT_FORKED: the same, if that is why */
    char text[1024];   /* NUL-terminated by the sender, not trusted by the receiver */
};

/* Send one message with COUNT descriptors (SCM_RIGHTS); never blocks, never raises SIGPIPE.
 * Returns 0, or -1 with errno (EAGAIN: the receiver's queue is full; EPIPE: it is gone). */
int channel_send(int fd, const void *message, size_t bytes, const int *fds, size_t count);

/* The same, of a report; but while the queue is full, or memory is short, it is tried again, for some 100 ms. */
int channel_report(int fd, const struct report *report);

/* Receive one message of exactly BYTES bytes. Descriptors that came with it go to FDS with close-on-exec, *COUNT in:
 * room, out: how many; those beyond are closed. *SENDER (may be NULL) gets the kernel's word for the sender's pid, or
 * -1, if SO_PASSCRED is on. Returns 1; 0 at EOF; -1 with errno (EAGAIN: none now; EBADMSG: wrong size, message
 * dropped). */
int channel_receive(int fd, void *message, size_t bytes, int *fds, size_t *count, pid_t *sender);

/* The same, but descriptors are open over an exec. */
int channel_inherit(int fd, void *message, size_t bytes, int *fds, size_t *count);

/* Receive one parcel from FD. *CONNECTION: its descriptor, -1: none came. It is open over an exec from the very instant
 * at which it is ours, for the receiver may be killed in that instant. Returns as channel_receive() does. */
int parcel_receive(int fd, struct parcel *parcel, int *connection);

/* A socketpair for one incarnation: ends[0] for the supervisor (SO_PASSCRED, non-blocking), ends[1] for the worker or
 * keeper. Both close-on-exec. Returns 0, or -1 with errno. */
int channel_pair(int ends[2]);

#endif
