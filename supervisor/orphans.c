/* orphans.c — see orphans.h.
 *
 * A worker may have been taken over by somebody from outside, so it is believed as little as possible: who it is, the
 * kernel says; ledger, snapshot and cell must be memfds that our own user has made, under their names; a listener is
 * one if it has the cookie that the ledger says. */
#include "supervisor/orphans.h"

#include "supervisor/door.h"
#include "supervisor/identity.h"
#include "supervisor/image.h"
#include "supervisor/inherit/clock.h"
#include "supervisor/inherit/log.h"
#include "supervisor/reap.h"
#include "supervisor/salvage.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <unistd.h>

enum { PATIENCE_MS = 2000, ENDING_MS = 1000 };

/* ---- looking ---- */

struct looking {
    const char *run_dir;
    pid_t *pids;
    size_t max, count;
};

static void look_at(uint32_t slot, void *context)
{
    struct looking *looking = context;
    pid_t pid;
    int fd = door_call(looking->run_dir, slot, &pid);
    if (fd < 0) {
        return;
    }
    close(fd);
    if (looking->count < looking->max) {
        looking->pids[looking->count] = pid;
    }
    looking->count++;
}

// NOLINTNEXTLINE(readability-non-const-parameter): look_at writes there
size_t orphans_look(const char *run_dir, pid_t *pids, size_t max)
{
    struct looking looking = {.run_dir = run_dir, .pids = pids, .max = max};
    if (identity_look(run_dir, NULL) == IDENTITY_RUNNING) {
        return 0; /* there is a supervisor, or its keeper */
    }
    door_each(run_dir, look_at, &looking);
    return looking.count;
}

/* ---- calling ---- */

struct calling {
    const char *run_dir;
    struct salvage *salvage;
};

static void call_on(uint32_t slot, void *context)
{
    const struct order inherit = {.kind = ORDER_INHERIT, .birth = {.version = CONTRACT_VERSION}};
    const struct calling *calling = context;
    struct orphan_found found = {.slot = slot, .ledger_fd = -1, .snapshot_fd = -1, .program_fd = -1, .cell_fd = -1};
    found.fd = door_call(calling->run_dir, slot, &found.pid);
    if (found.fd < 0) {
        return;
    }
    reap_signal(found.pid, SIGCONT); /* somebody may have stopped it */
    (void)channel_send(found.fd, &inherit, sizeof inherit, NULL, 0);
    if (!salvage_add(calling->salvage, &found)) {
        close(found.fd);
    }
}

/* The words of one, and its descriptors. */
static void hear(struct orphan_found *found)
{
    struct orphan_words words;
    int fds[CONTRACT_FDS_MAX];
    size_t count = CONTRACT_FDS_MAX;
    pid_t sender = 0;
    int got = channel_receive(found->fd, &words, sizeof words, fds, &count, &sender);
    if (got < 0 && errno == EAGAIN) {
        return;
    }
    found->heard = got > 0 && reap_is_ours(sender) && words.slot == found->slot && count >= ORPHAN_FDS ? ORPHAN_ANSWERED
                                                                                                       : ORPHAN_FOREIGN;
    if (found->heard == ORPHAN_FOREIGN) {
        for (size_t i = 0; got > 0 && i < count; i++) {
            close(fds[i]);
        }
        return;
    }
    found->pid = sender; /* a successor may have come meanwhile */
    found->words = words;
    found->ledger_fd = fds[ORPHAN_LEDGER];
    found->snapshot_fd = fds[ORPHAN_SNAPSHOT];
    found->program_fd = fds[ORPHAN_PROGRAM];
    found->cell_fd = fds[ORPHAN_CELL];
    found->listeners_count = count - ORPHAN_FDS;
    memcpy(found->listener_fds, fds + ORPHAN_FDS, sizeof(int) * found->listeners_count);
}

static void await_all(struct salvage *salvage)
{
    struct instant end = clock_after(clock_now(), PATIENCE_MS);
    for (size_t i = 0; i < salvage->count; i++) {
        struct orphan_found *found = &salvage->all[i];
        struct pollfd answer = {.fd = found->fd, .events = POLLIN};
        if (poll(&answer, 1, (int)clock_since(clock_now(), end)) > 0) {
            hear(found);
        }
    }
}

/* ---- who does not answer, and who is not needed any more ---- */

