/* heirs.c — see heirs.h. */
#include "supervisor/heirs.h"

static bool may_inherit(const struct worker *worker)
{
    return worker->state == WORKER_SERVING && worker->heir < 0;
}

uint32_t heirs_end(const struct workers *workers, size_t surplus)
{
    uint32_t lowest = 0;
    uint32_t end = workers->count;
    while (lowest < workers->count && !may_inherit(&workers->all[lowest])) {
        lowest++;
    }
    while (surplus > 0 && end > lowest + 1) {
        end--;
        surplus -= may_inherit(&workers->all[end]);
    }
    return end;
}

void heirs_add(struct heirs *heirs, uint32_t heir, uint64_t connections)
{
    heirs->load[heir].givers++;
    heirs->load[heir].connections += connections;
}

static bool is_lighter(const struct heir_load *one, const struct heir_load *other)
{
    return one->givers != other->givers ? one->givers < other->givers : one->connections < other->connections;
}

/* More channels than that a worker does not watch. */
bool heirs_has_room(const struct worker *worker, const struct heirs *heirs)
{
    return may_inherit(worker) && worker->generation == heirs->generation &&
           heirs->load[worker->slot].givers < CELL_TAKING_MAX;
}

struct worker *heirs_choose(struct workers *workers, const struct heirs *heirs)
{
    struct worker *best = NULL;
    for (uint32_t i = 0; i < workers->count && i < heirs->end; i++) {
        const struct heir_load *load = &heirs->load[i];
        if (!heirs_has_room(&workers->all[i], heirs)) {
            continue;
        }
        if (best == NULL || is_lighter(load, &heirs->load[best->slot])) {
            best = &workers->all[i];
        }
    }
    return best;
}
