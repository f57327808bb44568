/* watchdog.c — see watchdog.h, and sd_watchdog_enabled(3) for the protocol.
 *
 * A hung worker is no reason to starve the manager: hang.c kills it, and it is succeeded. Only one that stays silent
 * nevertheless, because it cannot be killed or nobody looks, is beyond our own means. */
#include "supervisor/watchdog.h"

#include "supervisor/hang.h"
#include "supervisor/inherit/log.h"
#include "supervisor/notify.h"

enum { GRACE_MS = 2000 }; /* for hang.c, which looks once a second at least, and for the succession */

static uint64_t half_of(uint64_t interval_ms)
{
    return interval_ms > 2 ? interval_ms / 2 : 1;
}

/* One line when it begins and one when it ends. */
static void note(struct supervisor *s, bool starved)
{
    if (starved && !s->watchdog_starved) {
        log_error("a worker makes no turn and is not succeeded: the service manager's watchdog is not told that all is "
                  "well");
    } else if (!starved && s->watchdog_starved) {
        log_info("all workers make their turns again: so the service manager's watchdog is told");
    }
    s->watchdog_starved = starved;
}

uint64_t watchdog_turn(struct supervisor *s)
{
    uint64_t interval_ms = notify_watchdog_interval_ms();
    if (interval_ms == 0) {
        return UINT64_MAX;
    }
    uint64_t now = clock_now().ms;
    uint64_t due_ms = s->watchdog_told_ms + half_of(interval_ms);
    if (now < due_ms) {
        return due_ms;
    }
    bool starved = hang_is_overdue(s, now, GRACE_MS);
    note(s, starved);
    if (starved) {
        return UINT64_MAX; /* looked at again in each turn, for a pause of the whole machine looks the same */
    }
    notify_watchdog();
    s->watchdog_told_ms = now;
    return now + half_of(interval_ms);
}
