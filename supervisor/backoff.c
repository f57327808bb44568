/* backoff.c — see backoff.h. */
#include "supervisor/backoff.h"

#include <stdbool.h>

static uint32_t longer(uint32_t delay_ms)
{
    if (delay_ms == 0) {
        return BACKOFF_FIRST_MS;
    }
    return delay_ms > BACKOFF_LONGEST_MS / 2 ? BACKOFF_LONGEST_MS : delay_ms * 2;
}

static uint32_t after_crash(struct backoff *backoff, bool was_short)
{
    if (backoff->crashes < UINT32_MAX) {
        backoff->crashes++;
    }
    if (!was_short || backoff->crashes == 1) {
        return 0; /* at once, but not forgotten */
    }
    backoff->delay_ms = longer(backoff->delay_ms);
    return backoff->delay_ms;
}

/* A storm of kills is somebody's test or somebody's mistake, not a worker that cannot live: it delays nothing unless
 * no successor ever gets ready. */
static uint32_t after_kill(struct backoff *backoff, bool was_ready)
{
    if (was_ready) {
        backoff->kills = 0;
        return 0;
    }
    if (backoff->kills < UINT32_MAX) {
        backoff->kills++;
    }
    if (backoff->kills > BACKOFF_FREE_KILLS) {
        backoff->delay_ms = longer(backoff->delay_ms);
        return backoff->delay_ms;
    }
    return 0;
}

uint32_t backoff_after(struct backoff *backoff, enum backoff_death death, int64_t lived_ms)
{
    if (lived_ms >= BACKOFF_LONG_LIFE_MS) {
        *backoff = (struct backoff){0};
    }
    switch (death) {
    case BACKOFF_CRASH:
        return after_crash(backoff, lived_ms < BACKOFF_SHORT_LIFE_MS);
    case BACKOFF_KILL:
        return after_kill(backoff, lived_ms >= 0);
    case BACKOFF_RETIRE:
        *backoff = (struct backoff){0};
        return 0;
    }
    return 0;
}
