/* workers.c — see workers.h. No system calls here. */
#include "supervisor/workers.h"

#include "supervisor/inherit/log.h"

#include <string.h>

const char *const worker_state_name[WORKER_STATES] = {
    [WORKER_EMPTY] = "empty",       [WORKER_STARTING] = "starting",
    [WORKER_SERVING] = "serving",   [WORKER_RETIRING] = "retiring",
    [WORKER_SHOT] = "shot",         [WORKER_SUCCEEDING] = "succeeding",
    [WORKER_ADOPTING] = "adopting", [WORKER_GIVING] = "giving",
    [WORKER_STOPPING] = "stopping", [WORKER_BACKING_OFF] = "backing off",
    [WORKER_ENDING] = "ending",
};

#define TO(state) (1U << (state))

/* Which states may follow which. */
static const uint32_t may_follow[WORKER_STATES] = {
    [WORKER_EMPTY] = TO(WORKER_STARTING) | TO(WORKER_BACKING_OFF),
    [WORKER_STARTING] = TO(WORKER_SERVING) | TO(WORKER_BACKING_OFF) | TO(WORKER_STARTING) | TO(WORKER_ENDING),
    [WORKER_SERVING] = TO(WORKER_RETIRING) | TO(WORKER_SHOT) | TO(WORKER_SUCCEEDING) | TO(WORKER_BACKING_OFF) |
                       TO(WORKER_STARTING) | TO(WORKER_GIVING) | TO(WORKER_STOPPING) | TO(WORKER_ENDING),
    [WORKER_RETIRING] = TO(WORKER_SERVING) | TO(WORKER_GIVING) | TO(WORKER_SHOT) | TO(WORKER_SUCCEEDING) |
                        TO(WORKER_BACKING_OFF) | TO(WORKER_STARTING) | TO(WORKER_STOPPING) | TO(WORKER_ENDING),
    [WORKER_SHOT] = TO(WORKER_SUCCEEDING) | TO(WORKER_BACKING_OFF) | TO(WORKER_STARTING) | TO(WORKER_ENDING),
    [WORKER_SUCCEEDING] =
        TO(WORKER_ADOPTING) | TO(WORKER_SUCCEEDING) | TO(WORKER_BACKING_OFF) | TO(WORKER_STARTING) | TO(WORKER_ENDING),
    [WORKER_ADOPTING] =
        TO(WORKER_SERVING) | TO(WORKER_SUCCEEDING) | TO(WORKER_BACKING_OFF) | TO(WORKER_STARTING) | TO(WORKER_ENDING),
    [WORKER_BACKING_OFF] = TO(WORKER_SUCCEEDING) | TO(WORKER_STARTING) | TO(WORKER_BACKING_OFF) | TO(WORKER_ENDING),
    [WORKER_GIVING] = TO(WORKER_RETIRING) | TO(WORKER_SHOT) | TO(WORKER_SUCCEEDING) | TO(WORKER_BACKING_OFF) |
                      TO(WORKER_STOPPING) | TO(WORKER_ENDING),
    [WORKER_STOPPING] = TO(WORKER_SHOT) | TO(WORKER_SUCCEEDING) | TO(WORKER_BACKING_OFF) | TO(WORKER_ENDING),
    [WORKER_ENDING] = TO(WORKER_EMPTY),
};

bool worker_may_enter(enum worker_state from, enum worker_state to)
{
    return (unsigned)from < WORKER_STATES && (unsigned)to < WORKER_STATES && (may_follow[from] & TO(to)) != 0;
}

static const char *name_of(uint32_t state)
{
    return state < WORKER_STATES ? worker_state_name[state] : "?";
}

void worker_enter(struct worker *worker, enum worker_state next, uint64_t now_ms)
{
    if (worker_may_enter((enum worker_state)worker->state, next)) {
        log_debug("worker %u gen %u: %s -> %s", worker->slot, worker->generation, name_of(worker->state),
                  name_of(next));
    } else {
        log_error("can't happen: worker %u gen %u: %s -> %s", worker->slot, worker->generation, name_of(worker->state),
                  name_of(next));
    }
    worker->state = next;
    worker->entered_ms = now_ms;
    worker->deadline_ms = 0;
}