/* SIGKILL to PID if it is a process of this program; returns when it has let go of everything. */
static void end_process(pid_t pid)
{
    int process_fd = reap_is_ours(pid) ? pidfd_open(pid, 0) : -1;
    struct pollfd ended = {.fd = process_fd, .events = POLLIN};
    if (process_fd >= 0) {
        reap_signal(pid, SIGKILL);
        (void)poll(&ended, 1, ENDING_MS);
        close(process_fd);
    }
}

static void end_the_silent(const struct salvage *salvage)
{
    for (size_t i = 0; i < salvage->count; i++) {
        const struct orphan_found *found = &salvage->all[i];
        if (found->heard == ORPHAN_SILENT) {
            log_error("worker %u: pid %d does not answer at its door: killed", found->slot, (int)found->pid);
            end_process(found->pid);
        }
    }
}

/* Keepers left with their supervisor, but for one that somebody stopped. */
static void end_keepers(const struct ledger *ledger)
{
    for (uint32_t i = 0; i < ledger->workers.count; i++) {
        const struct worker *w = &ledger->workers.all[i];
        end_process(w->keeper_pid);
        end_process(w->next_keeper_pid);
        for (size_t j = 0; j < WORKER_LEAVING_MAX; j++) {
            end_process(w->leaving[j].pid);
        }
    }
}

/* ---- taking ---- */

static bool refuse(const struct salvage *salvage, char error[ORPHANS_ERROR_BYTES], const char *why)
{
    char pids[256] = "";
    size_t length = 0;
    for (size_t i = 0; i < salvage->count && length + 16 < sizeof pids; i++) {
        length += (size_t)snprintf(pids + length, sizeof pids - length, " %d", (int)salvage->all[i].pid);
    }
    snprintf(
        error, ORPHANS_ERROR_BYTES,
        "workers without a supervisor hold the sockets, and cannot be taken over: %s; end them, then start: kill%s",
        why, pids);
    return false;
}

/* The ledger of who answered first and has a good one. NULL: *why, NULL: nobody has answered. */
static struct ledger *find_ledger(const struct salvage *salvage, const char *run_dir, int *fd, const char **why)
{
    *why = NULL;
    for (size_t i = 0; i < salvage->count; i++) {
        const struct orphan_found *found = &salvage->all[i];
        if (found->heard == ORPHAN_FOREIGN) {
            *why = "they are of another version";
        }
        if (found->heard != ORPHAN_ANSWERED) {
            continue;
        }
        *fd = ledger_writer(found->ledger_fd);
        struct ledger *ledger = *fd >= 0 ? ledger_adopt(*fd) : NULL;
        if (ledger != NULL && strcmp(ledger->run_dir, run_dir) == 0) {
            return ledger;
        }
        *why = "their ledger is of another version";
        if (ledger != NULL) {
            munmap(ledger, sizeof *ledger);
        }
        close_fd(fd);
    }
    return NULL;
}

/* True if they are ending by themselves, and hold no socket any more. */
static bool are_stopping(const struct ledger *ledger)
{
    return ledger->phase == PHASE_STOPPING || ledger->phase == PHASE_ENDING;
}

bool orphans_take(const struct orphans_heir *heir, char error[ORPHANS_ERROR_BYTES])
{
    struct salvage salvage = {0};
    struct calling calling = {.run_dir = heir->run_dir, .salvage = &salvage};
    const char *why;
    int fd = -1;
    error[0] = '\0';
    door_sweep(heir->run_dir);
    (void)reap_orphans(); /* they are no children of ours */
    door_each(heir->run_dir, call_on, &calling);
    await_all(&salvage);
    struct ledger *ledger = find_ledger(&salvage, heir->run_dir, &fd, &why);
    if (ledger == NULL && why != NULL) {
        refuse(&salvage, error, why);
    } else if (ledger == NULL) {
        end_the_silent(&salvage);
    } else if (!are_stopping(ledger) || heir->to_stop) {
        end_the_silent(&salvage);
        end_keepers(ledger);
        if (salvage_settle(&salvage, ledger, heir, error)) {
            image_exec(ledger, fd, "/proc/self/exe");
            snprintf(error, ORPHANS_ERROR_BYTES, "cannot take over from the dead supervisor: exec: %s",
                     strerror(errno));
        }
    }
    salvage_free(&salvage);
    close_fd(&fd);
    return false;
}
