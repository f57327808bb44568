/* scale.c — see scale.h. */
#include "supervisor/scale.h"

#include "supervisor/heirs.h"
#include "supervisor/inherit/log.h"
#include "supervisor/tend.h"

#include <errno.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

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

/* ---- who takes whose connections ---- */

static uint64_t carries(const struct supervisor *s, const struct worker *w)
{
    const struct cell *cell = &s->cells[w->slot];
    return cell->header != NULL ? cell_connections(cell) : 0;
}

/* What everybody has to carry, and who may be an heir while SURPLUS workers are too many. */
static void weigh(const struct supervisor *s, size_t surplus, struct heirs *heirs)
{
    const struct ledger *ledger = s->ledger;
    *heirs = (struct heirs){.end = heirs_end(&ledger->workers, surplus)};
    for (uint32_t i = 0; i < ledger->workers.count; i++) {
        const struct worker *w = &ledger->workers.all[i];
        heirs->load[i].connections += carries(s, w);
        if (w->state == WORKER_GIVING && w->heir >= 0) {
            heirs->load[w->heir % WORKERS_MAX].connections += carries(s, w);
        }
    }
    for (size_t i = 0; i < LEDGER_GIFTS_MAX; i++) {
        heirs->load[ledger->gifts[i].heir % WORKERS_MAX].givers += ledger->gifts[i].fd >= 0;
    }
}

static struct ledger_gift *free_place(struct ledger *ledger)
{
    for (size_t i = 0; i < LEDGER_GIFTS_MAX; i++) {
        if (ledger->gifts[i].fd < 0) {
            return &ledger->gifts[i];
        }
    }
    return NULL;
}

static void give(struct supervisor *s, struct worker *surplus, struct heirs *heirs)
{
    struct ledger *ledger = s->ledger;
    const struct worker *heir = heirs_choose(&ledger->workers, heirs);
    struct ledger_gift *gift = free_place(ledger);
    int ends[2];
    if (heir == NULL || gift == NULL || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return; /* the next turn tries again */
    }
    heirs_add(heirs, heir->slot, carries(s, surplus));
    tend_take(heir, ends[1]);
    tend_give(surplus, heir, ends[0]);
    close(ends[0]);
    *gift = (struct ledger_gift){.fd = ends[1], .heir = heir->slot, .heir_pid = heir->pid};
}

/* True if nothing is left in the socket, and nobody will put anything into it. */
static bool is_received(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

/* If the heir has died since, it may have done so before it read that order. Its successor gets it anew; to be told
 * twice does no harm. */
static void see_to_gift(struct supervisor *s, struct ledger_gift *gift, struct heirs *heirs)
{
    struct ledger *ledger = s->ledger;
    if (is_received(gift->fd)) {
        close_fd(&gift->fd);
        return;
    }
    const struct worker *heir = &ledger->workers.all[gift->heir % WORKERS_MAX];
    if (!worker_is_active(heir)) {
        heir = heirs_choose(&ledger->workers, heirs);
    }
    if (heir != NULL && heir->state == WORKER_SERVING && heir->pid != gift->heir_pid) {
        tend_take(heir, gift->fd);
        if (heir->slot != gift->heir) {
            heirs_add(heirs, heir->slot, 0);
        }
        gift->heir = heir->slot;
        gift->heir_pid = heir->pid;
    }
}

static void see_to_gifts(struct supervisor *s, struct heirs *heirs)
{
    for (size_t i = 0; i < LEDGER_GIFTS_MAX; i++) {
        if (s->ledger->gifts[i].fd >= 0) {
            see_to_gift(s, &s->ledger->gifts[i], heirs);
        }
    }
}

/* The highest go first. */
static void give_surplus(struct supervisor *s, struct heirs *heirs)
{
    struct workers *workers = &s->ledger->workers;
    for (uint32_t i = workers->count; i-- > heirs->end;) {
        if (workers->all[i].state == WORKER_SERVING && workers->all[i].heir < 0) {
            give(s, &workers->all[i], heirs);
        }
    }
}

/* One that succeeded a giver goes on giving. */
static void give_again(struct supervisor *s, struct heirs *heirs)
{
    struct workers *workers = &s->ledger->workers;
    for (uint32_t i = 0; i < workers->count; i++) {
        struct worker *w = &workers->all[i];
        if (w->state == WORKER_SERVING && w->heir >= 0) {
            give(s, w, heirs);
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
    size_t surplus = active > workers->wanted && s->ledger->rolling == ROLLING_NOT ? active - workers->wanted : 0;
    if (active < workers->wanted) {
        start_missing(s, workers->wanted - active);
    }
    struct heirs heirs;
    weigh(s, surplus, &heirs);
    see_to_gifts(s, &heirs);
    give_surplus(s, &heirs);
    give_again(s, &heirs);
}
