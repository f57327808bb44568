/* bury.c — see bury.h. */
#include "supervisor/bury.h"

#include "supervisor/inherit/log.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The address of the client on descriptor FD of process PID, "" if the kernel does not tell. */
static void client_text(pid_t pid, int fd, char text[WORKER_CLIENT_BYTES])
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t length = sizeof address;
    text[0] = '\0';
    int process = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    int socket = process >= 0 ? (int)syscall(SYS_pidfd_getfd, process, fd, 0) : -1;
    if (socket >= 0 && getpeername(socket, (struct sockaddr *)&address, &length) == 0) {
        if (address.ss_family == AF_INET) {
            inet_ntop(AF_INET, &((struct sockaddr_in *)&address)->sin_addr, text, WORKER_CLIENT_BYTES);
        } else if (address.ss_family == AF_INET6) {
            inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&address)->sin6_addr, text, WORKER_CLIENT_BYTES);
        } else if (address.ss_family == AF_UNIX) {
            snprintf(text, WORKER_CLIENT_BYTES, "unix");
        }
    }
    close_fd(&socket);
    close_fd(&process);
}

/* It left as it was told to. */
static bool left_on_order(const struct worker *w, const struct succession_death *death)
{
    bool may_go = w->state == WORKER_RETIRING || w->state == WORKER_STOPPING || w->state == WORKER_GIVING;
    return may_go && death->signal == 0 && death->exit_code == 0;
}

static void note_work(struct supervisor *s, const struct worker *w, struct worker_death *record)
{
    const struct cell *face = &s->cells[w->slot];
    int fd;
    if (face->header == NULL) {
        return;
    }
    record->connections = cell_connections(face);
    if (cell_in_hand(face, w->cell_slots, record->request, sizeof record->request, &fd)) {
        client_text(w->keeper_pid, fd, record->client);
    } else {
        record->request[0] = '\0';
    }
}

void bury(struct supervisor *s, struct worker *w, const struct succession_death *death, enum birth_cause cause,
          bool was_ready)
{
    if (left_on_order(w, death)) {
        return;
    }
    struct worker_death record = {
        .when = clock_wall_seconds(),
        .pid = w->pid,
        .signal = death->signal,
        .exit_code = death->exit_code,
        .cause = was_ready ? cause : succession_fault(death),
        .oom = death->oom,
        .refused_call = death->refused_call,
    };
    if (was_ready) {
        note_work(s, w, &record);
    } else if (s->phase != PHASE_ENDING) {
        char words[96];
        bury_words(&record, words, sizeof words);
        log_warn("worker %u gen %u: died before it was ready: %s", w->slot, w->generation, words);
    }
    bool succeeds_a_dead =
        w->state == WORKER_ADOPTING && (cause == BIRTH_CRASH || cause == BIRTH_KILLED || cause == BIRTH_HANG);
    if (!succeeds_a_dead) {
        w->last_death = record;
    }
}

void bury_call_name(const struct worker_death *death, char *name, size_t bytes)
{
    char *found = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)(death->refused_call - 1));
    if (found != NULL) {
        snprintf(name, bytes, "%s", found);
    } else {
        snprintf(name, bytes, "number %u", death->refused_call - 1);
    }
    free(found);
}

void bury_words(const struct worker_death *death, char *text, size_t bytes)
{
    const char *name = death->signal != 0 ? sigabbrev_np(death->signal) : NULL;
    if (death->cause == BIRTH_HANG) {
        snprintf(text, bytes, "hanging");
    } else if (death->signal == 0) {
        snprintf(text, bytes, "exit %d", death->exit_code);
    } else if (death->oom) {
        snprintf(text, bytes, "the OOM killer (signal %d)", death->signal);
    } else if (death->refused_call != 0) {
        char call[32];
        bury_call_name(death, call, sizeof call);
        snprintf(text, bytes, "a system call that the sandbox refused (%s)", call);
    } else if (death->cause == BIRTH_CRASH) {
        snprintf(text, bytes, "crash (SIG%s)", name != NULL ? name : "?");
    } else {
        snprintf(text, bytes, "kill -%d (SIG%s)", death->signal, name != NULL ? name : "?");
    }
}

void bury_tell_succession(const struct worker *w)
{
    const struct worker_death *death = &w->last_death;
    char words[96];
    double gap_ms = (double)w->gap_us / 1000;
    if (w->cause == BIRTH_FRESH) {
        log_info("worker %u gen %u: ready, pid %d", w->slot, w->generation, w->pid);
        return;
    }
    if (w->cause == BIRTH_RELOAD || w->cause == BIRTH_UPGRADE) {
        log_info("worker %u gen %u: succeeded for %s in %.1f ms: %u connections kept, %u dropped", w->slot,
                 w->generation, birth_cause_name[w->cause], gap_ms, w->adopted, w->dropped);
        return;
    }
    bury_words(death, words, sizeof words);
    bool in_hand = death->request[0] != '\0';
    log_info("worker %u gen %u: succeeded after %s in %.1f ms: %u connections kept, %u dropped%s%s%s%s", w->slot,
             w->generation, words, gap_ms, w->adopted, w->dropped, in_hand ? "; in hand was: " : "",
             in_hand ? death->request : "", in_hand && death->client[0] != '\0' ? ", from " : "",
             in_hand ? death->client : "");
}
