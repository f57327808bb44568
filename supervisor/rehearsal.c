/* rehearsal.c — see rehearsal.h. Nothing of it is in the ledger: an image that takes over begins anew. */
#include "supervisor/rehearsal.h"

#include "supervisor/inherit/contract.h"
#include "supervisor/reap.h"
#include "supervisor/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* It is told the first slot that is nobody's: what it is called has no part in what it does. */
static struct birth birth_of(const struct supervisor *s, int program_fd, int snapshot_fd)
{
    const struct ledger *ledger = s->ledger;
    return (struct birth){
        .version = CONTRACT_VERSION,
        .slot = ledger->workers.count < WORKERS_MAX ? ledger->workers.count : WORKERS_MAX - 1,
        .generation = ledger->generation + 1,
        .cause = BIRTH_FRESH,
        .syslog = ledger->error_log_is_syslog,
        .error_log_fd = ledger->error_log_fd,
        .snapshot_fd = snapshot_fd,
        .access_log_fd = ledger->access_log_fd,
        .program_fd = program_fd,
        .epoll_fd = -1,
        .door_fd = -1,
        .ledger_fd = -1,
        .handed_fd = -1,
        .tally_fd = -1,
    };
}

static bool spawn(struct supervisor *s, struct birth *birth, uint32_t cell_slots)
{
    struct rehearsal *rehearsal = &s->reload.rehearsal;
    int control[2] = {-1, -1};
    int keeper[2] = {-1, -1};
    birth->cell_fd = cell_create(cell_slots);
    if (birth->cell_fd >= 0 && channel_pair(control) == 0 && channel_pair(keeper) == 0) {
        birth->control_fd = control[1];
        birth->keeper_fd = keeper[1];
        rehearsal->pid = spawn_worker(birth, &s->privilege, cell_slots);
    }
    int saved = errno;
    close_fd(&birth->cell_fd);
    close_fd(&control[1]);
    close_fd(&keeper[1]);
    rehearsal->control_fd = control[0];
    rehearsal->keeper_fd = keeper[0];
    errno = saved;
    return rehearsal->pid > 0;
}

bool rehearsal_begin(struct supervisor *s, int program_fd, int snapshot_fd, const struct settings *settings)
{
    struct birth birth = birth_of(s, program_fd, snapshot_fd);
    s->reload.rehearsal = (struct rehearsal){.pid = -1, .control_fd = -1, .keeper_fd = -1};
    if (spawn(s, &birth, spawn_descriptors(settings->connections))) {
        return true;
    }
    int saved = errno;
    rehearsal_end(s);
    errno = saved;
    return false;
}

/* Its own words, if it has any; else how it ended. */
static enum rehearsal_outcome explain_end(const struct report *last, int status, char error[REHEARSAL_ERROR_BYTES])
{
    static const char who[] = "a worker of the new program died before it was ready";
    if (last->kind == REPORT_CANNOT && last->text[0] != '\0') {
        snprintf(error, REHEARSAL_ERROR_BYTES, "%.*s", (int)sizeof last->text - 1, last->text);
    } else if (WIFSIGNALED(status)) {
        snprintf(error, REHEARSAL_ERROR_BYTES, "%s: signal %d (SIG%s)", who, WTERMSIG(status),
                 sigabbrev_np(WTERMSIG(status)));
    } else {
        snprintf(error, REHEARSAL_ERROR_BYTES, "%s: exit %d", who, WEXITSTATUS(status));
    }
    return REHEARSAL_FAILED;
}

enum rehearsal_outcome rehearsal_hear(struct supervisor *s, bool late, char error[REHEARSAL_ERROR_BYTES])
{
    struct rehearsal *rehearsal = &s->reload.rehearsal;
    struct report report;
    struct report last = {.kind = REPORT_KEEPER}; /* nothing yet */
    int status;
    bool ended = TEMP_FAILURE_RETRY(waitpid(rehearsal->pid, &status, WNOHANG)) == rehearsal->pid;
    while (channel_receive(rehearsal->control_fd, &report, sizeof report, NULL, NULL, NULL) > 0) {
        last = report;
    }
    if (ended) {
        rehearsal->pid = -1;
        return explain_end(&last, status, error);
    }
    if (last.kind == REPORT_READY) {
        return REHEARSAL_READY;
    }
    if (late) {
        snprintf(error, REHEARSAL_ERROR_BYTES, "a worker of the new program was not ready within ready_timeout");
        return REHEARSAL_FAILED;
    }
    return REHEARSAL_WAITS;
}

/* Its keeper leaves at the end of the channel; both are reaped with whoever else is nobody's. */
void rehearsal_end(struct supervisor *s)
{
    struct rehearsal *rehearsal = &s->reload.rehearsal;
    if (rehearsal->pid > 0) {
        reap_signal(rehearsal->pid, SIGKILL);
        rehearsal->pid = -1;
    }
    watch_close(s, &rehearsal->control_fd);
    close_fd(&rehearsal->keeper_fd);
}
