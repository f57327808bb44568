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

void scale_add(struct supervisor *s)
{
    start_missing(s, 1);
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
    *heirs = (struct heirs){.end = heirs_end(&ledger->workers, surplus), .generation = ledger->present.generation};
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

/* One that succeeded a giver keeps the heir, and waits for it if need be: that one alone knows which connections it got
 * from the giver just before it died. */
static const struct worker *heir_of(struct ledger *ledger, const struct worker *surplus, const struct heirs *heirs)
{
    const struct worker *before = surplus->heir >= 0 ? &ledger->workers.all[surplus->heir % WORKERS_MAX] : NULL;
    if (before == NULL || !worker_is_active(before) || before->generation != heirs->generation) {
        return heirs_choose(&ledger->workers, heirs);
    }
    return heirs_has_room(before, heirs) ? before : NULL;
}

static bool give(struct supervisor *s, struct worker *surplus, struct heirs *heirs)
{
    struct ledger *ledger = s->ledger;
    const struct worker *heir = heir_of(ledger, surplus, heirs);
    struct ledger_gift *gift = free_place(ledger);
    int ends[2];
    if (heir == NULL || gift == NULL || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return false; /* the next turn tries again */
    }
    heirs_add(heirs, heir->slot, carries(s, surplus));
    tend_take(heir, ends[1]);
    tend_give(surplus, heir, ends[0]);
    close(ends[0]);
    *gift = (struct ledger_gift){.fd = ends[1], .heir = heir->slot, .heir_pid = heir->pid};
    return true;
}

static const struct worker *any_active(const struct workers *workers)
{
    for (uint32_t i = 0; i < workers->count; i++) {
        if (worker_is_active(&workers->all[i])) {
            return &workers->all[i];
        }
    }
    return NULL;
}

int scale_open_gift(struct supervisor *s)
{
    struct ledger *ledger = s->ledger;
    struct heirs heirs;
    int ends[2];
    weigh(s, 0, &heirs);
    const struct worker *heir = heirs_choose(&ledger->workers, &heirs);
    const struct worker *later = heir == NULL ? any_active(&ledger->workers) : NULL;
    struct ledger_gift *gift = free_place(ledger);
    if ((heir == NULL && later == NULL) || gift == NULL ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return -1;
    }
    *gift = heir != NULL ? (struct ledger_gift){.fd = ends[1], .heir = heir->slot, .heir_pid = heir->pid}
                         : (struct ledger_gift){.fd = ends[1], .heir = later->slot};
    if (heir != NULL) {
        tend_take(heir, ends[1]);
    }
    return ends[0];
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

/* ---- obsolete ones: no present program can adopt them, so they go when a fresh one serves in their place ---- */

static bool is_obsolete(const struct supervisor *s, const struct worker *w)
{
    return worker_is_active(w) && !ledger_can_adopt(s->ledger, w);
}

/* How many are active, and of those: how many are obsolete, and how many others serve. */
struct tally {
    size_t active;
    size_t obsolete;
    size_t serving;
};

static struct tally tally_of(const struct supervisor *s)
{
    struct tally tally = {.active = workers_active(&s->ledger->workers)};
    for (uint32_t i = 0; i < s->ledger->workers.count; i++) {
        const struct worker *w = &s->ledger->workers.all[i];
        bool obsolete = is_obsolete(s, w);
        tally.obsolete += obsolete;
        tally.serving += !obsolete && worker_is_active(w) && w->state == WORKER_SERVING;
    }
    return tally;
}

static size_t beyond(size_t count, size_t wanted)
{
    return count > wanted ? count - wanted : 0;
}

static bool give_obsolete(struct supervisor *s, size_t dispensable, struct heirs *heirs)
{
    struct workers *workers = &s->ledger->workers;
    bool any = false;
    for (uint32_t i = 0; i < workers->count && dispensable > 0; i++) {
        struct worker *w = &workers->all[i];
        if (is_obsolete(s, w) && w->state == WORKER_SERVING) {
            any |= give(s, w, heirs);
            dispensable--;
        }
    }
    return any;
}

static void limit_giving(struct supervisor *s)
{
    for (uint32_t i = 0; i < s->ledger->workers.count; i++) {
        if (s->ledger->workers.all[i].state == WORKER_GIVING) {
            tend_limit_giving(s, &s->ledger->workers.all[i]);
        }
    }
}

bool scale_turn(struct supervisor *s)
{
    struct workers *workers = &s->ledger->workers;
    if (s->phase != PHASE_RUNNING) {
        return false;
    }
    struct tally tally = tally_of(s);
    bool rolling = s->ledger->rolling != ROLLING_NOT;
    size_t surplus = rolling ? 0 : beyond(tally.active - tally.obsolete, workers->wanted);
    start_missing(s, beyond(workers->wanted, tally.active));
    struct heirs heirs;
    weigh(s, surplus, &heirs);
    see_to_gifts(s, &heirs);
    give_surplus(s, &heirs);
    bool gone = give_obsolete(s, beyond(tally.serving + tally.obsolete, workers->wanted), &heirs);
    give_again(s, &heirs);
    limit_giving(s);
    return gone;
}
