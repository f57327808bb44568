/* supervisor.h — what a running supervisor has at hand; shared by the files that carry out what it decides.
 *
 * What must not be forgotten is in the ledger; everything else here can be made anew from it. */
#ifndef PERDURE_SUPERVISOR_H
#define PERDURE_SUPERVISOR_H

#include "supervisor/control.h"
#include "supervisor/inherit/cell.h"
#include "supervisor/inherit/clock.h"
#include "supervisor/inherit/settings.h"
#include "supervisor/inherit/snapshot.h"
#include "supervisor/ledger.h"
#include "supervisor/ports.h"
#include "supervisor/privilege.h"
#include "supervisor/program.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { STRANGERS_MAX = 64, FAILURE_BYTES = 1200 };

enum supervisor_phase {
    PHASE_STARTING, /* not all workers of the first generation are ready; any failure ends the start */
    PHASE_RUNNING,
    PHASE_STOPPING, /* workers finish what is under way */
    PHASE_ENDING,   /* everything was killed; only reaping is left */
};

/* A child that was reaped before its pid was known: its report may still come. */
struct stranger {
    pid_t pid;
    int status;
};

/* What a reload or restart has got to before it rolls. */
enum reload_stage {
    RELOAD_NOT,
    RELOAD_CHECKING,   /* the programs on disk, before a restart */
    RELOAD_READING,    /* the configuration: a snapshot is being taken */
    RELOAD_REHEARSING, /* a worker of a restart's program has to get ready, for nobody yet */
};
struct rehearsal {
    pid_t pid; /* of its worker; -1: there is none */
    int control_fd, keeper_fd;
};
struct reload {
    enum reload_stage stage;
    enum control_verb verb;
    bool renews; /* the same configuration once more, for new sockets */
    struct snapshot_taking taking;
    struct program_check check;
    struct rehearsal rehearsal;
    int snapshot_fd;      /* REHEARSING: the configuration that was read */
    int program_fd;       /* a restart's new worker program, else -1 */
    uint64_t deadline_ms; /* of the stage */
};

/* `perdure diff`: a configuration is read and compared, and nothing comes of it. */
struct preview {
    bool reading;
    struct snapshot_taking taking;
    uint64_t deadline_ms;
    uint64_t clients[CONTROL_CLIENTS_MAX]; /* who waits, in the order in which they asked */
    size_t clients_count;
    size_t covered; /* so many of them asked before the reading began; 0 <= covered <= clients_count */
};

struct supervisor {
    struct ledger *ledger;
    int ledger_fd;
    struct settings *settings; /* of the present edition */
    struct privilege privilege;
    struct control *control;
    enum supervisor_phase phase;
    int epoll_fd;
    int signal_fd;
    int32_t keepers_fds[2]; /* what our keeper waits on: its end of the channel, the pidfd of this process; -1: none */
    uint64_t keeper_tried_ms; /* when it was last tried to make one */
    int ready_fd;
    const char *ready_line; /* borrowed from the options; NULL: none, or printed */
    bool failed;            /* the start failed, because of */
    char failure[FAILURE_BYTES];
    char said[FAILURE_BYTES]; /* why a worker could not get ready, as it said itself; "": it did not say */
    uint64_t hang_checked_ms;
    uint64_t reap_until_ms; /* no dead child stays unreaped beyond this; 0: none is */
    uint64_t mended_ms;
    uint64_t watchdog_told_ms; /* when the service manager was told last; watchdog.c alone uses these two */
    bool watchdog_starved;
    uint64_t renew_ms; /* no listener is bound anew before this instant */
    struct fd_store_spares spares;
    struct reload reload;
    struct preview preview;
    struct ports ports;
    struct stranger strangers[STRANGERS_MAX];
    size_t strangers_next;
    struct cell cells[WORKERS_MAX]; /* header NULL: not mapped */
};

/* The only place that assigns s->phase; the ledger remembers it. */
void supervisor_enter(struct supervisor *s, enum supervisor_phase phase);

/* ---- watch.c: the one epoll set ---- */

enum watch_kind {
    WATCH_SIGNALS,
    WATCH_CONTROL,
    WATCH_ORPHANS,
    WATCH_SLOT, /* any channel of the worker in this slot or of its keeper */
    WATCH_RELOAD,
    WATCH_PREVIEW,
};

/* EVENTS as for epoll_ctl(2). Returns false with errno. */
bool watch_add(struct supervisor *s, int fd, uint32_t events, enum watch_kind kind, uint32_t slot);

/* Try again whom watch_add() found no room for. Returns when to come again, in milliseconds; -1: nobody waits. */
int watch_turn(const struct supervisor *s);

/* Look no more at FD, which stays open. */
void watch_stop(struct supervisor *s, int fd);

/* Stop watching and close: a child that is between fork and exec may hold the descriptor for a moment longer, so close
 * alone would leave it in the set. */
void watch_close(struct supervisor *s, int32_t *fd);

void close_fd(int32_t *fd);

#endif