void worker_find(struct worker *worker, enum worker_state state, uint64_t now_ms)
{
    worker->state = state;
    worker->entered_ms = now_ms;
    worker->deadline_ms = 0;
    worker->parked_pid = worker->next_keeper_pid = 0;
    worker->keeper_fd = worker->next_control_fd = worker->next_keeper_fd = -1;
    worker->killed_late = worker->woken = 0;
    for (size_t i = 0; i < WORKER_LEAVING_MAX; i++) {
        worker->leaving[i] = (struct worker_leaving){.fd = -1};
    }
}

void worker_clear(struct worker *worker)
{
    uint32_t slot = worker->slot;
    memset(worker, 0, sizeof *worker);
    worker->slot = slot;
    worker->control_fd = worker->keeper_fd = -1;
    worker->next_control_fd = worker->next_keeper_fd = -1;
    worker->cell_fd = -1;
    worker->heir = -1;
    for (size_t i = 0; i < WORKER_LEAVING_MAX; i++) {
        worker->leaving[i].fd = -1;
    }
}

void workers_clear(struct workers *workers)
{
    workers->count = 0;
    workers->wanted = 0;
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        workers->all[i].slot = i;
        worker_clear(&workers->all[i]);
    }
}

static enum worker_role role_of(const struct worker *worker, pid_t pid)
{
    if (worker->pid == pid) {
        return ROLE_WORKER;
    }
    if (worker->parked_pid == pid) {
        return ROLE_PARKED;
    }
    if (worker->keeper_pid == pid) {
        return ROLE_KEEPER;
    }
    if (worker->next_keeper_pid == pid) {
        return ROLE_NEXT_KEEPER;
    }
    for (size_t i = 0; i < WORKER_LEAVING_MAX; i++) {
        if (worker->leaving[i].pid == pid) {
            return ROLE_LEAVING;
        }
    }
    return ROLE_NOBODY;
}

struct worker *workers_find(struct workers *workers, pid_t pid, enum worker_role *role)
{
    *role = ROLE_NOBODY;
    for (uint32_t i = 0; pid > 0 && i < workers->count; i++) {
        *role = role_of(&workers->all[i], pid);
        if (*role != ROLE_NOBODY) {
            return &workers->all[i];
        }
    }
    return NULL;
}

struct worker *workers_take(struct workers *workers)
{
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        if (workers->all[i].state == WORKER_EMPTY) {
            workers->count = i >= workers->count ? i + 1 : workers->count;
            return &workers->all[i];
        }
    }
    return NULL;
}

void workers_trim(struct workers *workers)
{
    while (workers->count > 0 && workers->all[workers->count - 1].state == WORKER_EMPTY) {
        workers->count--;
    }
}

size_t workers_in(const struct workers *workers, enum worker_state state)
{
    size_t found = 0;
    for (uint32_t i = 0; i < workers->count; i++) {
        found += workers->all[i].state == state;
    }
    return found;
}

bool worker_is_active(const struct worker *worker)
{
    switch ((enum worker_state)worker->state) {
    case WORKER_STARTING:
    case WORKER_SERVING:
    case WORKER_RETIRING:
    case WORKER_SHOT:
    case WORKER_SUCCEEDING:
    case WORKER_ADOPTING:
    case WORKER_BACKING_OFF:
        return worker->heir < 0;
    case WORKER_EMPTY:
    case WORKER_GIVING:
    case WORKER_STOPPING:
    case WORKER_ENDING:
        return false;
    }
    return false;
}

size_t workers_active(const struct workers *workers)
{
    size_t found = 0;
    for (uint32_t i = 0; i < workers->count; i++) {
        found += worker_is_active(&workers->all[i]);
    }
    return found;
}

bool worker_is_alone(const struct worker *worker)
{
    for (size_t i = 0; i < WORKER_LEAVING_MAX; i++) {
        if (worker->leaving[i].pid != 0) {
            return false;
        }
    }
    return true;
}
