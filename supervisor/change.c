/* change.c — see change.h. */
#include "supervisor/change.h"

#include "supervisor/given.h"
#include "supervisor/settings_diff.h"
#include "supervisor/spawn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { PLACE_BYTES = 400 };

static bool differs(const char *one, const char *other)
{
    return one == NULL || other == NULL ? one != other : strcmp(one, other) != 0;
}

/* True if some worker's cell has too few places for so many CONNECTIONS. */
static bool outgrows_a_cell(const struct supervisor *s, unsigned connections)
{
    uint32_t wanted = spawn_descriptors(connections);
    for (uint32_t i = 0; i < s->ledger->workers.count; i++) {
        const struct worker *w = &s->ledger->workers.all[i];
        if (worker_is_active(w) && w->cell_slots < wanted) {
            return true;
        }
    }
    return false;
}

/* False, with WHY, for what only a new process can have. */
static bool can_change_to(const struct supervisor *s, int snapshot_fd, const struct settings *next, char *why,
                          size_t bytes)
{
    char place[PLACE_BYTES];
    if (differs(s->settings->run_dir, next->run_dir)) {
        settings_place(snapshot_fd, "run_dir", place, sizeof place);
        snprintf(why, bytes, "%s: run_dir cannot change while the service runs (%.200s -> %.200s); stop and start",
                 place, s->settings->run_dir, next->run_dir);
        return false;
    }
    if (differs(s->settings->user, next->user)) {
        settings_place(snapshot_fd, "user", place, sizeof place);
        snprintf(why, bytes,
                 "%s: user cannot change while the service runs, for successors have their predecessors' rights "
                 "(%.64s -> %.64s); stop and start",
                 place, s->settings->user != NULL ? s->settings->user : "none",
                 next->user != NULL ? next->user : "none");
        return false;
    }
    if (next->connections > s->settings->connections && outgrows_a_cell(s, next->connections)) {
        settings_place(snapshot_fd, "connections", place, sizeof place);
        snprintf(why, bytes,
                 "%s: connections cannot grow from %u to %u while the service runs, for cells and limits of "
                 "descriptors are made when a worker is first started; stop and start",
                 place, s->settings->connections, next->connections);
        return false;
    }
    return true;
}

enum change change_weigh(const struct supervisor *s, int snapshot_fd, struct settings **next, char *text, size_t bytes)
{
    text[0] = '\0';
    *next = settings_parse(snapshot_fd, text);
    if (*next == NULL) {
        return CHANGE_REFUSED;
    }
    bool meant = given_are_meant(*next, &s->ledger->listeners);
    if (!meant) {
        snprintf(text, bytes, "%s", strerror(ENOMEM));
    }
    if (!meant || !can_change_to(s, snapshot_fd, *next, text, bytes)) {
        settings_free(*next);
        *next = NULL;
        return CHANGE_REFUSED;
    }
    return settings_diff(s->settings, *next, text, bytes) == 0 ? CHANGE_NONE : CHANGE_SOME;
}
