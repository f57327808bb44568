/* pressure.c — see pressure.h. */
#include "worker/pressure.h"

#include "supervisor/inherit/log.h"
#include "worker/connection.h"

#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

enum {
    AT_ONCE = 256,       /* at most; then as many have come before the slots are looked through again */
    SHARE = 16,          /* of all places, that is made free at once */
    RESTED_MS = 2000,    /* so long a connection may rest, whatever the pressure */
    UNFINISHED_MS = 5000 /* and so long a head may take */
};

/* In the order in which they go. */
enum rank { RANK_OVER, RANK_SILENT, RANK_RESTING, RANK_UNFINISHED, RANK_STAYS };

struct candidate {
    uint64_t since_ms;
    enum rank rank;
    int fd;
};

/* The first of all candidates, in order. count <= room <= AT_ONCE */
struct candidates {
    struct candidate all[AT_ONCE];
    size_t count, room;
};

static size_t room_for(const struct settings *settings)
{
    size_t share = settings->connections / SHARE;
    return share < 1 ? 1 : share < AT_ONCE ? share : AT_ONCE;
}

/* When PATIENCE_MS began that ends at DEADLINE_MS. */
static uint64_t began(uint64_t deadline_ms, uint64_t patience_ms)
{
    return deadline_ms > patience_ms ? deadline_ms - patience_ms : 0;
}

static struct candidate judge(const struct worker *w, int fd, const struct slot_record *record)
{
    struct candidate candidate = {.fd = fd, .rank = RANK_STAYS};
    const struct settings *settings = w->settings;
    uint64_t allowed_ms = 0;
    if (record->stage == STAGE_LINGER || record->stage == STAGE_PARTING) {
        candidate.rank = RANK_OVER;
        candidate.since_ms = record->deadline_ms;
    } else if (record->stage == STAGE_IDLE && (record->flags & SLOT_HEADER_DUE) == 0) {
        candidate.rank = record->received == 0 ? RANK_SILENT : RANK_RESTING;
        candidate.since_ms = began(record->deadline_ms, settings->idle_timeout_ms);
        allowed_ms = RESTED_MS;
    } else if (record->stage == STAGE_HEAD || record->stage == STAGE_IDLE) {
        candidate.rank = RANK_UNFINISHED;
        candidate.since_ms = began(record->deadline_ms, settings->head_timeout_ms);
        allowed_ms = UNFINISHED_MS;
    }
    if (candidate.rank != RANK_OVER && candidate.since_ms + allowed_ms > w->now.ms) {
        candidate.rank = RANK_STAYS;
    }
    return candidate;
}

static bool goes_before(const struct candidate *one, const struct candidate *other)
{
    return one->rank != other->rank ? one->rank < other->rank : one->since_ms < other->since_ms;
}

static void consider(struct candidates *candidates, const struct candidate *candidate)
{
    size_t at = candidates->count;
    if (at == candidates->room && !goes_before(candidate, &candidates->all[at - 1])) {
        return;
    }
    at -= at == candidates->room;
    candidates->count = at + 1;
    while (at > 0 && goes_before(candidate, &candidates->all[at - 1])) {
        candidates->all[at] = candidates->all[at - 1];
        at--;
    }
    candidates->all[at] = *candidate;
}

static void look_through(const struct worker *w, struct candidates *candidates)
{
    for (uint32_t fd = 0; fd <= w->cell.header->top && fd < w->cell.slots_count; fd++) {
        const struct slot *slot = &w->cell.slots[fd];
        const struct candidate candidate = judge(w, (int)fd, &slot->record[slot->current & 1]);
        if (candidate.rank != RANK_STAYS) {
            consider(candidates, &candidate);
        }
    }
}

/* A request that has just come, or a response that is still on its way: close(2) would cost the client that. */
static bool is_quiet(int fd)
{
    int unread = 0, unsent = 0;
    return ioctl(fd, SIOCINQ, &unread) == 0 && unread == 0 && ioctl(fd, SIOCOUTQ, &unsent) == 0 && unsent == 0;
}

bool pressure_relieve(struct worker *w)
{
    static bool warned;
    struct candidates candidates = {.room = room_for(w->settings)};
    unsigned ended = 0;
    look_through(w, &candidates);
    for (size_t i = 0; i < candidates.count; i++) {
        struct connection c;
        int fd = candidates.all[i].fd;
        if (is_quiet(fd) && connection_load(w, fd, &c)) {
            connection_end(w, &c, END_SHED);
            ended++;
        }
    }
    if (ended > 0 && !warned) {
        log_warn("every place is taken and others wait: the connections that were used least make way");
        warned = true;
    }
    return ended > 0;
}
