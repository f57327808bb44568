/* succession.c — see succession.h. No system calls here. */
#include "supervisor/succession.h"

#include <signal.h>

static struct succession_step step(enum succession_act act, uint32_t delay_ms)
{
    return (struct succession_step){.act = act, .delay_ms = delay_ms};
}

/* Nothing is left to succeed. A surplus worker had nothing else to do but to give that away. */
static struct succession_step renew(const struct worker *worker, uint32_t delay_ms)
{
    return worker->heir >= 0 ? step(ACT_END, 0) : step(ACT_RENEW, delay_ms);
}

/* A dead worker's place is taken by a successor if there is somebody who kept its connections. */
static struct succession_step replace(const struct worker *worker, const struct succession_facts *facts,
                                      uint32_t delay_ms)
{
    return facts->keeper_holds ? step(ACT_SUCCEED, delay_ms) : renew(worker, delay_ms);
}

static bool ended_well(const struct succession_death *death)
{
    return death->signal == 0 && death->exit_code == 0;
}

static struct succession_step on_ready(enum worker_state state)
{
    return step(state == WORKER_STARTING || state == WORKER_ADOPTING ? ACT_STAND : ACT_NOTHING, 0);
}

static struct succession_step on_forked(enum worker_state state)
{
    return step(state == WORKER_SUCCEEDING ? ACT_AWAIT : ACT_NOTHING, 0);
}

static struct succession_step on_not_forked(enum worker_state state)
{
    return state == WORKER_SUCCEEDING ? step(ACT_SUCCEED, SUCCESSION_FORK_RETRY_MS) : step(ACT_NOTHING, 0);
}

static struct succession_step on_retired(enum worker_state state)
{
    return step(state == WORKER_RETIRING ? ACT_SUCCEED : ACT_NOTHING, 0);
}

static struct succession_step on_died(const struct worker *worker, const struct succession_facts *facts)
{
    if (facts->ending) {
        return step(ACT_END, 0);
    }
    switch ((enum worker_state)worker->state) {
    case WORKER_STARTING:
        return step(ACT_RENEW, facts->delay_ms);
    case WORKER_SERVING:
    case WORKER_RETIRING:
    case WORKER_SHOT:
    case WORKER_ADOPTING:
        return replace(worker, facts, facts->delay_ms);
    case WORKER_GIVING:
    case WORKER_STOPPING:
        /* It had leave to go, but not this way: the successor finishes what it left. */
        if (!ended_well(&facts->death) && facts->keeper_holds) {
            return step(ACT_SUCCEED, facts->delay_ms);
        }
        return step(ACT_END, 0);
    case WORKER_EMPTY:
    case WORKER_SUCCEEDING:
    case WORKER_BACKING_OFF:
    case WORKER_ENDING:
        return step(ACT_NOTHING, 0);
    }
    return step(ACT_NOTHING, 0);
}

static struct succession_step on_keeper_died(const struct worker *worker, const struct succession_facts *facts)
{
    switch ((enum worker_state)worker->state) {
    case WORKER_SERVING:
    case WORKER_RETIRING: /* perhaps it has not read that order yet */
    case WORKER_GIVING:
    case WORKER_STOPPING:
        return step(facts->ending ? ACT_NOTHING : ACT_MAKE_KEEPER, 0);
    case WORKER_SUCCEEDING:
        if (worker->parked_pid != 0 && !facts->ending) {
            return step(ACT_MAKE_KEEPER, 0);
        }
        /* It may have forked first: then the successor holds everything, and makes its own keeper. */
        if (facts->successor_holds) {
            return step(ACT_AWAIT, 0);
        }
        return facts->ending ? step(ACT_END, 0) : renew(worker, 0);
    case WORKER_EMPTY:
    case WORKER_STARTING:
    case WORKER_SHOT:
    case WORKER_ADOPTING:
    case WORKER_BACKING_OFF: /* the end of the delay will see it */
    case WORKER_ENDING:
        return step(ACT_NOTHING, 0);
    }
    return step(ACT_NOTHING, 0);
}

/* A parked worker has made a keeper. Now nobody but a successor can hold the other end of the successor's channel: the
 * dead keeper's unread order, which held it as well, is gone with the old channel. */
static struct succession_step on_keeper_stands(enum worker_state state, const struct succession_facts *facts)
{
    if (state != WORKER_SUCCEEDING) {
        return step(ACT_NOTHING, 0);
    }
    return step(facts->successor_holds ? ACT_AWAIT : ACT_SUCCEED, 0);
}

