/* scale.c — see scale.h. */
#include "supervisor/scale.h"

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

static struct ledger_gift *free_place(struct ledger *ledger)
{
    for (size_t i = 0; i < LEDGER_GIFTS_MAX; i++) {
        if (ledger->gifts[i].fd < 0) {
            return &ledger->gifts[i];
        }
    }
    return NULL;
}

static void give(struct ledger *ledger, struct worker *surplus)
{
    const struct worker *heir = find_heir(&ledger->workers, surplus);
    struct ledger_gift *gift = free_place(ledger);
    int ends[2];
    if (heir == NULL || gift == NULL || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return; /* the next turn tries again */
    }
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
static void see_to_gift(struct ledger *ledger, struct ledger_gift *gift)
{
    if (is_received(gift->fd)) {
        close_fd(&gift->fd);
        return;
    }
    const struct worker *heir = &ledger->workers.all[gift->heir % WORKERS_MAX];
    if (!worker_is_active(heir)) {
        heir = find_heir(&ledger->workers, NULL);
    }
    if (heir != NULL && heir->state == WORKER_SERVING && heir->pid != gift->heir_pid) {
        tend_take(heir, gift->fd);
        gift->heir = heir->slot;
        gift->heir_pid = heir->pid;
    }
}

static void see_to_gifts(struct ledger *ledger)
{
    for (size_t i = 0; i < LEDGER_GIFTS_MAX; i++) {
        if (ledger->gifts[i].fd >= 0) {
            see_to_gift(ledger, &ledger->gifts[i]);
        }
    }
}

/* The highest goes first. */
static void give_surplus(struct ledger *ledger, size_t surplus)
{
    struct workers *workers = &ledger->workers;
    for (uint32_t i = workers->count; i-- > 0 && surplus > 0;) {
        struct worker *w = &workers->all[i];
        if (w->state == WORKER_SERVING && w->heir < 0) {
            give(ledger, w);
            surplus--;
        }
    }
}

/* One that succeeded a giver goes on giving. */
static void give_again(struct ledger *ledger)
{
    struct workers *workers = &ledger->workers;
    for (uint32_t i = 0; i < workers->count; i++) {
        struct worker *w = &workers->all[i];
        if (w->state == WORKER_SERVING && w->heir >= 0) {
            give(ledger, w);
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
        give_surplus(s->ledger, active - workers->wanted);
    }
    give_again(s->ledger);
    see_to_gifts(s->ledger);
}
