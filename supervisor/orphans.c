/* orphans.c — see orphans.h.
 *
 * A worker may have been taken over by somebody from outside, so it is believed as little as possible: who it is, the
 * kernel says; ledger, snapshot and cell must be memfds that our own user has made, under their names; a listener is
 * one if it has the cookie that the ledger says. */
#include "supervisor/orphans.h"

#include "supervisor/door.h"
#include "supervisor/given.h"
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

enum { PATIENCE_MS = 2000, ENDING_MS = 1000, FINISH_MS = 30000 /* stop_timeout's default: theirs is not known */ };

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

/* SIGKILL to PID, if it is a process of this program, unless it ends before PATIENCE is over; returns when it has let
 * go of everything. */
static void end_process(pid_t pid, struct instant patience)
{
    int process_fd = reap_is_ours(pid) ? pidfd_open(pid, 0) : -1;
    struct pollfd ended = {.fd = process_fd, .events = POLLIN};
    if (process_fd >= 0 && poll(&ended, 1, (int)clock_since(clock_now(), patience)) == 0) {
        reap_signal(pid, SIGKILL);
        (void)poll(&ended, 1, ENDING_MS);
    }
    if (process_fd >= 0) {
        close(process_fd);
    }
}

static void end_the_silent(const struct salvage *salvage)
{
    for (size_t i = 0; i < salvage->count; i++) {
        const struct orphan_found *found = &salvage->all[i];
        if (found->heard == ORPHAN_SILENT) {
            log_error("worker %u: pid %d does not answer at its door: killed", found->slot, (int)found->pid);
            end_process(found->pid, clock_now());
        }
    }
}

/* Keepers left with their supervisor, but for one that somebody stopped. */
static void end_keepers(const struct ledger *ledger)
{
    for (uint32_t i = 0; i < ledger->workers.count; i++) {
        const struct worker *w = &ledger->workers.all[i];
        end_process(w->keeper_pid, clock_now());
        end_process(w->next_keeper_pid, clock_now());
        for (size_t j = 0; j < WORKER_LEAVING_MAX; j++) {
            end_process(w->leaving[j].pid, clock_now());
        }
    }
}

/* ---- taking ---- */

static void refuse(const struct salvage *salvage, char error[ORPHANS_ERROR_BYTES], const char *why)
{
    char pids[256] = "";
    size_t length = 0;
    for (size_t i = 0; i < salvage->count && length + 16 < sizeof pids; i++) {
        length += (size_t)snprintf(pids + length, sizeof pids - length, " %d", (int)salvage->all[i].pid);
    }
    snprintf(error, ORPHANS_ERROR_BYTES, "workers without a supervisor (pid%s) cannot be taken over: %s", pids, why);
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

/* Call on all who are there, and hear them. */
static void meet(const char *run_dir, struct salvage *salvage)
{
    struct calling calling = {.run_dir = run_dir, .salvage = salvage};
    door_sweep(run_dir);
    (void)reap_orphans(); /* they are no children of ours */
    door_each(run_dir, call_on, &calling);
    await_all(salvage);
}

enum orphans_outcome orphans_take(const struct orphans_heir *heir, char error[ORPHANS_ERROR_BYTES])
{
    struct salvage salvage = {0};
    enum orphans_outcome outcome = ORPHANS_NONE;
    const char *why;
    int fd = -1;
    meet(heir->run_dir, &salvage);
    struct ledger *ledger = find_ledger(&salvage, heir->run_dir, &fd, &why);
    if (ledger == NULL && why != NULL) {
        refuse(&salvage, error, why);
        outcome = ORPHANS_OF_NO_USE;
    } else if (ledger == NULL) {
        end_the_silent(&salvage);
    } else if (!are_stopping(ledger) || heir->to_stop) {
        end_the_silent(&salvage);
        end_keepers(ledger);
        outcome = ORPHANS_FAULT;
        if (salvage_settle(&salvage, ledger, heir, error)) {
            image_exec_next(ledger, fd);
            snprintf(error, ORPHANS_ERROR_BYTES, "cannot take over from the dead supervisor: exec: %s",
                     strerror(errno));
        }
    }
    salvage_free(&salvage);
    close_fd(&fd);
    return outcome;
}

/* ---- those who cannot be taken over ---- */

/* Who answers hears it from us; who does not understand us, or is silent, by signal. */
static void tell_to_finish(const struct salvage *salvage, uint64_t deadline_ms)
{
    const struct order stop = {.kind = ORDER_STOP, .deadline_ms = deadline_ms};
    for (size_t i = 0; i < salvage->count; i++) {
        const struct orphan_found *found = &salvage->all[i];
        if (found->heard != ORPHAN_ANSWERED || channel_send(found->fd, &stop, sizeof stop, NULL, 0) != 0) {
            reap_signal(found->pid, SIGTERM);
        }
    }
}

static void keep_listeners(struct salvage *salvage, struct listeners *listeners)
{
    for (size_t i = 0; i < salvage->count; i++) {
        struct orphan_found *found = &salvage->all[i];
        for (size_t j = 0; j < found->listeners_count; j++) {
            if (given_add(listeners, found->listener_fds[j]) == NULL) {
                found->listener_fds[j] = -1;
            }
        }
    }
}

bool orphans_replace(const char *run_dir, struct listeners *listeners, char error[ORPHANS_ERROR_BYTES])
{
    struct salvage salvage = {0};
    bool understood = true;
    meet(run_dir, &salvage);
    for (size_t i = 0; i < salvage.count; i++) {
        understood = understood && salvage.all[i].heard != ORPHAN_FOREIGN;
    }
    if (understood) {
        keep_listeners(&salvage, listeners);
        tell_to_finish(&salvage, clock_after(clock_now(), FINISH_MS).ms);
    } else {
        refuse(&salvage, error, "they are of another version; end them with: perdure stop");
    }
    salvage_free(&salvage);
    return understood;
}

void orphans_end(const char *run_dir, bool now)
{
    struct salvage salvage = {0};
    struct instant deadline = clock_after(clock_now(), now ? 0 : FINISH_MS);
    meet(run_dir, &salvage);
    tell_to_finish(&salvage, deadline.ms);
    for (size_t i = 0; i < salvage.count; i++) {
        end_process(salvage.all[i].pid, clock_after(deadline, ENDING_MS));
    }
    door_sweep(run_dir);
    salvage_free(&salvage);
}