static struct succession_step on_patience(const struct worker *worker, const struct succession_facts *facts)
{
    switch ((enum worker_state)worker->state) {
    case WORKER_STARTING:
    case WORKER_ADOPTING:
        return step(ACT_KILL, 0);
    case WORKER_RETIRING:
    case WORKER_SHOT:
        return step(ACT_SHOOT, 0);
    case WORKER_SUCCEEDING:
    case WORKER_ENDING:
        return step(ACT_KILL_KEEPER, 0);
    case WORKER_BACKING_OFF:
        return facts->ending ? step(ACT_END, 0) : replace(worker, facts, 0);
    case WORKER_GIVING:
        return step(ACT_STOP, 0);
    case WORKER_EMPTY:
    case WORKER_SERVING:
    case WORKER_STOPPING:
        return step(ACT_NOTHING, 0);
    }
    return step(ACT_NOTHING, 0);
}

static struct succession_step on_hung(enum worker_state state)
{
    bool runs =
        state == WORKER_SERVING || state == WORKER_RETIRING || state == WORKER_GIVING || state == WORKER_STOPPING;
    return step(runs ? ACT_SHOOT : ACT_NOTHING, 0);
}

struct succession_step succession_decide(const struct worker *worker, enum succession_event event,
                                         const struct succession_facts *facts)
{
    enum worker_state state = (enum worker_state)worker->state;
    switch (event) {
    case EVENT_READY:
        return on_ready(state);
    case EVENT_FORKED:
        return on_forked(state);
    case EVENT_NOT_FORKED:
        return on_not_forked(state);
    case EVENT_RETIRED:
        return on_retired(state);
    case EVENT_DIED:
        return on_died(worker, facts);
    case EVENT_KEEPER_DIED:
        return on_keeper_died(worker, facts);
    case EVENT_KEEPER_STANDS:
        return on_keeper_stands(state, facts);
    case EVENT_PATIENCE:
        return on_patience(worker, facts);
    case EVENT_HUNG:
        return on_hung(state);
    }
    return step(ACT_NOTHING, 0);
}

/* ---- why ---- */

static bool is_own_fault(int signal_number)
{
    switch (signal_number) {
    case SIGSEGV:
    case SIGBUS:
    case SIGABRT:
    case SIGILL:
    case SIGFPE:
    case SIGSYS:
    case SIGTRAP:
        return true;
    default:
        return false;
    }
}

enum birth_cause succession_fault(const struct succession_death *death)
{
    if (death->signal == 0 || (is_own_fault(death->signal) && !death->sent) ||
        (death->signal == SIGKILL && death->oom)) {
        return BIRTH_CRASH;
    }
    return BIRTH_KILLED;
}

enum birth_cause succession_cause(const struct worker *worker, const struct succession_death *death)
{
    switch ((enum worker_state)worker->state) {
    case WORKER_SHOT:
        return BIRTH_HANG;
    case WORKER_RETIRING:
        return ended_well(death) ? (enum birth_cause)worker->retire_cause : succession_fault(death);
    case WORKER_STARTING:
        return BIRTH_FRESH;
    case WORKER_ADOPTING:
        /* It has touched nothing yet: what counts is how the last one that served ended. */
        return (enum birth_cause)worker->cause;
    case WORKER_EMPTY:
    case WORKER_SERVING:
    case WORKER_SUCCEEDING:
    case WORKER_BACKING_OFF:
    case WORKER_GIVING:
    case WORKER_STOPPING:
    case WORKER_ENDING:
        return succession_fault(death);
    }
    return BIRTH_CRASH;
}

enum backoff_death succession_blame(enum birth_cause cause, const struct worker *worker,
                                    const struct succession_death *death)
{
    bool on_its_way = worker->state == WORKER_STARTING || worker->state == WORKER_ADOPTING;
    if (on_its_way) {
        bool from_outside = succession_fault(death) == BIRTH_KILLED && worker->killed_late == 0;
        return from_outside ? BACKOFF_KILL : BACKOFF_CRASH;
    }
    if (ended_well(death) && (worker->state == WORKER_STOPPING || worker->state == WORKER_GIVING)) {
        return BACKOFF_RETIRE;
    }
    switch (cause) {
    case BIRTH_RELOAD:
    case BIRTH_UPGRADE:
        return BACKOFF_RETIRE;
    case BIRTH_KILLED:
        return BACKOFF_KILL;
    case BIRTH_FRESH:
    case BIRTH_CRASH:
    case BIRTH_HANG:
        return BACKOFF_CRASH;
    }
    return BACKOFF_CRASH;
}
