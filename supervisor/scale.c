/* scale.c — see scale.h. */
#include "supervisor/scale.h"

#include "supervisor/inherit/log.h"
#include "supervisor/tend.h"

#include <sched.h>

unsigned scale_wanted(const struct settings *settings)
{
    cpu_set_t processors;
    if (settings->workers != 0) {
        return settings->workers < WORKERS_MAX ? settings->workers : WORKERS_MAX;
    }
    if (sched_getaffinity(0, sizeof processors, &processors) != 0) {
        return 1;
    }
    int count = CPU_COUNT(&processors);
    return count > 0 ? (unsigned)count : 1;
}

void scale_step(struct supervisor *s, int step)
{
    uint32_t *wanted = &s->ledger->workers.wanted;
    if ((step > 0 && *wanted < WORKERS_MAX) || (step < 0 && *wanted > 1)) {
        *wanted += (uint32_t)step;
    }
    log_info("%u workers are wanted", *wanted);
}

static void start_missing(struct supervisor *s, size_t missing)
{
    for (size_t i = 0; i < missing; i++) {
        struct worker *w = workers_take(&s->ledger->workers);
        if (w == NULL || !tend_start(s, w)) {
            return; /* one that could not be started tries again by itself; the rest wait for the next turn */
        }
    }
}

/* The worker that is to take SURPLUS's connections: the lowest that serves. */
static struct worker *find_heir(struct workers *workers, const struct worker *surplus)
{
    for (uint32_t i = 0; i < workers->count; i++) {
        struct worker *w = &workers->all[i];
        if (w != surplus && w->state == WORKER_SERVING && w->heir < 0) {
            return w;
        }
    }
    return NULL;
}

static void give(struct workers *workers, struct worker *surplus)
{
    struct worker *heir = find_heir(workers, surplus);
    if (heir != NULL) {
        tend_give(surplus, heir);
    }
}

/* The highest goes first. */
static void give_surplus(struct workers *workers, size_t surplus)
{
    for (uint32_t i = workers->count; i-- > 0 && surplus > 0;) {
        struct worker *w = &workers->all[i];
        if (w->state == WORKER_SERVING && w->heir < 0) {
            give(workers, w);
            surplus--;
        }
    }
}

/* One that succeeded a giver goes on giving. */
static void give_again(struct workers *workers)
{
    for (uint32_t i = 0; i < workers->count; i++) {
        struct worker *w = &workers->all[i];
        if (w->state == WORKER_SERVING && w->heir >= 0) {
            give(workers, w);
        }
    }
}

void scale_turn(struct supervisor *s)
{
    struct workers *workers = &s->ledger->workers;
    if (s->phase != PHASE_RUNNING) {
        return;
    }
    size_t active = workers_active(workers);
    if (active < workers->wanted) {
        start_missing(s, workers->wanted - active);
    } else if (active > workers->wanted && s->ledger->rolling == ROLLING_NOT) {
        give_surplus(workers, active - workers->wanted);
    }
    give_again(workers);
}
